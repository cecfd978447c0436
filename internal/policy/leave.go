package policy

import (
	"context"
	"slices"
	"time"

	"google.golang.org/grpc/connectivity"

	"github.com/getcd/getcd/balancer"
	"github.com/getcd/getcd/internal/attempt"
)

// Leaving a connection and giving up what is under way on it are two decisions.
//
// Leaving costs nothing: new requests, and streams that can be opened again, go elsewhere.
// The policy leaves a connection as soon as its member is doubted, and also when nothing is
// wrong with it: other endpoints were set, a better tier is back, or the server asks for it
// (HTTP/2's GOAWAY, RFC 9113 section 6.8). A connection that was left lives on until the
// last call on it has ended, and is watched until then.
//
// Giving up a call that must not be sent again leaves its fate unknown, and giving up a large
// write costs the time in which it leaves once more. So such a call is given up only in these
// cases:
//
//   - Its connection or its context has ended. gRPC handles both.
//   - Its member is silent or can't serve, another member has served since, and the call has
//     waited for longer than Options.Patience. The wait counts from when queued bytes last
//     left on the connection, since the call's own last byte may have been among them.
//   - Its member has lost it. Either the member serves reads that were begun in a newer raft
//     term than the one in which the call's last byte left, so the proposal went to a former
//     leader; or the member serves, and the call has waited for much longer than slowness
//     can explain.
const (
	// DefaultPatience is what Options.Patience means when it is 0 (docs/measurements/patience.md has what others do).
	DefaultPatience = 2 * time.Second
	// lostAfter is after how long a write is given up on a member that serves others,
	// unless lostFactor times the usual latency is longer. etcd itself gives up after
	// 7 s, and says so (server/etcdserver/v3_server.go, ReqTimeout).
	lostAfter  = 10 * time.Second
	lostFactor = 20
)

// condemnLocked passes a verdict on c: the calls on it are not expected to be answered.
// Calls that can be sent again are given up now, so that their callers send them
// elsewhere.
func (p *policy) condemnLocked(c *conn, cause error, start time.Time) {
	if c.verdict == nil {
		c.verdictAt = c.clock.at(start)
	}
	c.verdict = cause
	c.calls.giveUp(cause, func(r *call) bool { return c.dooms(r.attempt) && !dear(r.attempt) }) // costs nothing: not counted
	p.leaveLocked(c, cause)
	p.watchdog.wake()
}

// giveUpOverdueLocked gives up the calls that have waited for longer than the patience on a
// connection with a verdict, and returns when to look again.
func (p *policy) giveUpOverdueLocked(c *conn, now time.Time) (in time.Duration, ok bool) {
	if c.verdict == nil {
		return 0, false
	}
	answered := c.agreed.Load()
	if c.silent() || c.full() {
		answered = c.heard.Load()
	}
	if answered > c.verdictAt {
		c.verdict = nil // it serves after all
		return 0, false
	}
	c.motion.moves(&c.raw, c.clock.at(now))
	moved := c.lastLeft()
	if c.silent() {
		moved = max(moved, c.motion.in) // otherwise what comes in is something else's: the member answers, and can't serve
	}
	patience, served := p.opts.patience(), p.servedSinceLocked(c)
	next := time.Duration(-1)
	given, kept, stuck := c.calls.giveUp(c.verdict, func(r *call) bool {
		since := max(r.at, moved)
		switch {
		case !c.dooms(r.attempt):
			return false
		case !dear(r.attempt):
			return true
		case r.kind == patient:
			since = max(since, c.verdictAt)
		}
		left := patience - c.clock.waited(since, r.late, now)
		if left <= 0 && served {
			return true
		}
		if left <= 0 {
			left = again // nobody serves; the first answer of one that does wakes the watchdog
		}
		if left = max(left, turn); next < 0 || left < next {
			next = left
		}
		return false
	})
	p.gaveUp(c, given, c.verdict)
	if c.silent() && kept == 0 && stuck > 0 {
		c.raw.sever()
	}
	return next, next >= 0
}

// dear reports whether it costs something to give a up: the caller's certainty, or the time in
// which a large request has to leave once more.
func dear(a *attempt.Attempt) bool { return a.Once || a.Write && a.Large }

// lastLeft returns when bytes left last that had to wait before.
func (c *conn) lastLeft() int64 { return max(c.motion.out, c.raw.wrote.Load()) }

// dooms reports whether the verdict on c concerns a. A member that can't serve, such as
// one that defragments, still answers requests that any member can serve. On a connection that
// is full, the requests that may wait long, such as locks, have the streams; others go, and so do
// streams that are yet to be opened, if they can be opened again.
func (c *conn) dooms(a *attempt.Attempt) bool {
	if c.full() {
		return a.Measure || a.Flow
	}
	return c.silent() || !a.AnyMember
}

// silent reports whether the verdict on c is that its member answers nothing.
func (c *conn) silent() bool { return c.verdict == ErrSilent } //nolint:errorlint // the very value

// full reports whether the verdict on c is that it has no stream for another request.
func (c *conn) full() bool { return c.verdict == errFull } //nolint:errorlint // the very value

// servedSinceLocked reports whether another connection has served a linearizable read
// since the verdict on c.
func (p *policy) servedSinceLocked(c *conn) bool {
	return slices.ContainsFunc(p.members, func(m *member) bool {
		return m.ready() && m.conn != c && m.conn.agreed.Load() >= c.verdictAt
	})
}

// giveUpLostLocked gives up the writes that c's member has lost, though it serves other requests.
// Reads are not lost, since the server itself asks the leader again for them.
func (p *policy) giveUpLostLocked(c *conn, now time.Time) {
	at, term := c.clock.at(now), c.clock.termSince.Load()
	if c.proof.Load() < term {
		c.caughtUp = 0
	} else if c.caughtUp < term {
		c.caughtUp = at
	}
	// If the member has forwarded a write to the new leader, its answer comes a moment
	// after the first read's.
	overtaken := c.caughtUp != 0 && time.Duration(at-c.caughtUp) >= max(c.member.suspicion(), again)
	moves := c.motion.moves(&c.raw, at)
	// A large request that was still leaving when the term began has not gone to the
	// former leader, and neither has a small one queued behind it. Without a large one,
	// requests leave at once.
	var left int64
	if c.calls.large() {
		left = c.lastLeft()
	}
	tooLong := max(lostAfter, lostFactor*time.Duration(c.member.latency.Load()))
	// A second copy of these costs nothing, so there is no need to be sure.
	c.calls.giveUp(ErrLostWrite, func(r *call) bool {
		return r.kind == repeatable && c.caughtUp != 0 && max(r.at, left) < term
	})
	given, _, _ := c.calls.giveUp(ErrLostWrite, func(r *call) bool {
		return r.kind == costly && (max(r.at, left) < term && overtaken || !moves && c.clock.waited(max(r.at, c.motion.last), r.late, now) > tooLong)
	})
	p.gaveUp(c, given, ErrLostWrite)
}

// reviewLocked probes, after an election, the members on which writes from before it wait.
// A probe that runs already starts over, since its answers may be from before the election.
// Writes of which a copy does no harm are not waited for: their callers send them again.
func (p *policy) reviewLocked() {
	for _, c := range p.connsLocked() {
		c.calls.giveUp(ErrLostWrite, func(r *call) bool {
			return r.kind == repeatable && !r.attempt.Large && r.at < c.clock.termSince.Load()
		})
		if !c.superseded(time.Now()) {
			continue
		}
		if c.probing {
			c.outdated = true
			select {
			case c.askAnew <- struct{}{}:
			default:
			}
		} else {
			p.startProbeLocked(c)
		}
	}
}

func (p *policy) gaveUp(c *conn, calls int, cause error) {
	if calls > 0 {
		p.opts.Logger.Warn("etcd: calls given up", "endpoint", c.member.name, "calls", calls, "cause", cause)
		p.counters.givenUp.Add(uint64(calls))
	}
}

// leaveLocked makes the streams leave c, which stays open.
func (p *policy) leaveLocked(c *conn, cause error) {
	c.end(cause)
	c.life, c.end = context.WithCancelCause(c.gone)
}

// dropLocked takes m's connection out of use. The connection is closed when the last call
// on it has ended.
func (p *policy) dropLocked(m *member) {
	c := m.conn
	if c == nil {
		m.setState(connectivity.Idle)
		m.setRole(balancer.Idle)
		return
	}
	ready := m.ready()
	m.conn = nil
	m.setState(connectivity.Idle)
	m.setRole(balancer.Idle)
	c.end(errLeft)
	c.retired.Store(true) // before the calls are counted: the last one looks at it
	_, bound, calls := c.calls.count()
	if p.closed || !ready || calls == 0 {
		p.shutDownLocked(c)
		return
	}
	// On a connection that was lost, gRPC ends the calls in a moment. On one whose server
	// is leaving, they go on until they are answered.
	if lost := c.dead && c.raw.failed.Load(); bound > 0 && c.verdict == nil && !lost {
		p.opts.Logger.Debug("etcd: connection handed over", "endpoint", m.name, "calls", bound)
		p.counters.handedOver.Add(1)
	}
	p.left = append(p.left, c)
	p.watchdog.wake()
}

// emptied is told that the last call on c, which was left, has ended.
func (p *policy) emptied(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, _, calls := c.calls.count(); calls > 0 {
		return
	}
	if i := slices.Index(p.left, c); i >= 0 {
		p.left = slices.Delete(p.left, i, i+1)
		p.shutDownLocked(c)
	}
}

// shutDownLocked closes c, at once if there is a verdict on it. gRPC waits until the last
// bytes have left, which takes seconds on a stuck connection, so nobody waits for gRPC.
func (p *policy) shutDownLocked(c *conn) {
	c.cancel()
	if c.verdict != nil {
		c.raw.sever()
	}
	p.probes.Go(c.sc.Shutdown)
}
