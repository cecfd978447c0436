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

// limits records what compaction may and may not have removed.
type limits struct {
	attempted atomic.Int64 // the highest revision of a requested compaction
	done      atomic.Int64 // the highest revision of a certain compaction

	mu   sync.Mutex
	hold int64 // revisions from here on must not be compacted; 0 means none
}

// keep prevents compaction from a revision on; 0 ends that.
func (l *limits) keep(rev int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hold = rev
}

// claim returns the revision at which to compact, if rev is wanted.
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
	least, most time.Duration // between two compactions
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

// outcome is the result of a write, as its writer knows it.
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
