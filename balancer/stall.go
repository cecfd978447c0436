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
// the others never. So the policy looks after requests that wait too long.
//
// When the oldest request on a connection has waited for longer than the
// suspicion time, the policy asks the member two questions, on that same
// connection, and the standby one:
//
//	is it there?     grpc.health.v1 Check, which etcd answers from memory
//	does it serve?   a linearizable read, which takes the leader and a quorum
//	would another?   both, asked of the standby
//
// A member that answers neither question, while the standby answers, is severed:
// its connection is broken, and what was under way fails at once. When both are
// silent it may be this process or the whole network that is slow, and it takes
// a longer silence. One that is there and can't serve, while
// the standby can, is demoted, and its connection retired. One that serves has
// slow requests, which are left alone, or has lost a write: lost it is when the
// raft term has changed since it was sent (its proposal went to a leader that is
// no more), or when it waits for longer than slowness explains. Then too the
// connection is retired.
const (
	minSuspicion     = 250 * time.Millisecond
	maxSuspicion     = time.Second
	defaultSuspicion = 500 * time.Millisecond // while no latency is known
	suspicionFactor  = 8                      // times the usual latency
	// maxSilence is when a member is severed that is as silent as the others, or
	// the only one.
	maxSilence = 2 * time.Second
	// maxQueueing bounds what requests that wait add to the patience.
	maxQueueing = time.Second
	// drain is how long a retired connection lives on, for what will still be
	// answered.
	drain = 300 * time.Millisecond
	// lostAfter is when a write on a member that serves others is given up, unless
	// lostFactor times the usual latency is longer. etcd's own limit is 7 s.
	lostAfter  = 5 * time.Second
	lostFactor = 20
)

var (
	errStalled    = errors.New("stalled: requests and probes stay unanswered")
	errCantRead   = errors.New("stalled: it answers no linearizable read while another member does")
	errNotServing = errors.New("it reports NOT_SERVING")
	errLostCall   = errors.New("retired: it serves, but has lost a write")
)

// suspicion is how long a request on m may wait before it is looked after.
func (m *member) suspicion() time.Duration {
	l := time.Duration(m.latency.Load())
	if l == 0 {
		return defaultSuspicion
	}
	return min(max(suspicionFactor*l, minSuspicion), maxSuspicion)
}

// watch sets the watchdog if it is not set. Each request calls it.
func (p *policy) watch() {
	if !p.watching.Load() && p.watching.CompareAndSwap(false, true) {
		p.watchdog.Reset(minSuspicion)
	}
}

// inspect is the watchdog: it looks at every connection's oldest request, and
// comes again when the next one will have waited for too long.
func (p *policy) inspect() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	// Requests from now on set the watchdog again, if this does not.
	p.watching.Store(false)
	now := time.Now()
	next := time.Duration(0)
	for _, m := range p.members {
		if !m.ready() {
			continue
		}
		slot, ok := m.link.oldest(m.link.slotAt(now))
		if !ok {
			continue
		}
		left := m.suspicion() - time.Duration(m.link.slotAt(now)-slot)*slotTime
		if left <= 0 {
			p.probeLocked(m)
			left = minSuspicion
		}
		if next == 0 || left < next {
			next = left
		}
	}
	if next > 0 && p.watching.CompareAndSwap(false, true) {
		p.watchdog.Reset(max(next, slotTime))
	}
}

// probeLocked asks m, and the standby beside it, in a goroutine.
func (p *policy) probeLocked(m *member) {
	l := m.link
	if l.probing {
		return
	}
	l.probing = true
	var other *link
	for _, o := range p.members {
		if o != m && o.ready() && (other == nil || o.usable(time.Now())) {
			other = o.link
		}
	}
	p.opts.Logger.Debug("etcd: endpoint suspected", "endpoint", m.name)
	// A burst of requests makes a member slow before its latency tells: it gets
	// the time that it takes to answer all of them one by one.
	queueing := min(time.Duration(l.count())*time.Duration(m.latency.Load()), maxQueueing)
	patience := m.suspicion() + queueing
	p.probes.Go(func() {
		begun := l.slotAt(time.Now())
		v := p.probe(l, other, patience)
		// A member that is slow under load answers others meanwhile.
		v.there = v.there || l.heard.Load() > begun
		if l.agreed.Load() > begun {
			v.serves = nil
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		l.probing = false
		if p.closed || m.link != l {
			return
		}
		p.judgeLocked(m, v)
	})
}

// verdict is what the probes found.
type verdict struct {
	there  bool  // some answer came
	serves error // nil when it served the linearizable read

	otherThere, otherServes bool // the same of another member
}

func (p *policy) judgeLocked(m *member, v verdict) {
	switch {
	case !v.there && (v.otherThere || m.link.silence(time.Now()) >= maxSilence):
		p.severLocked(m)
	case !v.there:
		return
	case v.serves != nil && v.otherServes:
		p.demoteLocked(m, v.serves)
		p.retireLocked(m, v.serves)
	case v.serves != nil:
		// The cluster is in trouble, not this member: an election, or no quorum.
		return
	case m.link.lost(time.Now(), time.Duration(m.latency.Load())):
		p.retireLocked(m, errLostCall)
	default:
		return
	}
	p.stepLocked()
}

// lost reports whether a write on a member that serves others will not be
// answered any more. Reads are not lost: the server asks again for them.
func (l *link) lost(now time.Time, latency time.Duration) bool {
	slot, ok := l.writes.oldest(l.slotAt(now))
	if !ok {
		return false
	}
	age := time.Duration(l.slotAt(now)-slot) * slotTime
	return slot < l.termSince.Load() || age > max(lostAfter, lostFactor*latency)
}

// severLocked breaks m's connection: all that is under way on it fails now.
func (p *policy) severLocked(m *member) {
	p.opts.Logger.Warn("etcd: endpoint severed", "endpoint", m.name, "cause", errStalled)
	l, active := m.link, m == p.active
	p.failedLocked(m, errStalled)
	l.wire.sever()
	if active {
		p.newRoundsLocked()
	}
}

// retireLocked takes m's connection out of use. What is under way on it may end
// until drain has passed, and fails then.
func (p *policy) retireLocked(m *member, cause error) {
	p.opts.Logger.Warn("etcd: connection retired", "endpoint", m.name, "cause", cause)
	l := m.link
	p.failedLocked(m, cause)
	m.suspect = errors.Is(cause, errCantRead)
	time.AfterFunc(drain, l.wire.sever)
}

// probe asks l, and other if there is one, and waits for patience at most.
func (p *policy) probe(l, other *link, patience time.Duration) verdict {
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	type answer struct {
		kind int
		err  error
	}
	const health, read, otherHealth, otherRead = 0, 1, 2, 3
	answers := make(chan answer, 4)
	ask := func(kind int, on *link, f func(context.Context, grpc.ClientConnInterface) error) {
		p.probes.Go(func() {
			producer, release := on.sc.GetOrBuildProducer(prober{})
			defer release()
			cc, _ := producer.(grpc.ClientConnInterface)
			answers <- answer{kind, f(ctx, cc)}
		})
	}
	ask(health, l, checkHealth)
	ask(read, l, func(ctx context.Context, cc grpc.ClientConnInterface) error { return readProbe(ctx, cc, l) })
	want := 2
	if other != nil {
		ask(otherHealth, other, checkHealth)
		ask(otherRead, other, func(ctx context.Context, cc grpc.ClientConnInterface) error { return readProbe(ctx, cc, other) })
		want += 2
	}
	v := verdict{serves: errCantRead}
	notServing := false
	for range want {
		a := <-answers // each ends with ctx at the latest
		answered := a.err == nil || ctx.Err() == nil || status.Code(a.err) != codes.DeadlineExceeded
		switch {
		case !answered:
		case a.kind == otherHealth:
			v.otherThere = true
		case a.kind == otherRead:
			v.otherThere, v.otherServes = true, a.err == nil
		case a.kind == read:
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
func checkHealth(ctx context.Context, cc grpc.ClientConnInterface) error {
	resp, err := healthpb.NewHealthClient(cc).Check(ctx, &healthpb.HealthCheckRequest{})
	if err == nil && resp.Status == healthpb.HealthCheckResponse_NOT_SERVING {
		return errNotServing
	}
	return err
}

// readProbe is served by a member that has a leader and a quorum. It has no
// token: a refusal for that comes after the agreement that is asked about, or
// shows as well that the member works.
func readProbe(ctx context.Context, cc grpc.ClientConnInterface, l *link) error {
	ctx = metadata.AppendToOutgoingContext(ctx, rpctypes.MetadataRequireLeaderKey, rpctypes.MetadataHasLeader)
	resp, err := pb.NewKVClient(cc).Range(ctx, &pb.RangeRequest{Key: []byte{0}, CountOnly: true})
	if err == nil {
		l.observeTerm(resp.GetHeader().GetRaftTerm(), time.Now())
		return nil
	}
	switch status.Code(err) {
	case codes.InvalidArgument, codes.PermissionDenied, codes.Unauthenticated:
		return nil
	default:
		return err
	}
}

// prober is a Producer that hands out the means to send RPCs on one SubConn.
type prober struct{}

func (prober) Build(cc any) (balancer.Producer, func()) { return cc, func() {} }
