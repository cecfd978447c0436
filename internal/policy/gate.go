package policy

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/getcd/getcd/internal/attempt"
	"github.com/getcd/getcd/internal/backoff"
	"github.com/getcd/getcd/internal/etcderr"
)

// When the active member is lost or can't serve, the member that takes over may not know
// yet that the leader is gone. It would accept a write and forward it to nobody. The write
// would be lost, and the client would learn seconds later that it may or may not have been
// applied. So after such trouble writes wait, unsent, until a member gives proof: it serves
// a linearizable read that was begun after the trouble, which takes a leader and a quorum.
// That takes a round trip when only a follower was lost, and as long as the election when
// the leader was. A request that waits was certainly not applied.
//
// A new raft term is such trouble, too: the active member may be the former leader, cut off
// from the others or with a disk that hangs, and answer nothing of what it is sent.
//
// A new client begins in the same way, since an election may be going on. It asks for the
// proof together with the question who the member is (identity.go), so the proof costs
// nothing when all is well.
//
// When all connected members say that they have no leader, linearizable reads wait for the
// proof too, instead of being refused again and again.

// gate decides which requests wait for the proof. All but closed is guarded by policy.mu.
type gate struct {
	// since is when the last trouble began: a request that was begun before proves
	// nothing. Zero means that there was no trouble.
	since time.Time
	// elected is the newest raft term; 0 as long as there was one term only. A request proves
	// nothing that was begun before the term was known, unless its answer has that term.
	elected uint64
	level   level
	closed  atomic.Bool // equals level != open; lets finish look without the mutex
}

// level says which requests a gate keeps back.
type level uint8

const (
	open         level = iota // nothing
	writes                    // requests that may change something
	linearizable              // all requests that take consensus
)

// holds reports whether an RPC with the Attempt a waits. Nothing is known of an RPC
// without one.
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
	// The bounds of the pauses between two requests for a proof to one member. Within
	// them a pause is a twentieth of the time since the first request.
	minProofPause = 20 * time.Millisecond
	maxProofPause = 250 * time.Millisecond
	// proofTime is how long one such request may take. A member answers by itself when
	// an election ends; the limit is for requests that were lost.
	proofTime = time.Second
)

// trouble demands a new proof, by a request begun after since, from the active member,
// whichever that will be.
func (g *gate) trouble(since time.Time) {
	if since.After(g.since) {
		g.since = since
	}
}

// passes reports whether c has given the proof.
func (g *gate) passes(c *conn) bool {
	if !g.since.IsZero() && !c.provenSince(g.since) {
		return false
	}
	return g.elected == 0 || c.provenTerm.Load() >= g.elected || c.proof.Load() >= c.clock.termSince.Load()
}

// untroubled reports whether there has been no trouble at all.
func (g *gate) untroubled() bool { return g.since.IsZero() && g.elected == 0 }

// set opens or closes the gate for the active member; nil when there is none.
func (g *gate) set(active *member, now time.Time) {
	switch {
	case active == nil || g.untroubled() || g.passes(active.conn):
		g.level = open
	case active.demotion.lasts(now):
		g.level = linearizable
	default:
		g.level = writes
	}
	g.closed.Store(g.level != open)
}

// overtaken reports whether another member has given its proof and the active one, which
// became so at elected, has not followed within its lag, as members do after an election.
// Then the active one has not noticed yet what is wrong with it. next is when to look
// again; zero means never.
func (g *gate) overtaken(active *member, members []*member, elected, now time.Time) (yes bool, next time.Time) {
	if g.level == open {
		return false, time.Time{}
	}
	for _, m := range members {
		if m == active || !m.ready() || !m.usable(now) || !g.passes(m.conn) {
			continue
		}
		// A member that has just become the active one has that long too. One of a better
		// tier becomes active as soon as it is back.
		c := m.conn
		since := max(c.agreed.Load(), c.clock.at(elected))
		left := active.lag() - time.Duration(c.clock.at(now)-since)
		if left <= 0 {
			return true, time.Time{}
		}
		next = earliest(next, now.Add(left))
	}
	return false, next
}

// prove asks m for a linearizable read again and again, until it serves one or the gate
// opens. A member that has said that it has no leader, as waits says in the beginning, is asked to
// wait for one from then on: otherwise all clients of a cluster would ask it many times a second
// during an election.
func (p *policy) prove(m *member, c *conn, waits bool) {
	for begun := time.Now(); ; {
		start, err := p.proof(m, c, waits)
		switch {
		case err == nil:
			p.served(m, c, start)
		case etcderr.CantServe(err):
			p.refused(m, start, err)
			waits = true
		}
		if p.proved(m, c, err == nil) {
			return
		}
		backoff.Sleep(p.ctx, min(max(time.Since(begun)/20, minProofPause), maxProofPause))
	}
}

// proof asks m once, and returns when the read was begun.
func (p *policy) proof(m *member, c *conn, waits bool) (start time.Time, err error) {
	if !waits {
		p.mu.Lock()
		since := p.gate.since
		p.mu.Unlock()
		return c.linearizable(p.ctx, since, proofTime)
	}
	start = time.Now()
	p.keepDemoted(m, start.Add(proofTime+maxProofPause))
	ctx, cancel := context.WithTimeout(p.ctx, proofTime)
	defer cancel()
	return start, c.readProbe(ctx, true, nil)
}

// keepDemoted has m's demotion last until then, since it is asked to wait for a leader.
func (p *policy) keepDemoted(m *member, until time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if m.demotion.cause != nil && m.demotion.until.Before(until) {
		m.demotion.until = until
	}
}

// proved reports whether prove can stop. serves tells whether m has just served the read.
func (p *policy) proved(m *member, c *conn, serves bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	done := p.closed || m.conn != c || !p.gate.closed.Load() ||
		serves && p.gate.passes(c)
	c.proving = c.proving && !done
	return done
}
