package balancer

// Routing decides which member gets which request. The zero value sends all requests to one
// member, the active one, until it fails.
type Routing struct {
	// SpreadReads sends each read to a random one of the members that serve. All members
	// are then kept connected. Writes and streams still go to the active member.
	SpreadReads bool
	// WritesToLeader sends requests that change something to raft's leader, so that
	// another member need not forward them. The client asks the members who leads
	// (Status) when they are connected, and again when an answer has a new raft term. All
	// members are then kept connected. While the leader is unknown or not connected,
	// writes go to the active member.
	WritesToLeader bool
	// Prefer returns the rank of an endpoint, which it gets as it is dialed
	// ("10.0.0.1:2379"). Endpoints of the lowest rank serve while one of them can. Within
	// a rank the priorities of SRV records count in the same way. Nil gives all the same
	// rank. Prefer must be quick and always return the same rank for an endpoint.
	Prefer func(endpoint string) int
}
