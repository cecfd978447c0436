// Package balancer has the types by which a client shows which member serves its requests,
// and by which a user can influence that: Status (client.Client.Endpoints), Counters
// (client.Client.Counters) and Routing (client.Config.Routing).
//
// The choice is made by a gRPC load-balancing policy for etcd's situation: every member can
// serve every request, one member is enough, and nobody should notice when one is lost. So
// the policy keeps one active member, which gets all requests, and one warm standby, which
// is connected already and takes over at once when the active one is lost. The other
// members are idle. The policy is internal to the client; this page says what it does.
//
// # Life of a member
//
// A member is idle, connecting or connected. Of the connected members one is active and one
// is the standby. A member whose connection failed or was lost is dialed again, after the
// members to which that has not happened. While another member serves, a lost connection is
// replaced at a random time within a second, since all clients of a member that dies lose
// theirs at the same moment. A connected member that answers that it can't
// serve (it has no leader, or is a learner) is demoted: another one takes over, and the
// demotion ends when the member serves again or its penalty is over. When all members are
// demoted, the best of them is used rather than none.
//
// # Stalls
//
// The policy probes a member when a request has waited for several times the usual latency,
// or when a stream has fallen out of its rhythm. If another member answers the probe sooner,
// new requests and streams go there. A member that stays silent is left for good. One that
// is there but can't serve, while another one can, is demoted. Calls that can be sent again
// then move to another member at once. A call that can't, above all a write, keeps its
// connection for a time of its own (client.Config.WritePatience). Bytes that move are a sign
// of life: a large message on a slow network is no stall. A member that reports NOT_SERVING
// is demoted for as long as it does.
//
// # The gate
//
// After such trouble writes wait, unsent, until a member has served a linearizable read that
// was begun afterward. A member that has not noticed yet that the leader is gone would
// accept a write and lose it.
//
// # Identity
//
// A connection is used when its member has said who it is. Members of another cluster than
// the first member's are not used. A single address may lead to many members, so the client
// connects to it twice.
//
// # Routing
//
// Routing can spread reads over all members that serve, send writes to the leader, and prefer
// some members to others. It is the same policy, with more members connected.
//
// # Rounds
//
// While too few members are connected, the policy dials the others in order: one after
// another while a member serves, and otherwise staggered but overlapping, like RFC 8305
// ("Happy Eyeballs"): after 250 ms, or after a second if there is a connection whose member has
// yet to say who it is. When it has tried every member, it pauses. The pauses grow, with
// jitter, up to a limit; an attempt that hangs does not delay the next round while requests
// wait. While no member serves, the policy asks the resolver for new addresses after each
// round. It never dials an address more often than four times a second, even if the address
// leaves the list and returns.
package balancer
