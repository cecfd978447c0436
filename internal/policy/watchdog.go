package policy

import (
	"sync/atomic"
	"time"
)

// watchdog decides what to do about a connection on which something waits. Its timer runs
// while something may wait for too long, and not otherwise.
type watchdog struct {
	clock *clock
	timer *time.Timer
	set   atomic.Bool  // the timer is set, and fires after minSuspicion at the latest
	due   atomic.Int64 // when it should fire, to tell by how much it is late; 0 when the timer is not set
}

// wake sets the timer if it is not set. Each request and each message of a stream calls it.
func (w *watchdog) wake() {
	if !w.set.Load() && w.set.CompareAndSwap(false, true) {
		w.runIn(minSuspicion)
	}
}

func (w *watchdog) runIn(d time.Duration) {
	w.due.Store(w.clock.at(time.Now().Add(d)))
	w.timer.Reset(d)
}

// runs must be called when the timer has fired.
func (w *watchdog) runs(now time.Time) {
	// Requests from now on set the watchdog again, if runAgain does not.
	w.set.Store(false)
	w.notice(w.due.Swap(0), now)
}

// lateness returns clock.late as of now. When this process goes on after a stop, requests may begin
// before the timer's function runs. They have not waited for any of the stop, so it is booked first.
func (w *watchdog) lateness(now time.Time) int64 {
	w.notice(w.due.Load(), now)
	return w.clock.late.Load()
}

// notice books by how much the timer is late that was due at due.
func (w *watchdog) notice(due int64, now time.Time) {
	if late := time.Duration(w.clock.at(now) - due); due != 0 && late > turn {
		w.clock.book(late, now)
	}
}

// runAgain sets the timer for when the next request will have waited for too long. A
// negative next means that none waits.
func (w *watchdog) runAgain(next time.Duration) {
	switch {
	case next < 0:
	case next > minSuspicion: // a request that begins in the meantime may need it sooner
		w.runIn(next)
		if w.set.Load() {
			w.runIn(minSuspicion) // one has begun just now
		}
	case w.set.CompareAndSwap(false, true):
		w.runIn(max(next, turn))
	}
}

// task is what to do about a connection.
type task struct {
	probe bool          // probe its member now
	read  bool          // send a read on it now, as a sign of life
	next  time.Duration // when to look again; negative for never
}

// look decides what to do about c. every is Options.Pulse.
func (w *watchdog) look(c *conn, every time.Duration, now time.Time) task {
	t := task{next: -1}
	if left, ok := c.suspectIn(now); ok && c.askable(now) {
		left = max(left, c.rested.Sub(now))
		if t.probe = left <= 0; t.probe {
			left = again
		}
		t.next = left
	}
	if left, beats := c.beat(every, now); beats {
		_, waiting := c.oldest()
		t.read = left <= 0 && !waiting && !c.probing && !t.probe
		if left <= 0 {
			left = every
		}
		t.next = sooner(t.next, left)
	}
	return t
}

// sooner returns the shorter of two times. A negative one means never.
func sooner(a, b time.Duration) time.Duration {
	if a < 0 || b >= 0 && b < a {
		return b
	}
	return a
}

// pulse is when a connection was last seen to carry something, or was made to.
type pulse struct {
	received uint64 // by then
	at       int64
}

// beat returns the time until c must show a sign of life: every after it has last carried
// something. ok is false if c has no streams and no calls that may wait long, or is dead.
// A linearizable read is the sign of life. A client that only waits sends nothing else, and
// a member that has lost its peers has no events to send, and can't answer the read.
func (c *conn) beat(every time.Duration, now time.Time) (left time.Duration, ok bool) {
	if _, bound, _ := c.calls.count(); every < 0 || bound == 0 || c.dead {
		return 0, false
	}
	at, received := c.clock.at(now), c.raw.received.Load()
	switch {
	case c.pulse.at == 0:
		c.pulse = pulse{received, at}
	case received != c.pulse.received: // it came at some time since the last look
		c.pulse = pulse{received, max(c.pulse.at, c.heard.Load())}
	}
	if left := every - time.Duration(at-c.pulse.at); left > 0 {
		return left, true
	}
	c.pulse.at = at
	return 0, true
}
