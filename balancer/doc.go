// Package balancer has the words in which a client tells which member serves its
// requests: Status for each endpoint (client.Client.Endpoints), Counters, and Routing,
// by which the choice can be steered (client.Config.Routing).
//
// What chooses is a gRPC load-balancing policy, made for etcd's situation: every member
// can serve every request, one of them is enough, and what matters is that nobody
// notices when one is lost. So the policy keeps one active member, which takes all
// requests, and one warm standby, already connected, which takes over at the next
// pick when the active one is lost. The other members are idle. The policy itself is
// internal to the client; what it does is written here.
//
// # Life of a member
//
// A member is idle, connecting, or connected; of those connected one is the
// active member and one the standby. A connection that is lost or that can't be
// made leaves its member suspect: it is tried again, after those that are not.
// A member that is connected but answers that it can't serve (it has no leader,
// or is a learner) is demoted: another one takes over, and the demotion ends
// when the member serves again or its penalty has run out. When all are
// demoted, the best of them is used rather than none.
//
// # Stalls
//
// A member that keeps its connection and does not answer is asked when a request has
// waited for several times the usual latency, or a stream has fallen out of its rhythm.
// New requests and streams leave a member that is slower to answer than another. One
// that stays silent is left for good, and one that is there but can't serve, while
// another can, is demoted; what can be sent again moves on at once. What can't, a write
// above all, keeps its connection for a patience of its own
// (client.Config.WritePatience). Bytes that move are a sign of life: a large message on
// a slow network is no stall. A member that says NOT_SERVING is demoted for as long as
// it does.
//
// # The gate
//
// After such trouble writes wait, unsent, until a member has served a linearizable
// read that was begun afterwards: a member that has not noticed yet that the leader
// is gone would take them and lose them.
//
// # Identity
//
// A connection counts when its member has said who it is: members of another cluster
// than the first one's are not used. A single address may be that of many members, and
// is connected to twice.
//
// # Routing
//
// By Routing reads are spread over all members that serve, writes go to the leader,
// or some members are preferred to others. It is the same policy, with more members
// connected.
//
// # Rounds
//
// While fewer members are connected than wanted, the policy dials the others in
// order: one after the other while there is a member to serve, and
// staggered but overlapping, as RFC 8305 does it ("Happy Eyeballs"), while
// there is none. When every member was tried, a pause follows, which doubles with
// jitter up to a bound; an attempt that hangs does not put it off while requests
// wait. With no member to serve the policy asks the resolver for new addresses
// after each round. No address is dialed more often than four times a second,
// also when it leaves the list and returns.
package balancer
