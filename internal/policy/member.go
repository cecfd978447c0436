package policy

import (
	"cmp"
	"context"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/resolver"

	"github.com/getcd/getcd/balancer"
	getcdresolver "github.com/getcd/getcd/resolver"
)

// member is one endpoint and, while there is one, its connection.
type member struct {
	// Read-only after newMember.
	name string           // as in Status.Address
	addr resolver.Address // as the resolver gave it

	// Written without a lock, by the RPCs that the member serves.
	id      atomic.Uint64 // etcd's member ID
	latency atomic.Int64  // moving average in nanoseconds
	reading atomic.Int64  // the same for reads alone
	called  atomic.Value  // of string: the member's name, for Routing.Prefer
	demoted atomic.Bool   // equals demotion.cause != nil; lets finish look without the mutex

	// Guarded by policy.mu.
	index      int // place in the resolver's list
	tier       tier
	conn       *conn              // nil when idle
	state      connectivity.State // Idle, Connecting or Ready
	role       balancer.Role
	since      time.Time // last change of role or state
	lastErr    error     // last failure or demotion
	failed     bool      // its last connection failed or was lost
	unlisted   bool      // no longer in the resolver's list
	tried      bool      // dialed in this round
	met        bool      // it has said who it is
	stranger   uint64    // the ID of the other cluster of which it was last reported to be a member
	dialed     time.Time // when it was last dialed
	demotion   demotion
	rolls      int       // connections in a row that led to a member of no use
	rolled     time.Time // when that last happened
	mutedUntil time.Time // see state.go
}

func newMember(e endpoint) *member {
	return &member{name: e.name, addr: e.addr, state: connectivity.Idle, since: time.Now()}
}

// tierOf returns the tier of an address.
func tierOf(addr resolver.Address) (t tier) {
	r, _ := addr.Attributes.Value(rankKey{}).(ranking)
	t.rank = r.rank
	if a, ok := getcdresolver.FromGRPC(addr); ok {
		t.priority = a.Priority
	}
	return t
}

// tier says how much an endpoint is preferred: first by Routing.Prefer, then by the
// priority of its SRV record. Less is better.
type tier struct {
	rank     int
	priority uint16
}

func (t tier) compare(u tier) int {
	return cmp.Or(cmp.Compare(t.rank, u.rank), cmp.Compare(t.priority, u.priority))
}

// memberName returns etcd's name of the member; empty while it is unknown.
func (m *member) memberName() string {
	name, _ := m.called.Load().(string)
	return name
}

// update takes what the resolver says of m: its tier, and what the next connection is made with. A
// rank that was asked for before m had said who it is does not replace one that was asked for since.
func (m *member) update(e endpoint) {
	m.addr.Attributes = e.addr.Attributes
	r, _ := e.addr.Attributes.Value(rankKey{}).(ranking)
	m.tier.priority = e.tier.priority
	if !m.met || r.member == m.id.Load() {
		m.tier.rank = e.tier.rank
	}
}

// life returns the life of m's connection; nil if m has none.
func (m *member) life() context.Context {
	if !m.ready() {
		return nil
	}
	return m.conn.life
}

func (m *member) ready() bool { return m.state == connectivity.Ready }

func (m *member) setState(s connectivity.State) {
	if m.state != s {
		m.state, m.since = s, time.Now()
	}
}

func (m *member) setRole(r balancer.Role) {
	if m.role != r {
		m.role, m.since = r, time.Now()
	}
}

// observe notes how long an answer took.
func (m *member) observe(d time.Duration, write bool) {
	average(&m.latency, d)
	if !write {
		average(&m.reading, d)
	}
}

// observeOwn is observe for an answer to one of the policy's own questions. It counts only if it
// took longer than is usual: a member that is overrun, by all its clients who come back after an
// outage for instance, should not be asked more and more because its answers are late.
func (m *member) observeOwn(d time.Duration) {
	usual := time.Duration(m.latency.Load())
	if usual == 0 {
		usual = defaultSuspicion / suspicionFactor
	}
	if d > usual {
		m.observe(d, false)
	}
}

// average adds one sample to a moving average (weight 1/8, as TCP's smoothed
// round-trip time of RFC 6298). Concurrent updates may lose a sample, which does no harm.
func average(of *atomic.Int64, d time.Duration) {
	d = max(d, 1) // 0 means unknown
	old := of.Load()
	if old == 0 {
		of.Store(int64(d))
		return
	}
	of.Store(old + (int64(d)-old)/8)
}
