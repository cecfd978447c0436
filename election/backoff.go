package election

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	backoffBase = 20 * time.Millisecond
	backoffMax  = time.Second
)

// backoff is the wait after the given number of failures in a row, at least one:
// exponential, and jittered over its upper half.
func backoff(failures int) time.Duration {
	return jitter(min(backoffMax, backoffBase<<min(failures-1, 10)))
}

// jitter leaves out a random part of d, up to a half.
func jitter(d time.Duration) time.Duration { return d - rand.N(d/2+1) }

// sleep waits for d and reports whether ctx lived through it.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
