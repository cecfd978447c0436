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
// Leaving costs nothing: new requests, and the streams that can be opened again, go
// elsewhere. It is done at the first doubt, and for reasons that are nobody's fault:
// other endpoints, a better tier, a server that asks for it (HTTP/2's GOAWAY, RFC 9113
// section 6.8). A connection that was left lives on until the last call on it has
// ended, and is looked after for as long.
//
// Giving up a call that must not be sent again leaves its fate in doubt. So such a
// call is given up only when
//
//   - its connection has ended, or its context; grpc sees to these;
//   - its member is silent, or can't serve, another member has served since, and the
//     call has waited for longer than Options.Patience since bytes queued on the
//     connection and left: its own last byte had not left before, for all one knows;
//   - its member has lost it: it serves reads that were begun in a newer raft term
//     than that in which the call's last byte left, whose proposal went to a leader that
//     is no more; or it serves, and the call waits for much longer than slowness explains.
const (
	// DefaultPatience is what Options.Patience means when it is 0 (docs/patience.md has what others do).
	DefaultPatience = 2 * time.Second
	// lostAfter is when a write on a member that serves others is given up, unless
	// lostFactor times the usual latency is longer. etcd's own limit is 7 s, and it
	// tells the client (server/etcdserver/v3_server.go, ReqTimeout).
	lostAfter  = 10 * time.Second
	lostFactor = 20
)

// passLocked passes a verdict on l: what is under way on it is not expected to be
// answered. What can be sent again is given up now, and sent again elsewhere.
func (p *policy) passLocked(l *link, cause error, start time.Time) {
	if l.verdict == nil {
		l.verdictAt = l.clock.at(start)
	}
	l.verdict = cause
	l.calls.giveUp(cause, func(r *call) bool { return l.dooms(r.attempt) && !r.attempt.Once }) // costs nothing: not counted
	p.leaveLocked(l, cause)
	p.watch()
}

// settleLocked gives up what has waited for longer than the patience on a connection
// under a verdict, and says when to look again.
func (p *policy) settleLocked(l *link, now time.Time) (in time.Duration, ok bool) {
	if l.verdict == nil {
		return 0, false
	}
	answered := l.agreed.Load()
	if l.silent() {
		answered = l.heard.Load()
	}
	if answered > l.verdictAt {
		l.verdict = nil // it serves after all
		return 0, false
	}
	l.motion.moves(&l.wire, l.clock.at(now))
	moved := l.lastLeft()
	if l.silent() {
		moved = max(moved, l.motion.in) // otherwise what comes in is something else's: the member answers, and can't serve
	}
	patience, served := p.opts.patience(), p.servedSinceLocked(l)
	next := time.Duration(-1)
	given, kept, stuck := l.calls.giveUp(l.verdict, func(r *call) bool {
		since := max(r.at, moved)
		switch {
		case !l.dooms(r.attempt):
			return false
		case !r.attempt.Once:
			return true
		case r.kind == patient:
			since = max(since, l.verdictAt)
		}
		left := patience - l.clock.waited(since, r.late, now)
		if left <= 0 && served {
			return true
		}
		if left <= 0 {
			left = again // nobody serves; who begins to sets the watchdog
		}
		if left = max(left, turn); next < 0 || left < next {
			next = left
		}
		return false
	})
	p.gaveUp(l, given, l.verdict)
	if l.silent() && kept == 0 && stuck > 0 {
		l.wire.sever()
	}
	return next, next >= 0
}

// lastLeft is when something left last that took its time.
func (l *link) lastLeft() int64 { return max(l.motion.out, l.wire.wrote.Load()) }

// dooms reports whether a is affected by the verdict on l: what any member serves is not
// when its member can't serve the rest, as while it defragments.
func (l *link) dooms(a *attempt.Attempt) bool { return l.silent() || !a.AnyMember }

// silent reports whether the verdict on l is that its member answers nothing.
func (l *link) silent() bool { return l.verdict == ErrSilent } //nolint:errorlint // the very value

// servedSinceLocked reports whether another connection has served a linearizable read
// since the verdict on l.
func (p *policy) servedSinceLocked(l *link) bool {
	return slices.ContainsFunc(p.members, func(m *member) bool {
		return m.ready() && m.link != l && m.link.agreed.Load() >= l.verdictAt
	})
}

// lostLocked gives up the writes on l, which serves others, that will not be answered
// any more. Reads are not lost: the server asks again for them.
func (p *policy) lostLocked(l *link, now time.Time) {
	at, term := l.clock.at(now), l.clock.termSince.Load()
	if l.proof.Load() < term {
		l.caughtUp = 0
	} else if l.caughtUp < term {
		l.caughtUp = at
	}
	// A write that the member has forwarded to the new leader is answered a moment
	// after the first read.
	overtaken := l.caughtUp != 0 && time.Duration(at-l.caughtUp) >= max(l.member.suspicion(), again)
	moves := l.motion.moves(&l.wire, at)
	// A request that was on its way when the term began has gone to no leader of before,
	// nor has a small one behind it. Small ones alone leave as they are sent.
	var left int64
	if l.calls.large() {
		left = l.lastLeft()
	}
	tooLong := max(lostAfter, lostFactor*time.Duration(l.member.latency.Load()))
	given, _, _ := l.calls.giveUp(errLostWrite, func(r *call) bool {
		return r.kind == costly && (max(r.at, left) < term && overtaken || !moves && l.clock.waited(max(r.at, l.motion.last), r.late, now) > tooLong)
	})
	p.gaveUp(l, given, errLostWrite)
}

func (p *policy) gaveUp(l *link, calls int, cause error) {
	if calls > 0 {
		p.opts.Logger.Warn("etcd: calls given up", "endpoint", l.member.name, "calls", calls, "cause", cause)
		p.counters.givenUp.Add(uint64(calls))
	}
}

// leaveLocked has streams leave l, which lives on for now.
func (p *policy) leaveLocked(l *link, cause error) {
	l.end(cause)
	l.life, l.end = context.WithCancelCause(l.gone)
}

// dropLocked takes m's connection out of use. It is closed with the last call that
// is under way on it.
func (p *policy) dropLocked(m *member) {
	l := m.link
	if l == nil {
		m.setState(connectivity.Idle)
		m.setRole(balancer.Idle)
		return
	}
	ready := m.ready()
	m.link = nil
	m.setState(connectivity.Idle)
	m.setRole(balancer.Idle)
	l.end(errLeft)
	l.leaving.Store(true) // before the calls are counted: the last one looks at it
	_, held, calls := l.calls.count()
	if p.closed || !ready || calls == 0 {
		p.closeLocked(l)
		return
	}
	// A connection that was lost has calls for a moment, until grpc ends them; one
	// whose server is leaving has them until they are answered.
	if lost := l.dead && l.wire.failed.Load(); held > 0 && l.verdict == nil && !lost {
		p.opts.Logger.Debug("etcd: connection handed over", "endpoint", m.name, "calls", held)
		p.counters.handedOver.Add(1)
	}
	p.left = append(p.left, l)
	p.watch()
}

// emptied is told that the last call on l, which was left, has ended.
func (p *policy) emptied(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, _, calls := l.calls.count(); calls > 0 {
		return
	}
	if i := slices.Index(p.left, l); i >= 0 {
		p.left = slices.Delete(p.left, i, i+1)
		p.closeLocked(l)
	}
}

// closeLocked ends l: at once when nothing more is expected of it. grpc waits for its
// last bytes to leave, for seconds on a connection that is stuck, so nobody waits for
// grpc.
func (p *policy) closeLocked(l *link) {
	l.abandon()
	if l.verdict != nil {
		l.wire.sever()
	}
	p.probes.Go(l.sc.Shutdown)
}
