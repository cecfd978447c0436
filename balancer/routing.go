package balancer

// Routing says which member gets which request. The zero value sends all to one
// member, the active one, until it fails.
type Routing struct {
	// SpreadReads sends each read to one of the members that serve, at random.
	// All of them are kept connected then. Writes and streams go to the active
	// member as before.
	SpreadReads bool
	// WritesToLeader sends what changes something to raft's leader, which saves
	// the way from another member to it. The leader is learned from the members
	// (Status) when they are connected, and anew when an answer tells a new raft
	// term. All members are kept connected. While the leader is not known, or
	// not connected, writes go to the active member.
	WritesToLeader bool
	// Prefer ranks the endpoints, given as they are dialed ("10.0.0.1:2379"):
	// those of the least rank serve while one of them can, as with the priorities
	// of SRV records, which count within a rank. Nil ranks all alike. It must be
	// quick, and always give the same answer.
	Prefer func(endpoint string) int
}
