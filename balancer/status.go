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

// Status is what the policy knows of one endpoint.
type Status struct {
	// Address is the endpoint as it is dialed, such as "10.0.0.1:2379".
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
