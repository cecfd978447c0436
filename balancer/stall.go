package balancer

import (
	"context"
	"errors"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
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
// What the answers mean comes in two steps, since moving on costs nothing and
// breaking a connection leaves writes in doubt. After doubtAfter a member that
// is silent while the other speaks, or can't serve while the other can, is
// doubted: new requests and the streams go elsewhere; what waits on it may yet
// be answered. After its whole patience comes the verdict.
//
// A member that answers neither question, while the other answers, is severed:
// its connection is broken, and what was under way fails at once. When both are
// silent it may be this process or the whole network that is slow, and it takes
// a longer silence. One that is there and can't serve, while the other can, is
// demoted, and its connection retired. When neither can, an election is going
// on, or there is no quorum; hold.go says what then. One that serves has
// slow requests, which are left alone, or has lost a write: lost it is when the
// raft term has changed since it was sent (its proposal went to a leader that is
// no more), or when it waits for longer than slowness explains. Then too the
// connection is retired.
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
	// maxSilence is when a member is severed that is as silent as the others, or
	// the only one.
	maxSilence = 2 * time.Second
	// muteTime is for how long two members that are silent together are passed over
	// for others.
	muteTime = time.Second
	// maxQueueing bounds what requests that wait add to the patience.
	maxQueueing = time.Second
	// drain is how long a retired connection lives on, for what will still be
	// answered.
	drain = 200 * time.Millisecond
	// lostAfter is when a write on a member that serves others is given up, unless
	// lostFactor times the usual latency is longer. etcd's own limit is 7 s.
	lostAfter  = 5 * time.Second
	lostFactor = 20
)

var (
	errDoubted    = errors.New("doubted: it is slower to answer than another member")
	errSilent     = errors.New("stalled: requests and probes stay unanswered")
	errCantRead   = errors.New("stalled: it answers no linearizable read while another member does")
	errNotServing = errors.New("it reports NOT_SERVING")
	errOvertaken  = errors.New("stalled: it serves no linearizable read after an election, while another member does")
	errLostWrite  = errors.New("retired: it serves, but has lost a write")
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
		p.watchdog.Reset(minSuspicion)
	}
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
	next := time.Duration(-1)
	for _, m := range p.members {
		if !m.ready() {
			continue
		}
		left, ok := m.suspectIn(now)
		if !ok {
			continue
		}
		if left <= 0 {
			p.probeLocked(m)
			left = again
		}
		if next < 0 || left < next {
			next = left
		}
	}
	if next >= 0 && p.watching.CompareAndSwap(false, true) {
		p.watchdog.Reset(max(next, slotTime))
	}
}

// suspectIn is the time from now until something on m's connection will have
// waited for too long; ok is false when nothing waits.
func (m *member) suspectIn(now time.Time) (left time.Duration, ok bool) {
	l, suspicion := m.link, m.suspicion()
	if slot, waits := l.oldest(l.clock.slotAt(now)); waits {
		left, ok = suspicion-l.clock.since(slot, now), true
	}
	for _, f := range l.flows {
		if at, waits := f.suspectAt(suspicion); waits {
			in := time.Duration(at) - now.Sub(l.clock.epoch)
			if !ok || in < left {
				left, ok = in, true
			}
		}
	}
	return left, ok
}

// probeLocked asks m, and another beside it, in a goroutine.
func (p *policy) probeLocked(m *member) {
	l := m.link
	if l.probing {
		return
	}
	l.probing = true
	p.counters.probes.Add(1)
	var beside *member
	var other *link
	for _, o := range p.members {
		if o != m && o.ready() && (other == nil || o.usable(time.Now())) {
			beside, other = o, o.link
		}
	}
	p.opts.Logger.Debug("etcd: endpoint suspected", "endpoint", m.name)
	// A burst of requests makes a member slow before its latency tells: it gets
	// the time that it takes to answer all of them one by one.
	queueing := min(time.Duration(l.count())*time.Duration(m.latency.Load()), maxQueueing)
	patience := max(m.suspicion(), minPatience) + queueing
	stop := make(chan struct{}, 1)
	l.askAnew = stop
	p.probes.Go(func() {
		start := time.Now()
		v := p.probe(l, other, patience, stop, func(v verdict) { p.doubt(m, l, v, start) })
		p.mu.Lock()
		defer p.mu.Unlock()
		l.probing = false
		switch {
		case p.closed || m.link != l:
			return
		case l.outdated:
			l.outdated = false
			p.probeLocked(m)
			return
		}
		p.judgeLocked(m, beside, v.heard(l, start), start)
	})
}

// verdict is what the probes found.
type verdict struct {
	there  bool  // some answer came
	serves error // nil when it served the linearizable read

	otherThere, otherServes bool // the same of another member
}

// heard adds what requests have shown since: a member that is slow under load
// answers others meanwhile.
func (v verdict) heard(l *link, since time.Time) verdict {
	slot := l.clock.slotAt(since)
	v.there = v.there || l.heard.Load() > slot
	if l.agreed.Load() > slot {
		v.serves = nil
	}
	return v
}

// worse reports whether the other member is the better one to ask.
func (v verdict) worse() bool {
	return v.otherThere && !v.there || v.otherServes && v.serves != nil
}

// doubt is told what is known after doubtAfter. New requests leave a member that
// is doubted, and so do streams. The verdict on it ends the doubt.
func (p *policy) doubt(m *member, l *link, v verdict, start time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	v = v.heard(l, start)
	if p.closed || m.link != l || l.outdated || !v.worse() {
		return
	}
	if v.otherServes && m.superseded(time.Now()) {
		// What it was sent is lost, and it knows less than the other.
		p.demoteLocked(m, errOvertaken)
		p.retireLocked(m, errOvertaken)
	} else {
		p.doubtLocked(m, start)
	}
	p.stepLocked()
}

// superseded reports whether a write waits on m, for a suspiciously long time,
// that was sent before the newest raft term was known. Its proposal went to a
// leader that is no more. (Younger ones may have been sent in the new term.)
func (m *member) superseded(now time.Time) bool {
	l := m.link
	slot, ok := l.writes.oldest(l.clock.slotAt(now))
	return ok && slot < l.clock.termSince.Load() && l.clock.since(slot, now) >= m.suspicion()
}

// reviewLocked looks, after an election, at the members on which writes wait from
// before it. What they were asked already may have been answered from before it,
// too.
func (p *policy) reviewLocked() {
	for _, m := range p.members {
		if !m.ready() || !m.superseded(time.Now()) {
			continue
		}
		if m.link.probing {
			m.link.outdated = true
			select {
			case m.link.askAnew <- struct{}{}:
			default:
			}
		} else {
			p.probeLocked(m)
		}
	}
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

func (p *policy) judgeLocked(m, beside *member, v verdict, start time.Time) {
	m.link.doubted = false
	switch {
	case !v.there && (v.otherThere || m.link.silence(time.Now()) >= maxSilence):
		p.severLocked(m)
	case v.serves != nil && v.otherServes:
		p.demoteLocked(m, v.serves)
		p.retireLocked(m, v.serves)
	case v.serves != nil:
		// The cluster is in trouble, or this process; not this member. But if both
		// are silent a third is worth a try.
		if !v.there && beside != nil {
			m.muteTill = time.Now().Add(muteTime)
			beside.muteTill = m.muteTill
		}
		if p.takesLocked(m) {
			p.troubleLocked(start)
		}
	case m.lostWrite(time.Now()):
		p.retireLocked(m, errLostWrite)
	default:
		m.link.owed[0].Store(0)
		m.link.owed[1].Store(0)
		for _, f := range m.link.flows {
			f.due.Store(0)
			f.asked.Store(f.last.Load())
		}
	}
	p.stepLocked()
}

// lostWrite reports whether a write on m, which serves others, will not be
// answered any more. Reads are not lost: the server asks again for them.
func (m *member) lostWrite(now time.Time) bool {
	slot, ok := m.link.writes.oldest(m.link.clock.slotAt(now))
	tooLong := max(lostAfter, lostFactor*time.Duration(m.latency.Load()))
	return ok && (m.superseded(now) || m.link.clock.since(slot, now) > tooLong)
}

// severLocked breaks m's connection: all that is under way on it fails now.
func (p *policy) severLocked(m *member) {
	p.opts.Logger.Warn("etcd: endpoint severed", "endpoint", m.name, "cause", errSilent)
	p.counters.severed.Add(1)
	l, active := m.link, p.takesLocked(m)
	p.failedLocked(m, errSilent)
	l.wire.sever()
	if active {
		p.troubleLocked(time.Now())
		p.newRoundsLocked()
	}
}

// retireLocked takes m's connection out of use. What is under way on it may end
// until drain has passed, and fails then.
func (p *policy) retireLocked(m *member, cause error) {
	p.opts.Logger.Warn("etcd: connection retired", "endpoint", m.name, "cause", cause)
	p.counters.retired.Add(1)
	l := m.link
	p.failedLocked(m, cause)
	m.suspect = !errors.Is(cause, errLostWrite)
	time.AfterFunc(drain, l.wire.sever)
}

// question is what a probe asks, and of whom.
type question struct {
	other, read bool
}

// probe asks l, and other if there is one, and waits for patience at most, or
// until it is stopped. It calls doubt with what it knows after doubtAfter, unless
// it knows all by then.
func (p *policy) probe(l, other *link, patience time.Duration, stop <-chan struct{}, doubt func(verdict)) verdict {
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	type answer struct {
		to  question
		err error
	}
	answers := make(chan answer, 4)
	want := 0
	ask := func(to question, on *link) {
		want++
		p.probes.Go(func() {
			if to.read {
				answers <- answer{to, on.readProbe(ctx)}
			} else {
				answers <- answer{to, on.checkHealth(ctx)}
			}
		})
	}
	ask(question{}, l)
	ask(question{read: true}, l)
	if other != nil {
		ask(question{other: true}, other)
		ask(question{other: true, read: true}, other)
	}
	v := verdict{serves: errCantRead}
	notServing := false
	early := time.NewTimer(doubtAfter)
	defer early.Stop()
	for want > 0 {
		var a answer
		select {
		case <-early.C:
			doubt(v)
			continue
		case <-stop:
			return v
		case a = <-answers: // each ends with ctx at the latest
			want--
		}
		answered := a.err == nil || ctx.Err() == nil || status.Code(a.err) != codes.DeadlineExceeded
		switch {
		case !answered:
		case a.to.other && a.to.read:
			v.otherThere, v.otherServes = true, a.err == nil
		case a.to.other:
			v.otherThere = true
		case a.to.read:
			v.there = true
			v.serves = a.err
		default:
			v.there = true
			notServing = errors.Is(a.err, errNotServing)
		}
	}
	if notServing {
		v.serves = errNotServing
	}
	return v
}

// checkHealth is answered from memory by a member that runs. Any answer shows
// that it is there, that it does not know the service as well.
func (l *link) checkHealth(ctx context.Context) error {
	cc, release := l.rpcs()
	defer release()
	resp, err := healthpb.NewHealthClient(cc).Check(ctx, &healthpb.HealthCheckRequest{})
	if err == nil && resp.Status == healthpb.HealthCheckResponse_NOT_SERVING {
		return errNotServing
	}
	return err
}

// readProbe is served by a member that has a leader and a quorum. It has no
// token: a refusal for that comes after the agreement that is asked about, or
// shows as well that the member works.
func (l *link) readProbe(ctx context.Context) error {
	cc, release := l.rpcs()
	defer release()
	start := time.Now()
	ctx = metadata.AppendToOutgoingContext(ctx, rpctypes.MetadataRequireLeaderKey, rpctypes.MetadataHasLeader)
	resp, err := pb.NewKVClient(cc).Range(ctx, &pb.RangeRequest{Key: []byte{0}, CountOnly: true})
	switch status.Code(err) {
	case codes.OK:
		l.observeTerm(resp.GetHeader().GetRaftTerm()) //nolint:contextcheck // what follows is the policy's
	case codes.InvalidArgument, codes.PermissionDenied, codes.Unauthenticated:
	default:
		return err
	}
	l.hear(start, true)
	return nil
}

// rpcs is the means to send RPCs on the link, until release is called.
func (l *link) rpcs() (cc grpc.ClientConnInterface, release func()) {
	producer, release := l.sc.GetOrBuildProducer(prober{})
	cc, _ = producer.(grpc.ClientConnInterface)
	return cc, release
}

// prober is a Producer that hands out the means to send RPCs on one SubConn.
type prober struct{}

func (prober) Build(cc any) (balancer.Producer, func()) { return cc, func() {} }
