package client

import (
	"math/rand/v2"
	"time"
)

// backoff is the n-th pause, counted from 0: lo doubled n times, at most hi, of
// which one half is random.
func backoff(n int, lo, hi time.Duration) time.Duration {
	d := min(lo<<min(n, 20), hi)
	return d/2 + rand.N(d/2+1)
}
