package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/integration/faultbench/internal/report"
)

// Watches and kept leases last as long as the measurement.

// errEnded is why a watch or a lease is no more, when the client does not say.
var errEnded = errors.New("ended by the client")

// watchKey watches the key that keepWriting writes. A sample is an event, and lasts
// from the event before: how long one took to come can't be told from outside
// while it is not known when a write was applied.
func watchKey(ctx context.Context, w *worker) error {
	last := w.now()
	err := w.client.Watch(ctx, w.shared, w.watchFrom, func(revision, version int64) {
		now := w.now()
		w.samples = append(w.samples, report.Sample{Start: last, End: now})
		w.versions = append(w.versions, version)
		w.watchFrom = revision + 1
		last = now
	})
	if ctx.Err() == nil {
		return err
	}
	return nil // the measurement is over
}

// remarkWatch compares what the workers were told with the key's own count of its
// changes.
func remarkWatch(ctx context.Context, kv pb.KVClient, workers []*worker) (report.Remarks, error) {
	var r report.Remarks
	resp, err := kv.Range(ctx, &pb.RangeRequest{Key: []byte(workers[0].shared)})
	if err != nil {
		return r, fmt.Errorf("the last read of %s: %w", workers[0].shared, err)
	}
	var written int64
	if len(resp.Kvs) > 0 {
		written = resp.Kvs[0].Version
	}
	var lost, doubled, disordered int
	for _, w := range workers {
		l, d, o := judgeVersions(w.versions, written)
		lost, doubled, disordered = lost+l, doubled+d, disordered+o
	}
	r.Facts = []string{fmt.Sprintf("%d events for each of %d watches: %d lost, %d doubled, %d out of order", written, len(workers), lost, doubled, disordered)}
	if lost+doubled+disordered > 0 {
		r.Wrongs = []string{"events lost, doubled or out of order"}
	}
	return r, nil
}

// judgeVersions counts what differs from 1, 2, … up to what was written.
func judgeVersions(seen []int64, written int64) (lost, doubled, disordered int) {
	var last int64
	for _, v := range seen {
		if v < last {
			disordered++
		}
		last = v
	}
	sorted := slices.Sorted(slices.Values(seen))
	unique := slices.Compact(slices.Clone(sorted))
	return int(written) - len(unique), len(sorted) - len(unique), disordered
}

// There is a writer of the key that is watched for each member, so that what a
// fault does to one of them does not silence the key.
const (
	writerPace    = 60 * time.Millisecond
	writerTimeout = 2 * time.Second
)

// keepWriting writes to the key, through kv's member, until ctx ends. It does not
// wait for one write to begin the next: those before may wait for an election, and
// the first one after it is to be seen at once.
func keepWriting(ctx context.Context, kv pb.KVClient, key string) {
	var writes sync.WaitGroup
	defer writes.Wait()
	tick := time.NewTicker(writerPace)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		writes.Go(func() {
			call, cancel := context.WithTimeout(ctx, writerTimeout)
			defer cancel()
			// What becomes of it the key's count says.
			_, _ = kv.Put(call, &pb.PutRequest{Key: []byte(key)})
		})
	}
}

// leaseTTL is the time to live of the leases, in seconds.
const leaseTTL = 5

// keepLease keeps one lease. A sample is an answer to a renewal, and lasts from the
// answer before.
func keepLease(ctx context.Context, w *worker) error {
	last := w.now()
	err := w.client.KeepLease(ctx, leaseTTL, func(id int64) {
		now := w.now()
		w.samples = append(w.samples, report.Sample{Start: last, End: now})
		last = now
		if len(w.leases) == 0 || w.leases[len(w.leases)-1] != id {
			w.leases = append(w.leases, id)
		}
	})
	if ctx.Err() == nil {
		return err
	}
	if len(w.leases) == 1 { // otherwise the first was lost
		ask, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		resp, err := w.control().LeaseTimeToLive(ask, &pb.LeaseTimeToLiveRequest{ID: w.leases[0]})
		w.survived = err == nil && resp.TTL > 0
	}
	return nil
}

// remarkLease counts the leases that lived at the end.
func remarkLease(_ context.Context, _ pb.KVClient, workers []*worker) (report.Remarks, error) {
	survived := 0
	for _, w := range workers {
		if w.survived {
			survived++
		}
	}
	var r report.Remarks
	r.Facts = []string{fmt.Sprintf("%d of %d leases of %d s survived", survived, len(workers), leaseTTL)}
	if survived < len(workers) {
		r.Wrongs = []string{fmt.Sprintf("%d leases lost", len(workers)-survived)}
	}
	return r, nil
}
