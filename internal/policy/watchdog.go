package policy

import (
	"sync/atomic"
	"time"
)

// watchdog says when a connection has to be looked after. It runs at once when a request
// may have waited for too long, and not at all while nothing waits.
type watchdog struct {
	clock *clock
	timer *time.Timer
	set   atomic.Bool  // the timer is, for the shortest suspicion
	due   atomic.Int64 // when it should run, by which it tells its own lateness
}

// wake sets the watchdog if it is not set. Each request and each message of a stream
// calls it.
func (w *watchdog) wake() {
	if !w.set.Load() && w.set.CompareAndSwap(false, true) {
		w.runIn(minSuspicion)
	}
}

func (w *watchdog) runIn(d time.Duration) {
	w.due.Store(w.clock.at(time.Now().Add(d)))
	w.timer.Reset(d)
}

// runs is told that the timer has run.
func (w *watchdog) runs(now time.Time) {
	// Requests from now on set the watchdog again, if runAgain does not.
	w.set.Store(false)
	if late := time.Duration(w.clock.at(now) - w.due.Load()); late > turn {
		w.clock.book(late, now)
	}
}

// runAgain sets the watchdog for when the next request will have waited for too long;
// a negative time means that none waits.
func (w *watchdog) runAgain(next time.Duration) {
	switch {
	case next < 0:
	case next > minSuspicion: // a request that begins meanwhile may want it sooner
		w.runIn(next)
		if w.set.Load() {
			w.runIn(minSuspicion) // one has begun just now
		}
	case w.set.CompareAndSwap(false, true):
		w.runIn(max(next, turn))
	}
}

// task is what is to be done about a connection.
type task struct {
	probe bool          // ask its member now, and another one beside it
	read  bool          // have it carry a read now
	next  time.Duration // when to look again; negative for never
}

// look says what is to be done about c. every is the pulse interval, negative for never.
func (w *watchdog) look(c *conn, every time.Duration, now time.Time) task {
	t := task{next: -1}
	if left, ok := c.suspectIn(now); ok && c.askable(now) {
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

// sooner returns the sooner of two times, of which a negative one is never.
func sooner(a, b time.Duration) time.Duration {
	if a < 0 || b >= 0 && b < a {
		return b
	}
	return a
}

// pulse is when a connection was last seen to carry something, or had to.
type pulse struct {
	received uint64 // by then
	at       int64
}

// beat returns when a connection is to carry something that has streams, or calls that
// wait by their nature, and has carried nothing for the pulse interval; ok is false for
// others. A linearizable read is the one sign of life of a client that only waits, and of
// the member's peers: one that has lost them has no events to tell either. An answer that
// is late is looked after like that of any other request.
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
