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

// errEnded says that a watch or a lease has ended, if the client gives no reason.
var errEnded = errors.New("ended by the client")

// watchKey watches the key that keepWriting writes. A sample is an event. Its
// duration is the time since the previous event: how long an event took cannot be
// measured from outside, since it is unknown when the write was applied.
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

// remarkWatch compares the events of the workers with the key's own count of its
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

// judgeVersions compares the versions with 1, 2, … up to written.
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

// Each member has a writer of the watched key, so that a fault of one member does
// not stop the changes.
const (
	writerPace    = 60 * time.Millisecond
	writerTimeout = 2 * time.Second
)

// keepWriting writes to the key through kv's member until ctx ends. It does not
// wait for one write before it starts the next: earlier writes may wait for an
// election, and the first write after it must be visible at once.
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
			// The key's count shows whether it was applied.
			_, _ = kv.Put(call, &pb.PutRequest{Key: []byte(key)})
		})
	}
}

// leaseTTL is the time to live of the leases, in seconds.
const leaseTTL = 5

// keepLease keeps one lease alive. A sample is a response to a renewal. Its
// duration is the time since the previous response.
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
	if len(w.leases) == 1 { // otherwise the first lease was lost
		ask, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		resp, err := w.control().LeaseTimeToLive(ask, &pb.LeaseTimeToLiveRequest{ID: w.leases[0]})
		w.survived = err == nil && resp.TTL > 0
	}
	return nil
}

// remarkLease counts the leases that are alive at the end.
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
