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
	// restingApart is how long the key of a resting watch is left alone between two
	// writes. It is longer than a client with failover needs to notice a silence, so
	// that no event tells it of one.
	restingApart = 3 * time.Second
	// restingTimeout is for one write, which may have met a member without a leader.
	restingTimeout = time.Second
)

// rests are the writes to a key that rests otherwise.
type rests struct {
	mu sync.Mutex
	at map[int64]time.Duration // guarded by mu: by revision, when the writer was told of it
}

// write writes to the key when the fault has begun, and some seconds later each time,
// through a member that the fault does not hit, until ctx ends.
func (r *rests) write(ctx context.Context, s *stage, key string, origin time.Time) {
	select {
	case <-s.begun:
	case <-ctx.Done():
		return
	}
	for pause := freedAfter; sleep(ctx, pause) == nil; pause = restingApart {
		for ctx.Err() == nil { // an election may be under way
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
			_ = sleep(ctx, writerPace) // what became of it the key's count says
		}
	}
}

// event is one that a resting watch had.
type event struct {
	revision int64
	at       time.Duration
}

// watchResting watches a key that rests. A sample is a write, and lasts from the
// writer's answer until the watch had the event.
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

// lateness says for each write how late its event came: those that did not come until
// end have failed. A write of which its writer was not told has no beginning.
func lateness(written map[int64]time.Duration, events []event, end time.Duration) []report.Sample {
	var samples []report.Sample
	for _, revision := range slices.Sorted(maps.Keys(written)) {
		start := written[revision]
		i := slices.IndexFunc(events, func(e event) bool { return e.revision == revision })
		if i < 0 {
			samples = append(samples, report.Sample{Start: start, End: end, Outcome: report.Failed})
			continue
		}
		// The watch may know before the writer does.
		samples = append(samples, report.Sample{Start: min(start, events[i].at), End: events[i].at})
	}
	return samples
}
