package policy

import (
	"sync/atomic"
	"time"
)

// clock counts the time since the policy began, in nanoseconds. It also has the
// cluster's raft term, which tells how old a member's knowledge of the others is.
type clock struct {
	epoch time.Time

	term      atomic.Uint64 // the newest raft term in any answer
	termSince atomic.Int64  // when that term first appeared

	// late is by how much this process has run late, in total: its timers fired late, or
	// it was stopped. The members are not to blame for that time.
	late   atomic.Int64
	booked atomic.Int64 // up to when lateness has been counted
}

// book notes that this process was late by d at now. Several callers may notice the
// same lateness; it counts once.
func (c *clock) book(d time.Duration, now time.Time) {
	at := c.at(now)
	for {
		till := c.booked.Load()
		more := at - max(till, at-int64(d))
		if more <= 0 {
			return
		}
		if c.booked.CompareAndSwap(till, at) {
			c.late.Add(more)
			return
		}
	}
}

// at returns t in nanoseconds since the policy began. 0 means never, so t is at least 1.
func (c *clock) at(t time.Time) int64 { return max(1, int64(t.Sub(c.epoch))) }

// waited returns how long a call has waited that began at start, when clock.late was late.
// It leaves out the time by which this process has run late since.
func (c *clock) waited(start, late int64, now time.Time) time.Duration {
	return time.Duration(c.at(now) - start - (c.late.Load() - late))
}

// observeTerm notes the raft term in an answer, and reports whether it is new.
func (c *clock) observeTerm(term uint64, now time.Time) bool {
	for old := c.term.Load(); term > old; old = c.term.Load() {
		if c.term.CompareAndSwap(old, term) {
			if old != 0 {
				c.termSince.Store(c.at(now))
			}
			return true
		}
	}
	return false
}
