package balancer

// Routing decides which member gets which request. The zero value sends all requests to one
// member, the active one, until it fails.
type Routing struct {
	// SpreadReads sends each read to a random one of the members that serve. All members
	// are then kept connected. Writes still go to the active member, and so do streams, but
	// those of a kv.Streamer.
	SpreadReads bool
	// WritesToLeader sends requests that change something to raft's leader, and renewals of
	// leases and MoveLeader too, so that another member need not forward them. The client asks
	// the members who leads (Status) when they are connected, when an answer has a new raft
	// term, and, while there are no answers, every client.Config.HeartbeatInterval. All
	// members are then kept connected, and WaitReady waits for the leader, or until each
	// member was tried. While the leader is unknown or not connected, these requests go to the
	// active member.
	WritesToLeader bool
	// Prefer returns the rank of an endpoint. Endpoints of the lowest rank serve while one
	// of them can. Within a rank the priorities of SRV records count in the same way. Nil
	// gives all the same rank.
	//
	// The client calls it whenever addresses were resolved, and again when a member has said
	// who it is; it connects to each member once for that. The connection is used when Prefer
	// has returned. Prefer must be quick, may be called from several goroutines, and must
	// always return the same rank for equal arguments.
	Prefer func(Endpoint) int
}

// Endpoint is what Routing.Prefer is told of an endpoint.
type Endpoint struct {
	// Address is the endpoint as it is dialed, such as "10.0.0.1:2379".
	Address string
	// Target is the target of its SRV record, without the trailing dot, such as
	// "etcd01.zone-a.example.com". Priority and Weight are those of the record. They are
	// empty and 0 for an endpoint that was not found by an SRV record.
	Target           string
	Priority, Weight uint16
	// MemberID and MemberName are etcd's ID and name (--name) of the member behind the
	// endpoint. They are 0 and empty until it has said so.
	MemberID   uint64
	MemberName string
}
