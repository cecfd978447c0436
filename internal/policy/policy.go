package policy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	grpcbalancer "google.golang.org/grpc/balancer"
	"google.golang.org/grpc/connectivity"
)

// Name is the policy's name in a gRPC service config.
const Name = "getcd_failover"

// ServiceConfig is the gRPC service config that selects the policy.
const ServiceConfig = `{"loadBalancingConfig":[{"` + Name + `":{}}]}`

var (
	errLost = errors.New("connection lost")
	errLeft = errors.New("connection given up")
)

// gRPC looks policies up by name in its global registry. There is no other way to give one
// to a ClientConn.
func init() { grpcbalancer.Register(builder{}) }

type builder struct{}

func (builder) Name() string { return Name }

func (builder) Build(cc grpcbalancer.ClientConn, _ grpcbalancer.BuildOptions) grpcbalancer.Balancer {
	p := &policy{
		cc: cc, clock: clock{epoch: time.Now()},
		opts: Options{Table: NewTable(), Logger: slog.New(slog.DiscardHandler)},
	}
	p.counters = &p.opts.Table.counters
	p.timer = time.AfterFunc(time.Hour, p.wake)
	p.timer.Stop()
	p.watchdog.clock = &p.clock
	p.watchdog.timer = time.AfterFunc(time.Hour, p.inspect)
	p.watchdog.timer.Stop()
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p
}

// policy is the state machine. Each event (addresses, a connection's state, an answer, the
// timer) changes some member and then calls stepLocked, which derives everything else from
// the members: which one serves, which to dial, when to look again.
//
// Lock order: policy.mu before calls.mu, before Table.mu and before gRPC's own locks. gRPC
// calls the policy without holding a connection's lock.
type policy struct {
	cc    grpcbalancer.ClientConn // read-only
	clock clock

	mu      sync.Mutex
	closed  bool
	opts    Options
	members []*member // in the resolver's order; those no longer listed come last
	active  *member   // nil while none is connected
	standby *member
	elected time.Time // when active last changed
	rounds  int       // rounds in a row that connected none
	paused  time.Time // no dialing until then
	// replaced is when a lost connection is to be replaced, while another member serves.
	replaced time.Time
	dialed   time.Time // when any member was last dialed
	lapsed   []*member // left the list after they were dialed a moment ago
	left     []*conn   // connections that take no new calls and still have some
	single   bool      // there is one address, which may lead to many members
	cluster  uint64    // the cluster that this client is for; 0 while unknown
	state    connectivity.State
	shown    []row // as last published
	timer    *time.Timer

	counters *counters // the table's

	discreet atomic.Bool // members have refused to tell their status without a token

	gate      gate
	shownGate level // as last published

	// Who leads, for Routing.WritesToLeader; see leader.go.
	leader     uint64 // the member ID of raft's leader; 0 while unknown
	leaderTerm uint64 // the raft term in which it leads
	seeking    bool   // seek runs
	following  bool   // follow runs

	// For watching over silent connections; see watchdog.go.
	calls    sync.Pool // of *call
	watchdog watchdog
	probes   sync.WaitGroup
	ctx      context.Context //nolint:containedctx // of the probes, from Build to Close
	cancel   context.CancelFunc
}

// UpdateClientConnState takes the resolver's newest list. Members that are still listed keep
// their connections. The active one is kept until another is connected, even if it is no
// longer listed.
func (p *policy) UpdateClientConnState(s grpcbalancer.ClientConnState) error {
	listed := endpoints(s.ResolverState)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	if o, ok := s.ResolverState.Attributes.Value(optionsKey{}).(Options); ok {
		p.opts, p.counters = o, &o.Table.counters
	}
	if len(listed) == 0 {
		p.opts.Logger.Warn("etcd: kept the known endpoints", "cause", "the resolver gave no addresses")
		return grpcbalancer.ErrBadResolverState
	}
	if p.opts.Routing.WritesToLeader && p.opts.Pulse >= 0 && !p.following {
		p.following = true
		pulse := p.opts.pulse()
		p.probes.Go(func() { p.follow(pulse) })
	}
	now := time.Now()
	old := p.members
	p.members = nil
	p.lapsed = slices.DeleteFunc(p.lapsed, func(m *member) bool { return now.Sub(m.dialed) >= redial })
	fresh := false
	if p.gate.since.IsZero() && !p.opts.OneMember {
		p.gate.trouble(p.clock.epoch) // nothing is proven yet
	}
	p.single = len(listed) == 2 && sameAddress(listed[0].addr, listed[1].addr)
	for _, e := range listed {
		i := slices.IndexFunc(old, func(m *member) bool { return sameAddress(m.addr, e.addr) })
		var m *member
		if i >= 0 {
			m = old[i]
			old = slices.Delete(old, i, i+1)
		} else {
			for slices.ContainsFunc(slices.Concat(p.members, old), func(m *member) bool { return m.name == e.name }) {
				e.name += "#2" // the member that had the name first is still in use
			}
			m, fresh = newMember(e), true
			// A member that left the list and is back is not dialed sooner.
			if i := slices.IndexFunc(p.lapsed, func(c *member) bool { return c.name == m.name }); i >= 0 {
				m.dialed = p.lapsed[i].dialed
			}
		}
		m.update(e)
		m.index, m.unlisted = len(p.members), false
		p.members = append(p.members, m)
	}
	for _, m := range old {
		if m != p.active {
			p.dropLocked(m)
			p.lapsed = append(p.lapsed, m)
			continue
		}
		m.unlisted, m.index = true, len(p.members)
		p.members = append(p.members, m)
	}
	if fresh {
		p.newRoundsLocked()
	}
	p.stepLocked()
	return nil
}

// ResolverError is called when the resolver has no addresses at all. There is nothing to do
// but wait, since the resolver tries again by itself.
func (p *policy) ResolverError(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.members) > 0 {
		return
	}
	p.opts.Logger.Warn("etcd: no endpoints", "cause", err)
	p.rounds = max(p.rounds, 1)
	p.publishLocked()
}

// UpdateSubConnState is not called: each SubConn has a listener.
func (p *policy) UpdateSubConnState(grpcbalancer.SubConn, grpcbalancer.SubConnState) {}

// ExitIdle begins to dial, if the policy has not begun yet. It shortens no pause.
func (p *policy) ExitIdle() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.stepLocked()
	}
}

// Close gives up all connections. RPCs in flight end as with grpc.ClientConn.Close.
func (p *policy) Close() {
	defer p.probes.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.cancel()
	p.timer.Stop()
	p.watchdog.timer.Stop()
	for _, m := range p.members {
		if m.conn != nil {
			if _, _, calls := m.conn.calls.count(); calls > 0 {
				m.conn.raw.sever() // ends them now; otherwise a full buffer would have to leave first
			}
		}
		p.dropLocked(m)
	}
	for _, c := range p.left {
		c.raw.sever() // gRPC no longer tracks it if its server was leaving
		p.shutDownLocked(c)
	}
	p.members, p.active, p.standby, p.left = nil, nil, nil, nil
	p.opts.Table.publish(nil, nil, true)
}

func (p *policy) wake() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.stepLocked()
	}
}

// newRoundsLocked forgets the failures that slow dialing down.
func (p *policy) newRoundsLocked() {
	p.rounds, p.paused = 0, time.Time{}
	for _, m := range p.members {
		m.tried = false
	}
}

func (p *policy) failedLocked(m *member, err error) {
	p.dropLocked(m)
	m.failed, m.lastErr = true, err
	p.opts.Logger.Debug("etcd: connection failed", "endpoint", m.name, "cause", err)
}

// connectionChanged is gRPC's listener for c. gRPC calls it for one change at a time.
func (p *policy) connectionChanged(m *member, c *conn, s grpcbalancer.SubConnState) {
	p.mu.Lock()
	defer p.mu.Unlock()
	down := s.ConnectivityState == connectivity.Idle || s.ConnectivityState == connectivity.Shutdown
	c.dead = c.dead || down
	if p.closed || m.conn != c {
		return // the connection has been given up already
	}
	switch s.ConnectivityState {
	case connectivity.Connecting:
		return
	case connectivity.Ready:
		if !p.opts.OneMember {
			c.greeted = true
			p.probes.Go(func() { p.introduce(m, c) })
			return
		}
		p.readyLocked(m, c)
	case connectivity.TransientFailure:
		// The next attempt uses a new SubConn, so that the policy decides when to dial,
		// not gRPC's backoff per address.
		p.failedLocked(m, s.ConnectionError)
		p.dialed = time.Time{} // the next member is dialed at once
	default: // the connection is lost, or its server is leaving
		if p.takesLocked(m) {
			p.gate.trouble(time.Now())
			p.newRoundsLocked()
		}
		p.failedLocked(m, errLost)
		p.replaced = time.Now().Add(rand.N(spread))
	}
	p.stepLocked()
}

// readyLocked puts m, which is connected and has said who it is, into use.
func (p *policy) readyLocked(m *member, c *conn) {
	m.setState(connectivity.Ready)
	m.conn.introduced.Store(true)
	m.failed = false
	p.rounds, p.paused = 0, time.Time{}
	p.probes.Go(func() { p.watchHealth(m, c) })
	if pings := p.opts.Pings; pings > 0 {
		p.probes.Go(func() { c.calm(pings) })
	}
	p.opts.Logger.Debug("etcd: connected", "endpoint", m.name)
}

// stepLocked derives everything else from the members' states.
func (p *policy) stepLocked() {
	now := time.Now()
	p.rerollLocked(now)
	p.electLocked(now)
	p.setGateLocked(now)
	next := p.watchGateLocked(now)
	next = earliest(next, p.connectLocked(now))
	// When a demotion ends, another member may have to serve.
	for _, m := range p.members {
		if m.ready() && m.demotion.lasts(now) {
			next = earliest(next, m.demotion.until)
		}
		if m.ready() && now.Before(m.mutedUntil) {
			next = earliest(next, m.mutedUntil)
		}
	}
	p.publishLocked()
	if next.IsZero() {
		p.timer.Stop()
		return
	}
	p.timer.Reset(max(1, next.Sub(now)))
}

// setGateLocked sets the gate, and asks the members for the proof that opens it.
func (p *policy) setGateLocked(now time.Time) {
	p.gate.set(p.active, now)
	if p.gate.level == open {
		return
	}
	for _, m := range p.members {
		if c := m.conn; m.ready() && !c.proving {
			c.proving = true
			waits := m.refusesLocked(now)
			p.probes.Go(func() { p.prove(m, c, waits) })
		}
	}
}

// watchGateLocked doubts the active member if another one has overtaken it, and probes it.
// It returns when to look again; zero means never.
func (p *policy) watchGateLocked(now time.Time) (next time.Time) {
	overtaken, next := p.gate.overtaken(p.active, p.members, p.elected, now)
	if overtaken {
		c := p.active.conn
		p.doubtLocked(p.active, p.gate.since)
		p.startProbeLocked(c)
		p.electLocked(now)
		p.setGateLocked(now)
	}
	return next
}

// takesLocked reports whether m gets requests that need a leader and a quorum.
func (p *policy) takesLocked(m *member) bool {
	return m == p.active || m.ready() && (p.opts.Routing.SpreadReads || p.leadsLocked(m))
}

// refused is told that m has refused an RPC, begun at start, because it can't serve.
func (p *policy) refused(m *member, start time.Time, cause error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || !m.ready() {
		return
	}
	if !start.After(m.demotion.changed) {
		return // the request is older than the last demotion
	}
	p.demoteLocked(m, cause)
	p.stepLocked()
}

func (p *policy) demoteLocked(m *member, cause error) {
	if m.demotion.cause == nil {
		p.opts.Logger.Warn("etcd: endpoint demoted", "endpoint", m.name, "cause", cause)
	}
	p.counters.demotions.Add(1)
	if p.takesLocked(m) {
		p.gate.trouble(time.Now())
		p.newRoundsLocked() // another member is needed sooner than a standby would be
	}
	p.leaveLocked(m.conn, cause)
	m.demotion.begin(cause, time.Now())
	m.demoted.Store(true)
	m.lastErr = fmt.Errorf("demoted: %w", cause)
}

func (p *policy) restoreLocked(m *member) {
	m.demotion.lift(time.Now())
	m.demoted.Store(false)
	if m.conn != nil {
		m.conn.verdict = nil
	}
	p.opts.Logger.Info("etcd: endpoint serves again", "endpoint", m.name)
}

// earliest returns the earlier of two times. Zero means never.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// served is told that m has served a request, begun at start, that takes consensus. This
// ends m's demotion, and may open the gate.
func (p *policy) served(m *member, c *conn, start time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || m.conn != c {
		return
	}
	if len(p.left) > 0 {
		p.watchdog.wake() // calls may have waited for a member to serve before they are given up
	}
	if m.demotion.cause != nil && !c.notServing && !start.Before(m.demotion.changed) { // a member that reports NOT_SERVING will report when it serves
		p.restoreLocked(m)
	}
	p.stepLocked()
}

// inspect runs when the watchdog fires. It checks every connection and sets the watchdog
// again.
func (p *policy) inspect() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	now := time.Now()
	p.watchdog.runs(now)
	next := time.Duration(-1)
	for _, c := range p.connsLocked() {
		t := p.watchdog.look(c, p.opts.pulse(), now)
		if t.probe {
			p.startProbeLocked(c)
		}
		next = sooner(next, t.next)
		if in, ok := p.giveUpOverdueLocked(c, now); ok {
			next = sooner(next, in)
		}
		if t.read {
			p.probes.Go(func() { p.ask(c) })
		}
	}
	p.watchdog.runAgain(next)
}

// connsLocked returns the connections that are watched: those that take calls, and those
// that were left with calls in flight.
func (p *policy) connsLocked() []*conn {
	conns := append([]*conn(nil), p.left...)
	for _, m := range p.members {
		if m.ready() {
			conns = append(conns, m.conn)
		}
	}
	return conns
}

// besideLocked returns another connected member to compare c's with, preferably a usable
// one.
func (p *policy) besideLocked(c *conn) (beside *member) {
	for _, o := range p.members {
		if o.conn != c && o.ready() && (beside == nil || o.usable(time.Now())) {
			beside = o
		}
	}
	return beside
}

// startProbeLocked probes c's member, and another one for comparison, in a goroutine.
func (p *policy) startProbeLocked(c *conn) {
	if c.probing || !c.askable(time.Now()) {
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
	// A burst of requests slows a member down before its average latency shows it. So the
	// member gets the time that it needs to answer all of them one by one.
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
		case c.gone.Err() != nil: // the last call on it has ended meanwhile, or the policy is closed
			return
		case c.outdated:
			c.outdated = false
			p.startProbeLocked(c)
			return
		}
		p.judgeLocked(c, beside, f.heard(c, start), start)
	})
}

// compare gets a probe's findings after the member's lag. If the other member is ahead, c's member
// is doubted until the probe ends.
func (p *policy) compare(c *conn, f findings, start time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || c.member.conn != c || c.outdated || !f.heard(c, start).worse() {
		return
	}
	p.doubtLocked(c.member, start)
	p.stepLocked()
}

// doubtLocked makes new requests and streams leave m.
func (p *policy) doubtLocked(m *member, since time.Time) {
	p.opts.Logger.Debug("etcd: endpoint doubted", "endpoint", m.name)
	p.counters.doubts.Add(1)
	m.conn.doubted = true
	p.leaveLocked(m.conn, errDoubted)
	if p.takesLocked(m) {
		p.gate.trouble(since)
	}
}

// judgeLocked acts on a probe of c that was begun at start. beside is the member that was
// asked for comparison; nil if there was none.
func (p *policy) judgeLocked(c *conn, beside *member, f findings, start time.Time) {
	m := c.member
	current := m.conn == c
	c.doubted = false
	result := f.outcome(c, time.Now())
	// A write that an election has lost is given up when its member has served for a while.
	lost := result == serves && c.superseded(time.Now())
	if !lost && (result == serves || result == nobodyServes) {
		c.rest(start)
		if beside != nil && beside.ready() && f.otherThere {
			beside.conn.rest(start) // it was asked the same
		}
	}
	switch result {
	case silent:
		p.leaveSilentLocked(c, start)
	case cantServe:
		if current {
			p.demoteLocked(m, f.readErr)
		}
		p.condemnLocked(c, f.readErr, start)
	case full:
		if current {
			p.demoteLocked(m, errFull)
		}
		p.condemnLocked(c, errFull, start)
	case nobodyServes:
		// This member is not to blame. But if both are silent, or have served nothing for long, try
		// a third one.
		if beside != nil && current && (!f.there || c.silence(time.Now()) >= maxSilence || c.failures.Load() >= maxVague) {
			m.mutedUntil = time.Now().Add(muteTime)
			beside.mutedUntil = m.mutedUntil
		}
		// Both connections to the only address may have reached one member.
		if p.single && beside != nil && current && beside.id.Load() == m.id.Load() && beside.ready() && p.rollLocked(beside, time.Now()) {
			p.dropLocked(beside)
		}
		// While the gate is closed the members are asked for the proof already.
		if current && p.takesLocked(m) && p.gate.level == open {
			p.gate.trouble(start)
		}
	case serves:
		m.observeOwn(f.took)
		c.verdict = nil
		c.failures.Store(0)
		c.owed[0].Store(0)
		c.owed[1].Store(0)
		for _, s := range c.streams {
			s.due.Store(0)
			s.asked.Store(s.last.Load())
		}
		p.giveUpLostLocked(c, time.Now())
	}
	p.stepLocked()
}

// leaveSilentLocked passes the verdict on a connection whose member answers nothing.
func (p *policy) leaveSilentLocked(c *conn, start time.Time) {
	m := c.member
	p.opts.Logger.Warn("etcd: endpoint severed", "endpoint", m.name, "cause", ErrSilent)
	p.counters.severed.Add(1)
	p.condemnLocked(c, ErrSilent, start)
	for _, o := range p.left {
		if o.member == m && o.dead {
			p.condemnLocked(o, ErrSilent, start) // it can't be probed
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
