package watching

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/getcd/getcd/integration/internal/measure"
)

// Stuck has the measurements for a consumer that did not receive for a while.
type Stuck struct {
	Name string
	For  time.Duration
	// Held says that nothing that the consumer had not seen was compacted.
	Held bool
	// Cached says that the client receives everything anyway, for its cache.
	Cached bool
	// Passed is the number of bytes of values that were written meanwhile to what
	// it watches. Received is the number of bytes of all messages that its client
	// received.
	Passed, Received int64
	// Before and After are the process's heap when its buffer was full and at the
	// end.
	Before, After heap
	// Drained is how long it took to catch up afterward, and Fetched is what its
	// client received meanwhile.
	Drained time.Duration
	Fetched int64
	// Resyncs is how many times it received a compaction afterward.
	Resyncs int
}

const (
	// fill is how much is written before a stuck consumer's buffer, which holds 4
	// MiB, counts as full.
	fill = 6 << 20
	// much is how much must be written for the figures to be judged.
	much = 100 << 20
	// mostReceived is the maximum that a stuck watch may receive: its buffer, and
	// what was in flight when that was full. That may be one message with the
	// most revisions that a server sends at once.
	mostReceived = 4<<20 + 1000*bulkSize
	// mostGrowth is how much the heap of the whole process may grow meanwhile.
	mostGrowth = 32 << 20
)

// siege keeps one consumer stuck for a while.
type siege struct {
	name        string
	w           *watcher
	in          *measure.Received
	hold        bool
	from, until time.Duration // since the beginning
	least       int64         // bytes to be written meanwhile, even if that takes longer
	latest      time.Duration // when it ends in any case
}

// run carries it out, and ends early if ctx ends. It returns an error if the
// consumer does not get stuck because there are too few events.
func (s *siege) run(ctx context.Context, began time.Time, written *atomic.Int64, limits *limits, head func() int64) (Stuck, error) {
	// etcd's proxy sometimes reports a compaction that its client has already
	// passed.
	result := Stuck{Name: s.name, Held: s.hold && !s.w.apart, Cached: s.w.cached}
	pause(ctx, time.Until(began.Add(s.from)))
	if s.hold {
		limits.keep(s.w.seen.Load())
		defer limits.keep(0)
		// A compaction that was asked for before may come yet.
		await(ctx, func() bool { return s.w.seen.Load() >= limits.attempted.Load() })
		limits.keep(s.w.seen.Load())
	}
	s.w.gate.close()
	open := true
	reopen := func() {
		if open {
			open = false
			s.w.gate.open()
		}
	}
	defer reopen()
	await(ctx, s.w.gate.stuck.Load)
	stuck, before, in := time.Now(), written.Load(), s.in.Bytes()
	resyncs := s.w.told.Load()
	await(ctx, func() bool { return written.Load()-before >= min(fill, s.least/2) })
	result.Before = heapNow(ctx)
	await(ctx, func() bool {
		now := time.Since(began)
		return now >= s.latest || now >= s.until && written.Load()-before >= s.least
	})
	if !s.w.gate.stuck.Load() && ctx.Err() == nil {
		return result, fmt.Errorf("%s was not stuck", s.name)
	}
	result.Passed, result.Received, result.For = written.Load()-before, s.in.Bytes()-in, time.Since(stuck)
	result.After = heapNow(ctx)
	target, in := head(), s.in.Bytes()
	again := time.Now()
	reopen()
	await(ctx, func() bool { return s.w.seen.Load() > target })
	result.Drained, result.Fetched = time.Since(again), s.in.Bytes()-in
	result.Resyncs = int(s.w.told.Load() - resyncs)
	return result, nil
}

// judge returns what is wrong with the figures.
func (s Stuck) judge() []string {
	var wrong []string
	if s.Held && s.Resyncs > 0 {
		wrong = append(wrong, fmt.Sprintf("%s was told %d times of compaction, though there was none of what it had not seen", s.Name, s.Resyncs))
	}
	if s.Passed < much {
		return wrong
	}
	if !s.Cached && s.Received > mostReceived {
		wrong = append(wrong, fmt.Sprintf("%s received %s while it was stuck, want at most %s", s.Name, mib(s.Received), mib(mostReceived)))
	}
	if grown := s.After.InUse - s.Before.InUse; grown > mostGrowth {
		wrong = append(wrong, fmt.Sprintf("the heap grew by %s while %s was stuck, want at most %s", mib(grown), s.Name, mib(mostGrowth)))
	}
	return wrong
}

// await polls until cond returns true or ctx ends.
func await(ctx context.Context, cond func() bool) {
	for ctx.Err() == nil && !cond() {
		pause(ctx, idle)
	}
}

func mib(bytes int64) string { return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20)) }
