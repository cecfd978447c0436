package bench

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/integration/faultbench/internal/report"
)

const (
	// restingApart is the time between two writes to the key of a resting watch.
	// It is longer than a client with failover takes to notice a silent member,
	// so that no event reveals the fault to it.
	restingApart = 3 * time.Second
	// restingTimeout is the timeout of one write, whose member may have no
	// leader.
	restingTimeout = time.Second
)

// rests records the writes to a key that is otherwise idle.
type rests struct {
	mu sync.Mutex
	at map[int64]time.Duration // guarded by mu: by revision, when the writer got the response
}

// write writes to the key when the fault has begun, and again every few seconds,
// through a member that the fault does not affect, until ctx ends.
func (r *rests) write(ctx context.Context, s *stage, key string, origin time.Time) {
	select {
	case <-s.begun:
	case <-ctx.Done():
		return
	}
	for pause := freedAfter; sleep(ctx, pause) == nil; pause = restingApart {
		for ctx.Err() == nil { // an election may be in progress
			kv, _ := s.healthy(true)
			call, cancel := context.WithTimeout(ctx, restingTimeout)
			resp, err := kv.Put(call, &pb.PutRequest{Key: []byte(key)})
			now := time.Since(origin)
			cancel()
			if err == nil {
				r.mu.Lock()
				r.at[resp.Header.GetRevision()] = now
				r.mu.Unlock()
				break
			}
			_ = sleep(ctx, writerPace) // the key's count shows whether it was applied
		}
	}
}

// event is one event of a resting watch.
type event struct {
	revision int64
	at       time.Duration
}

// watchResting watches a resting key. A sample is a write. Its duration is the
// time from the writer's response to the watch's event.
func watchResting(ctx context.Context, w *worker) error {
	err := w.client.Watch(ctx, w.shared, w.watchFrom, func(revision, version int64) {
		w.events = append(w.events, event{revision, w.now()})
		w.versions = append(w.versions, version)
		w.watchFrom = revision + 1
	})
	if ctx.Err() == nil {
		return err
	}
	w.rests.mu.Lock()
	defer w.rests.mu.Unlock()
	w.samples = append(w.samples, lateness(w.rests.at, w.events, w.now())...)
	return nil // the measurement is over
}

// lateness returns for each write how late its event was. Events that did not
// arrive until end have failed. A write without a response has no start time.
func lateness(written map[int64]time.Duration, events []event, end time.Duration) []report.Sample {
	var samples []report.Sample
	for _, revision := range slices.Sorted(maps.Keys(written)) {
		start := written[revision]
		i := slices.IndexFunc(events, func(e event) bool { return e.revision == revision })
		if i < 0 {
			samples = append(samples, report.Sample{Start: start, End: end, Outcome: report.Failed})
			continue
		}
		// The watch may see the event before the writer gets the response.
		samples = append(samples, report.Sample{Start: min(start, events[i].at), End: events[i].at})
	}
	return samples
}
