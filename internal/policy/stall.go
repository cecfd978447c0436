package policy

import (
	"context"
	"errors"
	"time"

	"github.com/getcd/getcd/internal/attempt"
	"github.com/getcd/getcd/internal/etcderr"
)

// A member can fall silent and keep its connections: a stopped process, a link
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
// for they may be queued behind a large message (wire.go).
//
// What the answers mean comes in two steps. After doubtAfter a member that
// is silent while the other speaks, or can't serve while the other can, is
// doubted: new requests and the streams go elsewhere; what waits on it may yet
// be answered. After its whole patience comes the verdict.
//
// A member that answers neither question, while the other answers, is silent: its
// connection is left for good. When both are silent it may be this process or the
// whole network that is slow, and it takes a longer silence. One that is there and
// can't serve, while the other can, is demoted. When neither can, an election is
// going on, or there is no quorum; hold.go says what then. One that serves has
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
	errDoubted    = errors.New("doubted: it is slower to answer than another member")
	errCantRead   = errors.New("stalled: it answers no linearizable read while another member does")
	errNotServing = errors.New("it reports NOT_SERVING")
	errLostWrite  = errors.New("it serves, but has lost the write")
)

// suspicion is how long a request on m may wait before it is looked after.
func (m *member) suspicion() time.Duration {
	l := time.Duration(m.latency.Load())
	if l == 0 {
		return defaultSuspicion
	}
	return min(max(suspicionFactor*l, minSuspicion), maxSuspicion)
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
	for _, l := range p.linksLocked() {
		if left, ok := l.suspectIn(now); ok && p.askableLocked(l, now) {
			if left <= 0 {
				p.probeLocked(l)
				left = again
			}
			look(left, true)
		}
		look(p.settleLocked(l, now))
		look(p.pulseLocked(l, now))
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
func (p *policy) linksLocked() []*link {
	links := append([]*link(nil), p.left...)
	for _, m := range p.members {
		if m.ready() {
			links = append(links, m.link)
		}
	}
	return links
}

// askableLocked reports whether a probe of l could tell anything new.
func (p *policy) askableLocked(l *link, now time.Time) bool {
	return !l.dead && !l.silent() && (l.verdict == nil || !l.member.shunnedAt(now))
}

// suspectIn is the time from now until something on l will have waited for too
// long; ok is false when nothing waits.
func (l *link) suspectIn(now time.Time) (left time.Duration, ok bool) {
	suspicion := l.member.suspicion()
	at := l.clock.at(now)
	if since, waits := l.oldest(); waits {
		left, ok = suspicion-time.Duration(at-since), true
	}
	for _, f := range l.flows {
		if due, waits := f.suspectAt(suspicion); waits {
			in := time.Duration(due - at)
			if !ok || in < left {
				left, ok = in, true
			}
		}
	}
	return left, ok
}

// besideLocked is another connected member to compare l's with: one that is usable,
// if there is one.
func (p *policy) besideLocked(l *link) (beside *member) {
	for _, o := range p.members {
		if o.link != l && o.ready() && (beside == nil || o.usable(time.Now())) {
			beside = o
		}
	}
	return beside
}

// probeLocked asks l's member, and another beside it, in a goroutine.
func (p *policy) probeLocked(l *link) {
	if l.probing || !p.askableLocked(l, time.Now()) {
		return
	}
	l.probing = true
	p.counters.probes.Add(1)
	beside := p.besideLocked(l)
	var other *link
	if beside != nil {
		other = beside.link
	}
	m := l.member
	p.opts.Logger.Debug("etcd: endpoint suspected", "endpoint", m.name)
	// A burst of requests makes a member slow before its latency tells: it gets
	// the time that it takes to answer all of them one by one.
	waiting, _, _ := l.calls.count()
	queueing := min(time.Duration(waiting)*time.Duration(m.latency.Load()), maxQueueing)
	patience := max(m.suspicion(), minPatience) + queueing
	stop := make(chan struct{}, 1)
	l.askAnew = stop
	l.motion.begin(&l.wire, l.clock.at(time.Now()))
	p.probes.Go(func() {
		start := time.Now()
		v := p.probe(l, other, patience, stop, func(v verdict) { p.doubt(l, v, start) })
		p.mu.Lock()
		defer p.mu.Unlock()
		l.probing = false
		switch {
		case p.closed:
			return
		case l.outdated:
			l.outdated = false
			p.probeLocked(l)
			return
		}
		p.judgeLocked(l, beside, v.heard(l, start), start)
	})
}

// doubt is told what is known after doubtAfter. New requests leave a member that
// is doubted, and so do streams. The verdict on it ends the doubt.
func (p *policy) doubt(l *link, v verdict, start time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || l.member.link != l || l.outdated || !v.heard(l, start).worse() {
		return
	}
	p.doubtLocked(l.member, start)
	p.stepLocked()
}

func (p *policy) doubtLocked(m *member, since time.Time) {
	p.opts.Logger.Debug("etcd: endpoint doubted", "endpoint", m.name)
	p.counters.doubts.Add(1)
	m.link.doubted = true
	p.leaveLocked(m.link, errDoubted)
	if p.takesLocked(m) {
		p.troubleLocked(since)
	}
}

// judgeLocked takes the consequences of a probe of l that was begun at start, beside
// another member or none.
func (p *policy) judgeLocked(l *link, beside *member, v verdict, start time.Time) {
	m := l.member
	current := m.link == l
	l.doubted = false
	switch {
	case !v.there && (v.otherThere || l.silence(time.Now()) >= maxSilence):
		p.silentLocked(l, start)
	case v.serves != nil && v.otherServes:
		if current {
			p.demoteLocked(m, v.serves)
		}
		p.passLocked(l, v.serves, start)
	case v.serves != nil:
		// The cluster is in trouble, or this process; not this member. But if both
		// are silent a third is worth a try.
		if !v.there && beside != nil && current {
			m.muteTill = time.Now().Add(muteTime)
			beside.muteTill = m.muteTill
		}
		// Both connections to the only address may have reached one member.
		if p.single && beside != nil && current && beside.id.Load() == m.id.Load() && beside.ready() && p.rollLocked(beside, time.Now()) {
			p.dropLocked(beside)
		}
		if current && p.takesLocked(m) {
			p.troubleLocked(start)
		}
	default:
		l.verdict = nil
		l.owed[0].Store(0)
		l.owed[1].Store(0)
		for _, f := range l.flows {
			f.due.Store(0)
			f.asked.Store(f.last.Load())
		}
		p.lostLocked(l, time.Now())
	}
	p.stepLocked()
}

// silentLocked is the verdict on a connection whose member answers nothing.
func (p *policy) silentLocked(l *link, start time.Time) {
	m := l.member
	p.opts.Logger.Warn("etcd: endpoint severed", "endpoint", m.name, "cause", ErrSilent)
	p.counters.severed.Add(1)
	p.passLocked(l, ErrSilent, start)
	for _, o := range p.left {
		if o.member == m && o.dead {
			p.passLocked(o, ErrSilent, start) // it can't be asked any more
		}
	}
	if m.link != l {
		return
	}
	active := p.takesLocked(m)
	p.failedLocked(m, ErrSilent)
	if active {
		p.troubleLocked(time.Now())
		p.newRoundsLocked()
	}
}

// superseded reports whether a write waits on l, for a suspiciously long time,
// that was sent before the newest raft term was known. Its proposal went to a
// leader that is no more. (Younger ones may have been sent in the new term.)
func (l *link) superseded(now time.Time) bool {
	start, _, ok := l.calls.oldest(costly)
	return ok && start < l.clock.termSince.Load() && time.Duration(l.clock.at(now)-start) >= l.member.suspicion()
}

// reviewLocked looks, after an election, at the members on which writes wait from
// before it. What they were asked already may have been answered from before it,
// too.
func (p *policy) reviewLocked() {
	for _, l := range p.linksLocked() {
		if !l.superseded(time.Now()) {
			continue
		}
		if l.probing {
			l.outdated = true
			select {
			case l.askAnew <- struct{}{}:
			default:
			}
		} else {
			p.probeLocked(l)
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
func (p *policy) pulseLocked(l *link, now time.Time) (in time.Duration, ok bool) {
	every := p.opts.pulse()
	if _, held, _ := l.calls.count(); every < 0 || held == 0 || l.dead {
		return 0, false
	}
	at, received := l.clock.at(now), l.wire.received.Load()
	switch {
	case l.pulse.at == 0:
		l.pulse = pulse{received, at}
	case received != l.pulse.received: // it came at some time since the last look
		l.pulse = pulse{received, max(l.pulse.at, l.heard.Load())}
	}
	if left := every - time.Duration(at-l.pulse.at); left > 0 {
		return left, true
	}
	l.pulse.at = at
	if _, waiting := l.oldest(); !waiting && !l.probing {
		p.probes.Go(func() { p.ask(l) })
	}
	return every, true
}

// ask is a read that counts as a request under way.
func (p *policy) ask(l *link) {
	ctx, cancel := context.WithTimeout(l.gone, maxProbe)
	defer cancel()
	r := p.newCall(&attempt.Attempt{Measure: true, Cancel: cancel}, &connection{member: l.member, link: l})
	l.calls.add(r)
	p.watch()
	switch err := l.readProbe(ctx); {
	case err == nil:
		l.member.observe(time.Since(r.start), false) // how quick it is when nothing else tells
	case ctx.Err() != nil:
		l.owe(r)
	case !l.wire.failed.Load():
		l.hear(r.start, false)
		if etcderr.CantServe(err) {
			p.demote(l.member, r.start, err)
		}
	}
	if l.calls.remove(r) && l.leaving.Load() {
		p.emptied(l)
	}
	p.free(r)
}
