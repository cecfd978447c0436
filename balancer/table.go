package balancer

import (
	"cmp"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/attributes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/resolver"
)

// Role is the part that an endpoint plays for its client.
type Role uint8

// The roles.
const (
	Idle    Role = iota // known, in reserve
	Standby             // connected, takes over when the active one is lost
	Active              // connected, takes the requests
)

// String returns the role's name in lower case.
func (r Role) String() string {
	switch r {
	case Active:
		return "active"
	case Standby:
		return "standby"
	default:
		return "idle"
	}
}

// Status is what the policy knows of one endpoint.
type Status struct {
	// Address is the endpoint as it is dialled, such as "10.0.0.1:2379".
	Address string
	// MemberID is etcd's ID of the member behind it; 0 until it has answered.
	MemberID uint64
	// Role is the part the endpoint plays now.
	Role Role
	// State is the state of its connection.
	State connectivity.State
	// Leader says that the endpoint is known as raft's leader, which is looked
	// for with Routing.WritesToLeader only.
	Leader bool
	// Since is when Role or State last changed.
	Since time.Time
	// Demoted is why the endpoint, though connected, is not to be used: the
	// answer by which it said that it can't serve, or that it is slower to answer
	// than another. Nil when it may be used.
	Demoted error
	// LastError is the last failure of its connection or the reason of its last
	// demotion; nil when there was none. It outlives the recovery.
	LastError error
	// Latency is a moving average of its recent answers' times; 0 until it has
	// answered.
	Latency time.Duration
}

// Member returns the address and the member's ID.
func (s Status) Member() (address string, id uint64) { return s.Address, s.MemberID }

// Table is the readable state of the policy of one client. The client makes it,
// hands it to the policy with Attach, and reads it whenever it wants. Its zero
// value is not usable; use NewTable.
type Table struct {
	mu      sync.Mutex
	members []*member // guarded by mu, in the policy's order
	status  []Status  // guarded by mu, as of the last change
	changed chan struct{}

	counters counters
	active   atomic.Pointer[member] // nil while none is connected
	spare    atomic.Bool            // another is connected too
}

// NewTable returns an empty table.
func NewTable() *Table { return &Table{changed: make(chan struct{})} }

// Snapshot returns the status of every endpoint, in the order in which the
// policy would try them. The slice is the caller's.
func (t *Table) Snapshot() []Status {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]Status, len(t.status))
	for i, s := range t.status {
		m := t.members[i]
		s.MemberID = m.id.Load()
		s.Latency = time.Duration(m.latency.Load())
		out[i] = s
	}
	return out
}

// ReadLatency returns a moving average of how long the active endpoint's answers
// to reads took of late; 0 while that is unknown.
func (t *Table) ReadLatency() time.Duration {
	if m := t.active.Load(); m != nil {
		return time.Duration(m.reading.Load())
	}
	return 0
}

// Spare reports whether another endpoint is connected beside the active one.
func (t *Table) Spare() bool { return t.spare.Load() }

// Changed returns a channel that is closed at the next change of a role, a
// state or the list of endpoints. To miss none, get the channel before the
// snapshot. Latencies and member IDs change without it.
func (t *Table) Changed() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.changed
}

// publish replaces the rows; the policy calls it with its own lock held.
func (t *Table) publish(members []*member, status []Status) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var active *member
	spare := false
	for i, s := range status {
		if s.Role == Active {
			active = members[i]
		} else if s.State == connectivity.Ready {
			spare = true
		}
	}
	t.active.Store(active)
	t.spare.Store(spare)
	t.members, t.status = members, status
	close(t.changed)
	t.changed = make(chan struct{})
}

// Report replaces the rows of the table, for what carries RPCs without the policy, such
// as package gateway. There is a spare always: no connection is needed beforehand, and an
// only endpoint may be that of many members.
func (t *Table) Report(rows []Status) {
	members := make([]*member, len(rows))
	for i, s := range rows {
		members[i] = &member{}
		members[i].id.Store(s.MemberID)
	}
	t.publish(members, rows)
	t.spare.Store(true)
}

// Options is what a client gives its policy.
type Options struct {
	Table  *Table       // where to publish; not nil
	Logger *slog.Logger // not nil; one record per transition, none per call

	Routing Routing

	// Patience is for how long a call that must not be sent again (Attempt.Once) is
	// waited for on a member that is silent or can't serve, while another can. 0 means
	// 2 s.
	Patience time.Duration
	// Pulse is for how long a connection with nothing but calls that wait may be silent
	// before its member is asked for a linearizable read. 0 means 1 s; a negative value
	// means that it is never asked.
	Pulse time.Duration
	// Pings is after how long without a byte gRPC pings a connection, which its member is
	// spared as long as it answers. 0 means that gRPC does not.
	Pings time.Duration
	// Cluster is the ID of the only cluster whose members are used. 0 means that of the
	// first member that answers, unless AnyCluster is set.
	Cluster    uint64
	AnyCluster bool
	// OneMember says that the only address is that of one member, whoever it is: it is
	// connected to once, and not asked who it is.
	OneMember bool
}

func (o *Options) patience() time.Duration { return cmp.Or(o.Patience, DefaultPatience) }

func (o *Options) pulse() time.Duration { return cmp.Or(o.Pulse, time.Second) }

type optionsKey struct{}

// Attach returns s with o in its attributes: the way in which a resolver tells
// the policy of the client that both belong to. It is here that Routing.Prefer is
// called, in the resolver's goroutine, since nothing else waits for that.
func Attach(s resolver.State, o Options) resolver.State {
	s.Attributes = with(s.Attributes, optionsKey{}, o)
	if o.Routing.Prefer == nil {
		return s
	}
	s.Endpoints = slices.Clone(s.Endpoints)
	for i, e := range s.Endpoints {
		s.Endpoints[i].Addresses = o.Routing.rank(e.Addresses)
	}
	s.Addresses = o.Routing.rank(s.Addresses)
	return s
}

type rankKey struct{}

// rank returns addrs with their ranks in their attributes.
func (r Routing) rank(addrs []resolver.Address) []resolver.Address {
	addrs = slices.Clone(addrs)
	for i, a := range addrs {
		addrs[i].Attributes = with(a.Attributes, rankKey{}, r.Prefer(a.Addr))
	}
	return addrs
}

func with(a *attributes.Attributes, key, value any) *attributes.Attributes {
	if a == nil {
		return attributes.New(key, value)
	}
	return a.WithValue(key, value)
}
