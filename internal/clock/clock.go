// Package clock tells the time for leases: Go's, plus what the machine was suspended
// since the process began.
//
// Go's monotonic clock is CLOCK_MONOTONIC on Linux, which stands still while the
// machine is suspended; the cluster's goes on, and lets leases expire. CLOCK_BOOTTIME
// counts on (clock_gettime(2)). It is not read in time.Now's place, but as the
// difference between the two, so that whatever Go makes of time.Now, such as the
// virtual time of testing/synctest, stays what it is.
//
// Timers wait by CLOCK_MONOTONIC all the same. So who waits for a moment that must not
// be missed looks at the clock in every Nap, and whenever it is asked.
package clock

import (
	"sync/atomic"
	"time"
)

const (
	// Nap is how long a timer may be trusted: what a suspension has made late is found
	// in that time after it.
	Nap = time.Second

	// grain is what a difference has to grow by to be a suspension, and not the time
	// between two readings. The margin of every lease, 100 ms at least, covers it.
	grain = 10 * time.Millisecond
)

var (
	begin, known = offset()
	slept        atomic.Int64 // as last seen; it only grows
	extra        atomic.Int64 // Suspend's
)

// Now is time.Now, later by Slept. Compare it with nothing but itself.
func Now() time.Time { return time.Now().Add(Slept()) }

// Recent is Now as if the machine had not been suspended since Now or Slept was called
// last, by whomever: it costs no system call.
func Recent() time.Time { return time.Now().Add(time.Duration(slept.Load() + extra.Load())) }

// Until is the time from Now to t.
func Until(t time.Time) time.Duration { return t.Sub(Now()) }

// Timer is t, a time of Now, as time.Now tells it if nothing more is slept.
func Timer(t time.Time) time.Time { return t.Add(-Slept()) }

// Slept is how long the machine was suspended since the process began; 0 where that
// cannot be told.
func Slept() time.Duration {
	for {
		last := slept.Load()
		now, ok := offset()
		if !known || !ok || now-begin-time.Duration(last) < grain {
			return time.Duration(last + extra.Load())
		}
		slept.CompareAndSwap(last, int64(now-begin))
	}
}

// Suspend is for tests: as if the machine had been suspended for so long.
func Suspend(d time.Duration) { extra.Add(int64(d)) }
