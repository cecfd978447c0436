package policy

import (
	"context"
	"time"

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

// held says what the picker keeps back.
type held uint8

const (
	nothing      held = iota
	writes            // what writes
	linearizable      // all that takes an agreement of the members
)

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

// troubleLocked has the active member, whoever it will be, prove that it serves:
// with a request begun after since.
func (p *policy) troubleLocked(since time.Time) {
	if since.After(p.troubled) {
		p.troubled = since
	}
}

// holdLocked says what to keep back, and sees to it that this ends.
func (p *policy) holdLocked(now time.Time) held {
	a := p.active
	held := a != nil && !p.troubled.IsZero() && !a.conn.provenSince(p.troubled)
	p.holding.Store(held)
	if !held {
		return nothing
	}
	for _, m := range p.members {
		if c := m.conn; m.ready() && !c.proving {
			c.proving = true
			p.probes.Go(func() { p.prove(m, c) })
		}
	}
	if a.demotion.lasts(now) {
		return linearizable
	}
	return writes
}

// overtakenLocked looks for a member that has given its proof, when the active one
// has not. If it does not follow within grace, as members do after an election,
// it has not noticed yet what is wrong with it; it is doubted, and asked.
func (p *policy) overtakenLocked(now time.Time) (next time.Time) {
	if !p.holding.Load() {
		return time.Time{}
	}
	for _, m := range p.members {
		if m == p.active || !m.ready() || !m.usable(now) || !m.conn.provenSince(p.troubled) {
			continue
		}
		// A member that has just become the active one, as one of a better tier does that
		// comes back, has that long as well.
		since := max(m.conn.agreed.Load(), p.clock.at(p.elected))
		if left := grace - time.Duration(p.clock.at(now)-since); left > 0 {
			next = earliest(next, now.Add(left))
			continue
		}
		a := p.active
		p.doubtLocked(a, p.troubled)
		p.startProbeLocked(a.conn)
		p.electLocked(now)
		p.held = p.holdLocked(now)
		return time.Time{}
	}
	return next
}

// prove asks m for a linearizable read again and again, until it serves one or
// nothing is held any more.
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
	done := p.closed || m.conn != c || !p.holding.Load() ||
		serves && c.provenSince(p.troubled)
	c.proving = c.proving && !done
	return done
}

// served is told that m has served a request, begun at start, that takes an
// agreement of the members: that ends its demotion, and lets go what was held.
func (p *policy) served(m *member, c *conn, start time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || m.conn != c {
		return
	}
	if len(p.left) > 0 {
		p.watch() // what has waited for somebody to serve
	}
	if m.demotion.cause != nil && !c.notServing && !start.Before(m.demotion.changed) { // one that reports NOT_SERVING says itself when it serves
		p.restoreLocked(m)
	}
	p.stepLocked()
}
