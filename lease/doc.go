// Package lease speaks etcd's Lease service (etcdserverpb.Lease): a lease is a
// time to live that the cluster counts down, keys are attached to it, and when
// it ends, by expiry or by revocation, those keys are deleted.
//
// The unary calls (Grant, Revoke, TimeToLive, Leases) are one request and one
// answer. What makes a lease useful is keeping it alive, and there the question
// that matters is not "when did I last hear from the server" but "until when
// can I prove that the server has not let go". A [Keeper] answers that one.
//
// # Until when a lease is proven
//
// The server restarts a lease's time to live when it handles a renewal. The
// client does not know that moment; it knows only that it lies after the
// renewal was sent and before the answer came. So a lease is proven until
//
//	the sending of the last acknowledged renewal + TTL − margin
//
// on a monotonic clock, however late the answer was. The margin pays for what
// the two sides do not share: the rates of their clocks, which time daemons slew
// by up to 500 ppm each, so TTL/1000 in all; and the time that this process
// needs to notice, which a loaded machine or a garbage collection stretches to
// tens of milliseconds. It is a tenth of the TTL, at least 100 ms, at most 5 s,
// and never below TTL/1000. A new leader counts every lease from its own
// election and adds an election timeout, so a change of leader only ever gives
// more time. That needs members that agree on the TTL: each one raises a shorter TTL
// to one and a half of its own election timeouts. A renewal whose answer has a shorter
// TTL than the one before brings the deadline nearer at once.
//
// # A machine that stands still
//
// The cluster counts on while this machine is suspended. Go's monotonic clock stands
// still then on Linux (CLOCK_MONOTONIC); CLOCK_BOOTTIME does not, so on Linux a
// suspension is added to Go's time: Err, and Done once Err was asked, are right from the
// first look after the machine goes on, and Done closes by itself within 1 s of that.
// What looks at neither, such as a write that was about to be sent, is not stopped. On
// other systems it is as Go's clock has it. A virtual machine that is paused, moved or
// taken back to a snapshot by its host may have no clock that tells of it. Who must be
// right through that too needs a fencing token (package lock).
//
// A cluster that is restored from a snapshot has the snapshot's leases, each with its
// whole time to live anew, and none that was granted since: keepers of those end with
// rpctypes.ErrLeaseNotFound at their next renewal, and their IDs may be granted again.
//
// The proof presumes that the cluster keeps to this, and etcd has a gap there,
// seen with 3.7.3: a leader that was stopped (SIGSTOP) for longer than was left of
// a lease may, when it continues, have it revoked, though its successor has
// renewed it meanwhile: it proposes the revocation before it notices that it
// leads no more, and then passes it on to the one that does. No client can
// prevent that. A keeper learns of it, as of any revocation by others, with its
// next renewal.
//
// A proxy that renews leases at its own pace, as etcd's gRPC proxy does, may answer
// a renewal by one that it has sent before. The proof is then late by as much as
// the proxy's renewal was under way, which the margin covers as long as its link to
// the member is quick. Who must be right beyond that needs a fencing token.
//
// # How leases are kept
//
// All keepers of one client share a few LeaseKeepAlive streams, one for each
// 1,000 leases and at most 8, because the server renews serially per stream. A
// lease is renewed a little before a third of its TTL has passed, or three eighths if the
// TTL is 13 s or more. Renewals go in rounds: when one is due, those that are due within a
// thirtieth of their own TTL, at most half a second, go with it. So thousands of leases
// cost a few wake-ups, writes and reads a second.
//
// A member that fails or refuses is left at once for another one, where the
// connection can tell members apart, as a client's does; when all refuse, as in an
// election, they are asked at growing, jittered pauses of at most 250 ms. A stream
// that owes an answer and is silent, for clearly longer than answers usually take
// and at least a twentieth of the TTL, is left as well, though what it still
// answers counts, from when that renewal was sent; and after each further
// fifteenth of the TTL, the next. What was outstanding is sent again, most urgent
// first. So a lease of 5 s, whose renewal falls due after at most 1.7 s and which
// is given up after 4.5 s, outlives the loss of its leader when the election takes
// no more than about 2.5 s. It usually takes 1 to 2 s with etcd's defaults.
//
// That the server does not find a lease is final: a new leader renews none before
// it has applied everything of the terms before its own.
//
// The streams start with the first keeper and end with the last one.
package lease
