package balancer

import (
	"time"

	"google.golang.org/grpc/connectivity"
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

// Status is what a client knows about one endpoint.
type Status struct {
	// Address is the endpoint as it is dialed, such as "10.0.0.1:2379".
	Address string
	// MemberID is etcd's ID of the member behind it; 0 until it has answered.
	MemberID uint64
	// Role is the part the endpoint plays now.
	Role Role
	// State is the state of its connection.
	State connectivity.State
	// Leader says that the endpoint is raft's leader. It is known only with
	// Routing.WritesToLeader.
	Leader bool
	// Since is when Role or State last changed.
	Since time.Time
	// Demoted is why the endpoint is not used although it is connected: the error by
	// which it said that it can't serve, or an error that says that it is slower to
	// answer than another one. Nil means that it may be used.
	Demoted error
	// LastError is the last failure of its connection or the reason for its last
	// demotion; nil if there was none. It stays when the endpoint has recovered.
	LastError error
	// Latency is a moving average of the time that its answers take; 0 until it has
	// answered.
	Latency time.Duration
}

// Member returns the address and the member's ID.
func (s Status) Member() (address string, id uint64) { return s.Address, s.MemberID }
