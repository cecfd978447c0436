package policy

import (
	"context"
	"sync/atomic"
	"time"

	grpcbalancer "google.golang.org/grpc/balancer"
)

// conn is one connection to a member: grpc's SubConn for it, the bytes below
// it, and what on it waits for an answer.
type conn struct {
	member *member
	sc     grpcbalancer.SubConn
	raw    rawConn
	policy *policy
	clock  *clock // the policy's

	gone    context.Context //nolint:containedctx // ends with the connection's use
	abandon context.CancelFunc

	calls calls // the RPCs under way
	// owed are when the oldest requests were begun that were abandoned, of those that
	// take an agreement of the members and of the others; they count as waiting
	// until an answer of that kind comes.
	owed [2]atomic.Int64
	// heard and agreed are when the last answer came, and the last that took an
	// agreement of the members.
	heard, agreed atomic.Int64
	heardLate     atomic.Int64 // how late the process had been by then
	// proof is when the youngest request was begun that took an agreement of the
	// members and was answered.
	proof atomic.Int64
	// retired is set when the connection takes no new calls, and is closed with the
	// last one under way.
	retired atomic.Bool

	// life ends when streams should no longer be here: the connection is gone,
	// or doubted. Guarded by policy.mu, as are the others.
	life       context.Context //nolint:containedctx // the connection's lifecycle
	end        context.CancelCauseFunc
	streams    []*streamHealth // the streams that are watched over
	notServing bool            // the member says NOT_SERVING
	// probing is set while the member is probed; askAnew ends that, and outdated has
	// it asked again then.
	probing  bool
	askAnew  chan<- struct{} // capacity 1
	outdated bool
	doubted  bool
	proving  bool
	motion   motion
	pulse    pulse
	dead     bool  // grpc can't send on it any more: it is lost, or its server is leaving
	caughtUp int64 // when it first served a read that was begun in the present raft term
	// verdict is why what is under way is not expected to be answered, and since when;
	// nil while it is.
	verdict   error
	verdictAt int64
}

// clock is the time since a policy began, in nanoseconds, and the cluster's raft
// term, which dates what members know of each other.
type clock struct {
	epoch time.Time

	term      atomic.Uint64 // the newest raft term that an answer told
	termSince atomic.Int64  // when that was first told

	// late is how much later than it wanted to this process has run, all in all: its
	// timers came late, or it stood still. Such time is not the members'.
	late   atomic.Int64
	booked atomic.Int64 // until when it has been counted
}

// book notes that this process was late by d at now. Several may notice the same.
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

// at is a moment in the policy's life; 0 stands for never.
func (c *clock) at(t time.Time) int64 { return max(1, int64(t.Sub(c.epoch))) }

// waited is how long a call that was begun at start, when the process had been late
// by late, has waited by now, without the time by which this process was late since.
func (c *clock) waited(start, late int64, now time.Time) time.Duration {
	return time.Duration(c.at(now) - start - (c.late.Load() - late))
}

// observeTerm notes the raft term that an answer told, and reports whether it is
// a new one.
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

// observeTerm notes the raft term that an answer on c told.
func (c *conn) observeTerm(term uint64) {
	if c.clock.observeTerm(term, time.Now()) {
		c.policy.termChanged()
	}
}

func newConn(p *policy, m *member) *conn {
	c := &conn{member: m, policy: p, clock: &p.clock}
	c.raw.clock = c.clock
	c.gone, c.abandon = context.WithCancel(p.ctx)
	c.life, c.end = context.WithCancelCause(c.gone)
	return c
}

// oldest returns when the oldest request was begun that waits for a prompt answer.
func (c *conn) oldest() (at int64, ok bool) {
	for _, k := range []kind{prompt, costly} {
		if t, _, waits := c.calls.oldest(k); waits && (!ok || t < at) {
			at, ok = t, true
		}
	}
	for i, answered := range []*atomic.Int64{&c.agreed, &c.heard} {
		if t := c.owed[i].Load(); t > answered.Load() && (!ok || t < at) {
			at, ok = t, true
		}
	}
	return at, ok
}

// silence is how long the oldest request has waited, or since when no answer has
// come if that is shorter.
func (c *conn) silence(now time.Time) time.Duration {
	since, ok := c.oldest()
	if !ok {
		return 0
	}
	late := c.clock.late.Load() // of an abandoned one it is not known
	for _, k := range []kind{prompt, costly} {
		if t, then, waits := c.calls.oldest(k); waits && t == since {
			late = then
		}
	}
	if heard := c.heard.Load(); heard >= since {
		since, late = heard, c.heardLate.Load()
	}
	return c.clock.waited(since, late, now)
}

// owe notes a request that was abandoned.
func (c *conn) owe(r *call) {
	owed, answered := &c.owed[0], &c.agreed
	if r.attempt.AnyMember {
		owed, answered = &c.owed[1], &c.heard
	}
	if old := owed.Load(); old <= answered.Load() {
		owed.CompareAndSwap(old, r.at) // a younger one need not be noted
	}
}

// hear notes an answer to a request that was begun at start; agreement says that
// it took one of the members.
func (c *conn) hear(start time.Time, agreement bool) {
	now := c.clock.at(time.Now())
	c.heard.Store(now)
	c.heardLate.Store(c.clock.late.Load())
	if !agreement {
		return
	}
	c.agreed.Store(now)
	began := c.clock.at(start)
	for old := c.proof.Load(); began > old; old = c.proof.Load() {
		if c.proof.CompareAndSwap(old, began) {
			return
		}
	}
}

// provenSince reports whether an agreement was reached over a request that was
// not begun before t.
func (c *conn) provenSince(t time.Time) bool {
	return c.proof.Load() >= c.clock.at(t)
}
