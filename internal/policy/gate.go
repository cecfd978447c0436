package policy

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/getcd/getcd/internal/attempt"
	"github.com/getcd/getcd/internal/backoff"
	"github.com/getcd/getcd/internal/etcderr"
)

// When the member that served is lost, or can't serve, the one that takes over
// may not know yet that the leader is gone: it accepts a write, passes it on to
// nobody, and the write is lost; the client learns seconds later that it may or
// may not have been applied. Therefore writes wait, unsent, until a member has
// served a linearizable read that was begun after the trouble: that takes a
// leader and a quorum. When only a follower was lost this takes a round trip;
// when the leader was, the election. Requests that wait so are certain not to
// have been applied.
//
// A client that is new begins in the same way: for all it knows, an election is going
// on. The proof is asked for beside the question who the member is (identity.go), and
// so costs nothing when all is well.
//
// When all connected members say that they have no leader, linearizable reads
// wait for that proof as well, instead of being refused again and again.

// gate decides what waits for the proof. It is guarded by policy.mu, but for closed.
type gate struct {
	// since is when the last trouble began: a request that was begun before it proves
	// nothing. Zero means that there was none.
	since  time.Time
	level  level
	closed atomic.Bool // equals level != open; lets an answer find out cheaply
}

// level says what a gate keeps back.
type level uint8

const (
	open         level = iota
	writes             // what writes
	linearizable       // all that takes an agreement of the members
)

// holds reports whether a waits at a gate of that level. A nil Attempt is a request of
// which nothing is known.
func (l level) holds(a *attempt.Attempt) bool {
	switch l {
	case writes:
		return a != nil && a.Write
	case linearizable:
		return a == nil || !a.AnyMember
	default:
		return false
	}
}

const (
	// The pauses between two proofs asked of one member; in between a twentieth of
	// the time that it took so far.
	minProofPause = 20 * time.Millisecond
	maxProofPause = 250 * time.Millisecond
	// grace is how much later than another the active member may give its proof.
	grace = 50 * time.Millisecond
	// proofTime is how long one of them may take. A member answers when an election
	// ends, by itself; this is for those that were lost.
	proofTime = time.Second
)

// trouble has the active member, whoever it will be, prove that it serves: with a
// request begun after since.
func (g *gate) trouble(since time.Time) {
	if since.After(g.since) {
		g.since = since
	}
}

// passes reports whether c has given the proof.
func (g *gate) passes(c *conn) bool { return c.provenSince(g.since) }

// set opens or closes the gate for the active member; nil when there is none.
func (g *gate) set(active *member, now time.Time) {
	switch {
	case active == nil || g.since.IsZero() || g.passes(active.conn):
		g.level = open
	case active.demotion.lasts(now):
		g.level = linearizable
	default:
		g.level = writes
	}
	g.closed.Store(g.level != open)
}

// overtaken reports whether another member than the active one has given its proof, and
// the active one, elected then, has not followed within grace, as members do after an
// election: it has not noticed yet what is wrong with it. next is when to look again; zero
// for never.
func (g *gate) overtaken(active *member, members []*member, elected, now time.Time) (yes bool, next time.Time) {
	if g.level == open {
		return false, time.Time{}
	}
	for _, m := range members {
		if m == active || !m.ready() || !m.usable(now) || !g.passes(m.conn) {
			continue
		}
		// A member that has just become the active one, as one of a better tier does that
		// comes back, has that long as well.
		c := m.conn
		since := max(c.agreed.Load(), c.clock.at(elected))
		left := grace - time.Duration(c.clock.at(now)-since)
		if left <= 0 {
			return true, time.Time{}
		}
		next = earliest(next, now.Add(left))
	}
	return false, next
}

// prove asks m for a linearizable read again and again, until it serves one or
// the gate is open.
func (p *policy) prove(m *member, c *conn) {
	for begun := time.Now(); ; {
		start := time.Now()
		ctx, cancel := context.WithTimeout(p.ctx, proofTime)
		err := c.readProbe(ctx)
		cancel()
		switch {
		case err == nil:
			p.served(m, c, start)
		case etcderr.CantServe(err):
			p.refused(m, start, err)
		}
		if p.proved(m, c, err == nil) {
			return
		}
		backoff.Sleep(p.ctx, min(max(time.Since(begun)/20, minProofPause), maxProofPause))
	}
}

// proved reports whether m need not prove anything any more, after it has just
// done so or not.
func (p *policy) proved(m *member, c *conn, serves bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	done := p.closed || m.conn != c || !p.gate.closed.Load() ||
		serves && p.gate.passes(c)
	c.proving = c.proving && !done
	return done
}
