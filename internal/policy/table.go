package policy

import (
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/resolver"

	"github.com/getcd/getcd/balancer"
)

// Table is the state of one client's policy, for the client to read. The client makes it
// with NewTable and passes it to the policy with Attach. The zero value is not usable.
type Table struct {
	mu      sync.Mutex
	members []*member         // guarded by mu, in the policy's order
	status  []balancer.Status // guarded by mu, as of the last change
	settled bool              // guarded by mu
	changed chan struct{}

	counters counters
	active   atomic.Pointer[member] // nil while none is connected
	reported atomic.Bool            // by a transport without the policy
}

// NewTable returns an empty table.
func NewTable() *Table { return &Table{changed: make(chan struct{})} }

// Snapshot returns the status of every endpoint, in the order in which the
// policy would try them. The slice is the caller's.
func (t *Table) Snapshot() []balancer.Status {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]balancer.Status, len(t.status))
	for i, s := range t.status {
		m := t.members[i]
		s.MemberID = m.id.Load()
		s.Latency = time.Duration(m.latency.Load())
		out[i] = s
	}
	return out
}

// behind returns the ID and name of the member at an address; zero if it is unknown, or if it is
// not the only one.
func (t *Table) behind(addr resolver.Address) (id uint64, name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	found := 0
	for _, m := range t.members {
		if sameAddress(m.addr, addr) {
			id, name = m.id.Load(), m.memberName()
			found++
		}
	}
	if found != 1 {
		return 0, ""
	}
	return id, name
}

// Settled reports whether the policy has found the leader, if it looks for one, or has tried
// all members in vain. Changed tells when that may have changed.
func (t *Table) Settled() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.settled
}

// ReadLatency returns a moving average of the active endpoint's latency for reads; 0 while
// it is unknown.
func (t *Table) ReadLatency() time.Duration {
	if m := t.active.Load(); m != nil {
		return time.Duration(m.reading.Load())
	}
	return 0
}

// Spare reports whether another member is connected beside the active one. A second connection
// to the same member is none: it helps when the first one is silent, which the policy finds out,
// and not when the member is slow.
func (t *Table) Spare() bool {
	if t.reported.Load() {
		return true
	}
	active := t.active.Load()
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, m := range t.members {
		if m == active || t.status[i].State != connectivity.Ready {
			continue
		}
		if id := m.id.Load(); active == nil || id == 0 || id != active.id.Load() {
			return true
		}
	}
	return false
}

// Changed returns a channel that is closed at the next change of a role, a
// state or the list of endpoints. To miss none, get the channel before the
// snapshot. Latencies and member IDs change without it.
func (t *Table) Changed() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.changed
}

// publish replaces the rows; the policy calls it with its own lock held.
func (t *Table) publish(members []*member, status []balancer.Status, settled bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var active *member
	for i, s := range status {
		if s.Role == balancer.Active {
			active = members[i]
		}
	}
	t.active.Store(active)
	t.members, t.status, t.settled = members, status, settled
	close(t.changed)
	t.changed = make(chan struct{})
}

// Report replaces the rows of the table. It is for a transport without the policy, such as
// package gateway. Spare is true from then on: such a transport needs no connection in
// advance, and a single endpoint may lead to many members.
func (t *Table) Report(rows []balancer.Status) {
	members := make([]*member, len(rows))
	for i, s := range rows {
		members[i] = &member{}
		members[i].id.Store(s.MemberID)
	}
	t.publish(members, rows, true)
	t.reported.Store(true)
}
