package policy

import (
	"context"
	"errors"
	"time"

	"github.com/getcd/getcd/internal/attempt"
	"github.com/getcd/getcd/internal/etcderr"
)

// A member can fall silent and keep its connections: a stopped process, a network
// that swallows everything, a disk that hangs, a member that has lost its peers
// and not noticed yet. HTTP/2's pings find the first two after many seconds, and
// the others never. So the policy looks after requests that wait too long, and
// after streams that fall out of their rhythm.
//
// When the oldest request on a connection has waited for longer than the
// suspicion time, the policy asks the member two questions, on that same
// connection, and another member too:
//
//	is it there?     grpc.health.v1 Check, which etcd answers from memory
//	does it serve?   a linearizable read, which takes the leader and a quorum
//	would another?   both, asked of the other
//
// Slow is not dead: while bytes move on the connection the questions have time,
// for they may be queued behind a large message (rawconn.go).
//
// What the answers mean comes in two steps. After doubtAfter a member that
// is silent while the other speaks, or can't serve while the other can, is
// doubted: new requests and the streams go elsewhere; what waits on it may yet
// be answered. After its whole patience the probe ends.
//
// A member that answers neither question, while the other answers, is silent: its
// connection is left for good. When both are silent it may be this process or the
// whole network that is slow, and it takes a longer silence. One that is there and
// can't serve, while the other can, is demoted. When neither can, an election is
// going on, or there is no quorum; gate.go says what then. One that serves has
// slow requests, which are left alone, or has lost a write.
//
// A verdict gives up at once what can be sent again. What can't, a write above all,
// is another decision, with a patience of its own: leave.go.
const (
	minSuspicion     = 100 * time.Millisecond
	maxSuspicion     = time.Second
	defaultSuspicion = 500 * time.Millisecond // while no latency is known
	suspicionFactor  = 8                      // times the usual latency
	// again is when a member whose requests still wait is asked again.
	again = 250 * time.Millisecond
	// doubtAfter is how long after the questions a member is doubted.
	doubtAfter = 60 * time.Millisecond
	// minPatience is the least time that a member has to answer them.
	minPatience = 400 * time.Millisecond
	// maxSilence is when a member is silent that is as silent as the others, or
	// the only one.
	maxSilence = 2 * time.Second
	// muteTime is for how long two members that are silent together are passed over
	// for others.
	muteTime = time.Second
	// maxQueueing bounds what requests that wait add to the patience.
	maxQueueing = time.Second
)

// ErrSilent is why a call was given up (GivenUp of its Attempt), or an endpoint left, whose
// member answered nothing while another one did.
var ErrSilent = errors.New("stalled: requests and probes stay unanswered")

var (
	errCantRead  = errors.New("stalled: it answers no linearizable read while another member does")
	errLostWrite = errors.New("it serves, but has lost the write")
)

// suspicion is how long a request on m may wait before it is looked after.
func (m *member) suspicion() time.Duration {
	c := time.Duration(m.latency.Load())
	if c == 0 {
		return defaultSuspicion
	}
	return min(max(suspicionFactor*c, minSuspicion), maxSuspicion)
}

// watch sets the watchdog if it is not set. Each request and each message of a
// stream calls it.
func (p *policy) watch() {
	if !p.watching.Load() && p.watching.CompareAndSwap(false, true) {
		p.inspectIn(minSuspicion)
	}
}

// inspectIn sets the watchdog. p.due lets it tell its own lateness.
func (p *policy) inspectIn(d time.Duration) {
	p.due.Store(p.clock.at(time.Now().Add(d)))
	p.watchdog.Reset(d)
}

// inspect is the watchdog: it looks at every connection's oldest request and its
// streams, and comes again when the next one will have waited for too long.
func (p *policy) inspect() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	// Requests from now on set the watchdog again, if this does not.
	p.watching.Store(false)
	now := time.Now()
	if late := time.Duration(p.clock.at(now) - p.due.Load()); late > turn {
		p.clock.book(late, now)
	}
	next := time.Duration(-1)
	look := func(in time.Duration, ok bool) {
		if ok && (next < 0 || in < next) {
			next = in
		}
	}
	for _, c := range p.connsLocked() {
		if left, ok := c.suspectIn(now); ok && p.askableLocked(c, now) {
			if left <= 0 {
				p.startProbeLocked(c)
				left = again
			}
			look(left, true)
		}
		look(p.giveUpLocked(c, now))
		look(p.pulseLocked(c, now))
	}
	switch {
	case next < 0:
	case next > minSuspicion: // a request that begins meanwhile may want it sooner
		p.inspectIn(next)
		if p.watching.Load() {
			p.inspectIn(minSuspicion) // one has begun just now
		}
	case p.watching.CompareAndSwap(false, true):
		p.inspectIn(max(next, turn))
	}
}

// linksLocked are the connections that are looked after: those that take calls, and
// those that were left with calls under way.
func (p *policy) connsLocked() []*conn {
	conns := append([]*conn(nil), p.left...)
	for _, m := range p.members {
		if m.ready() {
			conns = append(conns, m.conn)
		}
	}
	return conns
}

// askableLocked reports whether a probe of c could tell anything new.
func (p *policy) askableLocked(c *conn, now time.Time) bool {
	return !c.dead && !c.silent() && (c.verdict == nil || !c.member.demotion.lasts(now))
}

// suspectIn is the time from now until something on c will have waited for too
// long; ok is false when nothing waits.
func (c *conn) suspectIn(now time.Time) (left time.Duration, ok bool) {
	suspicion := c.member.suspicion()
	at := c.clock.at(now)
	if since, waits := c.oldest(); waits {
		left, ok = suspicion-time.Duration(at-since), true
	}
	for _, s := range c.streams {
		if due, waits := s.suspectAt(suspicion); waits {
			in := time.Duration(due - at)
			if !ok || in < left {
				left, ok = in, true
			}
		}
	}
	return left, ok
}

// besideLocked is another connected member to compare c's with: one that is usable,
// if there is one.
func (p *policy) besideLocked(c *conn) (beside *member) {
	for _, o := range p.members {
		if o.conn != c && o.ready() && (beside == nil || o.usable(time.Now())) {
			beside = o
		}
	}
	return beside
}

// startProbeLocked asks c's member, and another beside it, in a goroutine.
func (p *policy) startProbeLocked(c *conn) {
	if c.probing || !p.askableLocked(c, time.Now()) {
		return
	}
	c.probing = true
	p.counters.probes.Add(1)
	beside := p.besideLocked(c)
	var other *conn
	if beside != nil {
		other = beside.conn
	}
	m := c.member
	p.opts.Logger.Debug("etcd: endpoint suspected", "endpoint", m.name)
	// A burst of requests makes a member slow before its latency tells: it gets
	// the time that it takes to answer all of them one by one.
	waiting, _, _ := c.calls.count()
	queueing := min(time.Duration(waiting)*time.Duration(m.latency.Load()), maxQueueing)
	patience := max(m.suspicion(), minPatience) + queueing
	stop := make(chan struct{}, 1)
	c.askAnew = stop
	c.motion.begin(&c.raw, c.clock.at(time.Now()))
	p.probes.Go(func() {
		start := time.Now()
		f := p.probe(c, other, patience, stop, func(f findings) { p.compare(c, f, start) })
		p.mu.Lock()
		defer p.mu.Unlock()
		c.probing = false
		switch {
		case p.closed:
			return
		case c.outdated:
			c.outdated = false
			p.startProbeLocked(c)
			return
		}
		p.judgeLocked(c, beside, f.heard(c, start), start)
	})
}

// compare is told what a probe has found out after doubtAfter: a member that another one
// is ahead of is doubted, until the probe has ended.
func (p *policy) compare(c *conn, f findings, start time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || c.member.conn != c || c.outdated || !f.heard(c, start).worse() {
		return
	}
	p.doubtLocked(c.member, start)
	p.stepLocked()
}

// doubtLocked has new requests and streams leave m.
func (p *policy) doubtLocked(m *member, since time.Time) {
	p.opts.Logger.Debug("etcd: endpoint doubted", "endpoint", m.name)
	p.counters.doubts.Add(1)
	m.conn.doubted = true
	p.leaveLocked(m.conn, errDoubted)
	if p.takesLocked(m) {
		p.gate.trouble(since)
	}
}

// judgeLocked takes the consequences of a probe of c that was begun at start, beside
// another member or none.
func (p *policy) judgeLocked(c *conn, beside *member, f findings, start time.Time) {
	m := c.member
	current := m.conn == c
	c.doubted = false
	switch {
	case !f.there && (f.otherThere || c.silence(time.Now()) >= maxSilence):
		p.silentLocked(c, start)
	case f.readErr != nil && f.otherServes:
		if current {
			p.demoteLocked(m, f.readErr)
		}
		p.condemnLocked(c, f.readErr, start)
	case f.readErr != nil:
		// The cluster is in trouble, or this process; not this member. But if both
		// are silent a third is worth a try.
		if !f.there && beside != nil && current {
			m.mutedUntil = time.Now().Add(muteTime)
			beside.mutedUntil = m.mutedUntil
		}
		// Both connections to the only address may have reached one member.
		if p.single && beside != nil && current && beside.id.Load() == m.id.Load() && beside.ready() && p.rollLocked(beside, time.Now()) {
			p.dropLocked(beside)
		}
		if current && p.takesLocked(m) {
			p.gate.trouble(start)
		}
	default:
		c.verdict = nil
		c.owed[0].Store(0)
		c.owed[1].Store(0)
		for _, s := range c.streams {
			s.due.Store(0)
			s.asked.Store(s.last.Load())
		}
		p.lostLocked(c, time.Now())
	}
	p.stepLocked()
}

// silentLocked is the verdict on a connection whose member answers nothing.
func (p *policy) silentLocked(c *conn, start time.Time) {
	m := c.member
	p.opts.Logger.Warn("etcd: endpoint severed", "endpoint", m.name, "cause", ErrSilent)
	p.counters.severed.Add(1)
	p.condemnLocked(c, ErrSilent, start)
	for _, o := range p.left {
		if o.member == m && o.dead {
			p.condemnLocked(o, ErrSilent, start) // it can't be asked any more
		}
	}
	if m.conn != c {
		return
	}
	active := p.takesLocked(m)
	p.failedLocked(m, ErrSilent)
	if active {
		p.gate.trouble(time.Now())
		p.newRoundsLocked()
	}
}

// superseded reports whether a write waits on c, for a suspiciously long time,
// that was sent before the newest raft term was known. Its proposal went to a
// leader that is no more. (Younger ones may have been sent in the new term.)
func (c *conn) superseded(now time.Time) bool {
	start, _, ok := c.calls.oldest(costly)
	return ok && start < c.clock.termSince.Load() && time.Duration(c.clock.at(now)-start) >= c.member.suspicion()
}

// reviewLocked looks, after an election, at the members on which writes wait from
// before it. What they were asked already may have been answered from before it,
// too.
func (p *policy) reviewLocked() {
	for _, c := range p.connsLocked() {
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

// pulse is when a connection was last seen to carry something, or was asked.
type pulse struct {
	received uint64 // by then
	at       int64
}

// pulseLocked asks a connection that has streams, or calls that wait by their nature,
// and has carried nothing for the pulse interval, for a linearizable read; and says when
// to look again. It is the one sign of life of a client that only waits, and of the
// member's peers: one that has lost them has no events to tell either. An answer that is
// late is looked after like that of any other request.
func (p *policy) pulseLocked(c *conn, now time.Time) (in time.Duration, ok bool) {
	every := p.opts.pulse()
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
	if _, waiting := c.oldest(); !waiting && !c.probing {
		p.probes.Go(func() { p.ask(c) })
	}
	return every, true
}

// ask is a read that counts as a request under way.
func (p *policy) ask(c *conn) {
	ctx, cancel := context.WithTimeout(c.gone, maxProbe)
	defer cancel()
	r := p.newCall(&attempt.Attempt{Measure: true, Cancel: cancel}, &target{member: c.member, conn: c})
	c.calls.add(r)
	p.watch()
	switch err := c.readProbe(ctx); {
	case err == nil:
		c.member.observe(time.Since(r.start), false) // how quick it is when nothing else tells
	case ctx.Err() != nil:
		c.owe(r)
	case !c.raw.failed.Load():
		c.hear(r.start, false)
		if etcderr.CantServe(err) {
			p.refused(c.member, r.start, err)
		}
	}
	if c.calls.remove(r) && c.retired.Load() {
		p.emptied(c)
	}
	p.free(r)
}
