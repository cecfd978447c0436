// Package backoff spaces out the tries of something that fails: exponentially,
// so that a long outage costs little, with a random part left out, so that those
// who failed together don't try again together, and no longer than a context.
package backoff

import (
	"context"
	"math/rand/v2"
	"time"
)

// Exponential is a series of pauses, each twice as long as the one before. The
// zero value does not pause.
type Exponential struct {
	// First is the first pause, Max the longest, both before the jitter.
	First, Max time.Duration
}

// Pause is the n-th pause, counted from 0, with Jitter.
func (e Exponential) Pause(n int) time.Duration {
	n = min(max(n, 0), 62)
	d := e.First << n
	if d>>n != e.First || d > e.Max { // shifted out of the type, or too long
		d = e.Max
	}
	return Jitter(d)
}

// Jitter leaves out a random part of d, up to a half.
func Jitter(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return d - rand.N(d/2+1)
}

// Sleep waits for d and reports whether ctx lived through it. Without anything to
// wait for it asks ctx alone.
func Sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 || ctx.Err() != nil {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
