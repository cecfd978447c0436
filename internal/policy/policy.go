package policy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	grpcbalancer "google.golang.org/grpc/balancer"
	"google.golang.org/grpc/connectivity"

	"github.com/getcd/getcd/balancer"
)

// Name is the policy's name in a gRPC service config.
const Name = "getcd_failover"

// ServiceConfig is the gRPC service config that selects the policy.
const ServiceConfig = `{"loadBalancingConfig":[{"` + Name + `":{}}]}`

const (
	// dwell is the least time between switches among demoted members.
	dwell = 50 * time.Millisecond
)

var (
	errLost = errors.New("connection lost")
	errLeft = errors.New("connection given up")
)

// grpc looks policies up by name in a registry of its own; there is no other
// way to give one to a ClientConn.
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
	p.watchdog = time.AfterFunc(time.Hour, p.inspect)
	p.watchdog.Stop()
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p
}

// policy is the state machine. Each event (addresses, a connection's state, an
// answer, the timer) changes some member and then calls stepLocked, which
// derives from the members all that follows: who serves, whom to dial, when to
// look again.
//
// Lock order: policy.mu before Table.mu and before grpc's own locks. grpc calls
// the policy with none of its connection locks held.
type policy struct {
	cc    grpcbalancer.ClientConn // read-only
	clock clock

	mu      sync.Mutex
	closed  bool
	opts    Options
	members []*member // in the resolver's order, those that are no longer listed last
	active  *member   // nil while none is connected
	standby *member
	elected time.Time // when active last changed
	rounds  int       // rounds in a row that connected none
	paused  time.Time // no dialling until then
	dialled time.Time // when any member was last dialled
	lapsed  []*member // gone from the list and dialled a moment ago
	left    []*conn   // connections that take no new calls, and have some under way
	single  bool      // there is one address, which may be that of many members
	cluster uint64    // the cluster that this client is for; 0 while unknown
	state   connectivity.State
	shown   []row // as last published
	timer   *time.Timer

	counters *counters // the table's

	gate      gate
	shownGate level // as last published

	// Who leads, for Routing.WritesToLeader; see leader.go.
	leader     uint64 // raft's leader by its member ID; 0 while unknown
	leaderTerm uint64 // the raft term in which it does
	seeking    bool   // seek runs

	// For watching over silent connections; see stall.go.
	calls    sync.Pool    // of *call
	watching atomic.Bool  // the watchdog is set
	due      atomic.Int64 // when it should run
	watchdog *time.Timer
	probes   sync.WaitGroup
	ctx      context.Context //nolint:containedctx // of the probes, from Build to Close
	cancel   context.CancelFunc
}

// row is what of a member's state is published; two that are equal need no
// publishing.
type row struct {
	member       *member
	role         balancer.Role
	state        connectivity.State
	since        time.Time
	demotedUntil time.Time
	usable       bool
	leads        bool
	life         context.Context //nolint:containedctx // the connection's, which picks hand out
}

// UpdateClientConnState takes the resolver's newest list. Members that are
// still listed keep their connections; the one that serves is kept, even when
// it is gone from the list, until another is connected.
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
	now := time.Now()
	old := p.members
	p.members = nil
	p.lapsed = slices.DeleteFunc(p.lapsed, func(m *member) bool { return now.Sub(m.dialled) >= redial })
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
				e.name += "#2" // the one that had it first is still in use
			}
			m, fresh = newMember(e), true
			// One that was gone for a moment is not dialled sooner for it.
			if i := slices.IndexFunc(p.lapsed, func(c *member) bool { return c.name == m.name }); i >= 0 {
				m.dialled = p.lapsed[i].dialled
			}
		}
		m.index, m.tier, m.unlisted = len(p.members), e.tier, false
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

// ResolverError is told of a resolver that has no addresses at all. There is
// nothing to do but to wait: the resolver tries again by itself.
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

// ExitIdle begins to dial, if that is still to be done. It shortens no pause.
func (p *policy) ExitIdle() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.stepLocked()
	}
}

// Close gives up all connections. RPCs under way end as grpc.ClientConn's Close
// ends them.
func (p *policy) Close() {
	defer p.probes.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.cancel()
	p.timer.Stop()
	p.watchdog.Stop()
	for _, m := range p.members {
		if m.conn != nil {
			if _, _, calls := m.conn.calls.count(); calls > 0 {
				m.conn.raw.sever() // they end now, and need not leave a full buffer first
			}
		}
		p.dropLocked(m)
	}
	for _, c := range p.left {
		c.raw.sever() // grpc has lost sight of it if its server was leaving
		p.closeLocked(c)
	}
	p.members, p.active, p.standby, p.left = nil, nil, nil, nil
	p.opts.Table.publish(nil, nil)
}

func (p *policy) wake() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.stepLocked()
	}
}

// newRoundsLocked forgets the failures that make dialling slower.
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

// connectionChanged is told by grpc, one change at a time.
func (p *policy) connectionChanged(m *member, c *conn, s grpcbalancer.SubConnState) {
	p.mu.Lock()
	defer p.mu.Unlock()
	down := s.ConnectivityState == connectivity.Idle || s.ConnectivityState == connectivity.Shutdown
	c.dead = c.dead || down
	if p.closed || m.conn != c {
		return // of a connection given up already
	}
	switch s.ConnectivityState {
	case connectivity.Connecting:
		return
	case connectivity.Ready:
		if !p.opts.OneMember {
			p.probes.Go(func() { p.introduce(m, c) })
			return
		}
		p.readyLocked(m, c)
	case connectivity.TransientFailure:
		// The next attempt is a new SubConn's: when to dial is decided here, not
		// by grpc's backoff for each address.
		p.failedLocked(m, s.ConnectionError)
		p.dialled = time.Time{} // the next member's turn need not wait
	default: // A connection that was made is gone, or its server is leaving.
		if p.takesLocked(m) {
			p.gate.trouble(time.Now())
			p.newRoundsLocked()
		}
		p.failedLocked(m, errLost)
	}
	p.stepLocked()
}

// readyLocked puts m, which is connected and has said who it is, into use.
func (p *policy) readyLocked(m *member, c *conn) {
	m.setState(connectivity.Ready)
	m.failed = false
	p.rounds, p.paused = 0, time.Time{}
	p.probes.Go(func() { p.watchHealth(m, c) })
	if pings := p.opts.Pings; pings > 0 {
		p.probes.Go(func() { c.calm(pings) })
	}
	p.opts.Logger.Debug("etcd: connected", "endpoint", m.name)
}

// stepLocked brings everything into line with the members' states.
func (p *policy) stepLocked() {
	now := time.Now()
	p.rerollLocked(now)
	p.electLocked(now)
	p.setGateLocked(now)
	next := p.watchGateLocked(now)
	next = earliest(next, p.connectLocked(now))
	// A demotion that ends may change who should serve.
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

// setGateLocked sets the gate, and has members give the proof that opens it.
func (p *policy) setGateLocked(now time.Time) {
	p.gate.set(p.active, now)
	if p.gate.level == open {
		return
	}
	for _, m := range p.members {
		if c := m.conn; m.ready() && !c.proving {
			c.proving = true
			p.probes.Go(func() { p.prove(m, c) })
		}
	}
}

// watchGateLocked doubts an active member that others have overtaken, and asks it. It
// returns when to look again; zero for never.
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

// electLocked chooses the active member and the standby from those connected,
// and lets the rest go.
func (p *policy) electLocked(now time.Time) {
	var ready []*member
	for _, m := range p.members {
		if m.ready() {
			ready = append(ready, m)
		}
	}
	slices.SortFunc(ready, compareServing(now))
	var active, standby *member
	if len(ready) > 0 {
		active = ready[0]
	}
	// Members that are all demoted (an election is going on, most likely) are
	// not exchanged for each other at the pace of their refusals.
	if a := p.active; a != nil && a != active && a.ready() && !a.unlisted &&
		!active.usable(now) && now.Sub(p.elected) < dwell {
		active = a
	}
	for _, m := range ready {
		switch {
		case m == active:
			m.setRole(balancer.Active)
		case standby == nil && !m.unlisted:
			standby = m
			m.setRole(balancer.Standby)
		case !m.unlisted && (m.passedOver(now) == doubted || !standby.usable(now) || everyone(p.opts.Routing)):
			m.setRole(balancer.Idle) // kept: its probe has not ended, or more are wanted
		default:
			p.dropLocked(m)
		}
	}
	if active != p.active {
		from, to := "", ""
		if p.active != nil {
			from = p.active.name
		}
		if active != nil {
			to = active.name
		}
		if from != "" && to != "" {
			p.counters.failovers.Add(1)
		}
		p.opts.Logger.Info("etcd: active endpoint changed", "from", from, "to", to, "cause", p.active.fault(now))
		p.elected = now
	}
	p.active, p.standby = active, standby
	p.members = slices.DeleteFunc(p.members, func(m *member) bool {
		gone := m.unlisted && m != active
		if gone {
			p.lapsed = append(p.lapsed, m)
		}
		return gone
	})
}

// publishLocked tells grpc and the readers of the table.
func (p *policy) publishLocked() {
	state := connectivity.Connecting
	switch {
	case p.active != nil:
		state = connectivity.Ready
	case p.rounds > 0:
		state = connectivity.TransientFailure
	}
	now := time.Now()
	rows := make([]row, len(p.members))
	for i, m := range p.members {
		rows[i] = row{m, m.role, m.state, m.since, m.demotion.until, m.usable(now), p.leadsLocked(m), m.life()}
	}
	if state == p.state && p.gate.level == p.shownGate && slices.Equal(rows, p.shown) {
		return
	}
	p.state, p.shownGate, p.shown = state, p.gate.level, rows
	p.cc.UpdateState(grpcbalancer.State{ConnectivityState: p.state, Picker: p.pickerLocked(now)})
	status := make([]balancer.Status, len(rows))
	for i, m := range p.members {
		status[i] = balancer.Status{Address: m.addr.Addr, Role: m.role, State: m.state, Since: m.since, LastError: m.lastErr, Leader: rows[i].leads}
		if !rows[i].usable {
			status[i].Demoted = m.fault(now)
		}
	}
	p.opts.Table.publish(slices.Clone(p.members), status)
}

// pickerLocked returns the snapshot for picks.
func (p *policy) pickerLocked(now time.Time) *picker {
	serving := slices.DeleteFunc(slices.Clone(p.members), func(m *member) bool { return !m.ready() })
	order := compareServing(now)
	slices.SortFunc(serving, func(a, b *member) int {
		if c := falseFirst(a != p.active, b != p.active); c != 0 {
			return c
		}
		return order(a, b)
	})
	pick := &picker{policy: p, gate: p.gate.level, spread: 1}
	for i, m := range serving {
		c := &target{m, m.conn, m.conn.life}
		pick.members = append(pick.members, c)
		if p.opts.Routing.SpreadReads && i == pick.spread && m.usable(now) && !m.unlisted && m.tier == p.active.tier {
			pick.spread++
		}
		if p.leadsLocked(m) && m.usable(now) {
			pick.leader = c
		}
	}
	return pick
}

// leadsLocked reports whether m is known as the leader that writes go to.
func (p *policy) leadsLocked(m *member) bool {
	return p.opts.Routing.WritesToLeader && p.leader != 0 && m.id.Load() == p.leader
}

// takesLocked reports whether requests go to m that take the leader and a quorum.
func (p *policy) takesLocked(m *member) bool {
	return m == p.active || m.ready() && (p.opts.Routing.SpreadReads || p.leadsLocked(m))
}

// refused is told of an RPC begun at start that m has refused for cause.
func (p *policy) refused(m *member, start time.Time, cause error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || !m.ready() {
		return
	}
	if !start.After(m.demotion.changed) {
		return // the request is older than what is known: no news
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
		p.newRoundsLocked() // others are needed sooner than as a standby
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

// earliest returns the earlier of two moments, of which zero is never.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// served is told that m has served a request, begun at start, that takes an
// agreement of the members: that ends its demotion, and may open the gate.
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
