package watching

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/kv"
)

// limits are what compaction may have taken, and may not take.
type limits struct {
	attempted atomic.Int64 // the highest revision that somebody has asked to compact at
	done      atomic.Int64 // the highest that was compacted for certain

	mu   sync.Mutex
	hold int64 // nothing from here on may be compacted; 0 means none
}

// keep holds back compaction, from a revision on; 0 ends that.
func (l *limits) keep(rev int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hold = rev
}

// claim says at which revision to compact, when it is wanted at rev.
func (l *limits) claim(rev int64) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.hold != 0 {
		rev = min(rev, l.hold)
	}
	if rev > l.attempted.Load() {
		l.attempted.Store(rev)
	}
	return rev
}

// compactor compacts at random revisions, some of them close to the last one.
type compactor struct {
	kv          kv.KV
	h           *history
	limits      *limits
	rand        *rand.Rand
	least, most time.Duration // between two of them
	count       int
}

func (c *compactor) run(ctx context.Context) {
	for {
		pause(ctx, c.least+time.Duration(c.rand.Int64N(int64(c.most-c.least)+1)))
		if ctx.Err() != nil {
			return
		}
		behind := []int64{3, 200, 2000}[c.rand.IntN(3)]
		want := c.h.head() - c.rand.Int64N(behind)
		if want <= c.h.base || want <= c.limits.attempted.Load() {
			continue
		}
		rev := c.limits.claim(want)
		if rev <= c.limits.done.Load() {
			continue
		}
		var opts []kv.CompactOption
		if c.rand.IntN(4) == 0 {
			opts = append(opts, kv.WithCompactPhysical())
		}
		call, cancel := context.WithTimeout(ctx, callTime)
		if _, err := c.kv.Compact(call, rev, opts...); err == nil {
			c.limits.done.Store(rev)
			c.count++
		}
		cancel()
	}
}

// callTime is how long a request may take.
const callTime = 5 * time.Second

// outcome is what became of a write, as its writer was told.
type outcome uint8

const (
	acknowledged outcome = iota
	ambiguous
	refused
)

func outcomeOf(err error) outcome {
	switch {
	case err == nil:
		return acknowledged
	case client.IsAmbiguous(err):
		return ambiguous
	default:
		return refused
	}
}
