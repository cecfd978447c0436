package balancer

import (
	"context"
	"slices"
	"sync/atomic"
	"time"
)

// Attempt steers the pick of one RPC and, once the pick is made, tells which
// member took it. It is passed down in the RPC's context (NewContext), so that
// the call path, which knows nothing of connections, and the policy, which
// knows nothing of calls, meet in this one value.
//
// An Attempt serves one RPC at a time. Its methods may be called from anywhere;
// what they return is settled when the RPC has returned or, for a stream, when
// the stream was opened.
type Attempt struct {
	// Avoid names endpoints that should not be picked while another can be:
	// those that failed this call before. It is a wish, not a ban, and must not
	// be changed during the RPC.
	Avoid []string
	// Measure says that the RPC's duration tells how quick the member is. It is
	// false for streams and for calls that wait, such as a lock.
	Measure bool
	// AnyMember says that members serve the RPC even when they can't serve
	// others, such as a serializable read. The opener of a stream may set it.
	AnyMember bool
	// FromMemory says that a member may answer the RPC by itself, from its memory:
	// the answer proves neither a leader nor a quorum. It ends no demotion and lets
	// nothing go that is held.
	FromMemory bool
	// Write says that the RPC may change something: while no member is known to
	// have a leader and a quorum it waits, unsent.
	Write bool
	// Elsewhere says that the RPC is of no use at an endpoint to be avoided: with
	// no other connected it fails, with code Unavailable, instead of waiting.
	Elsewhere bool
	// Once says that the RPC must not be sent again once it has been sent: given up
	// it leaves its fate in doubt. So it keeps its connection for as long as its
	// member may yet answer (Options.Patience).
	Once bool
	// Large says that the request may take its time to leave, on a slow line. It is for
	// those with Once.
	Large bool
	// Cancel ends the RPC, or has its caller look elsewhere. The policy calls it when the
	// RPC is not worth waiting for any more, and GivenUp tells why; it is called with a
	// lock held, and must neither block nor end the RPC before it returns. Nil leaves the
	// RPC with its connection.
	Cancel func()
	// Flow says that the RPC is a stream that should leave its member when the
	// policy does (Life), and whose silence may tell something of the member
	// (Received, Expect).
	Flow bool
	// Stay says that the RPC is a stream that keeps its member for as long as its
	// connection lives, though the policy leaves it.
	Stay bool
	// OwnID says that the request names a lease by an ID that getcd drew at random
	// and uses for one lease only, so that a copy of it, however late, can't meet
	// another lease. Package lease says so, to the call path.
	OwnID bool
	// Final says that the caller gets whatever a member answers, even an error that
	// another member might not give. The call path reads it.
	Final bool
	// Call is the number of the Conn's call that the RPC is an attempt of, by which
	// package wire shows the attempts of one call together. 0 means that it is of none.
	Call uint64

	begun    atomic.Bool
	picked   atomic.Pointer[connection]
	flow     atomic.Pointer[flow]
	sent     atomic.Bool
	heard    atomic.Bool
	forsaken atomic.Bool
	givenUp  atomic.Pointer[error]

	place place // in its connection's calls
	// When the pick was made, how late the process had been until then, and how many
	// bytes had come in on the connection when Arriving was asked last.
	start, late int64
	received    atomic.Uint64

	// Of a transport without the policy: see outside.go.
	outside atomic.Pointer[string] // the endpoint
	arrived atomic.Uint64          // bytes of the answer
}

// Endpoint names the endpoint that the RPC was last sent to, for Avoid; empty when none
// was picked. The name is the address, except that of the second connection to one.
func (a *Attempt) Endpoint() string {
	if c := a.picked.Load(); c != nil {
		return c.member.name
	}
	return a.outsider()
}

// Begin says that the RPC has come to gRPC with this Attempt in its context.
func (a *Attempt) Begin() { a.begun.Store(true) }

// Begun reports whether Begin was called. When it was not, something in between
// has kept the RPC back or has dropped the context's values: then the other results
// say nothing.
func (a *Attempt) Begun() bool { return a.begun.Load() }

// Address is the address of that endpoint, as in Status.
func (a *Attempt) Address() string {
	if c := a.picked.Load(); c != nil {
		return c.member.addr.Addr
	}
	return a.outsider()
}

// Sent reports whether the request may have left this process. False means that
// no member can have seen it.
func (a *Attempt) Sent() bool { return a.sent.Load() }

// Heard reports whether the member has said anything in return. False means that
// what the RPC returned was made in this process.
func (a *Attempt) Heard() bool { return a.heard.Load() }

// Life is a context that ends when the policy has left the connection which the
// RPC was sent on, as stalled, lost or no longer wanted. A stream that can be
// opened again elsewhere should be, then. It never ends when none was picked.
func (a *Attempt) Life() context.Context {
	if c := a.picked.Load(); c != nil {
		return c.life
	}
	return context.Background()
}

// Received tells of a message on the stream. It is for those with Flow.
func (a *Attempt) Received() {
	c, f := a.picked.Load(), a.flow.Load()
	if c == nil || f == nil {
		return
	}
	now := time.Now()
	f.hear(c.link.clock.at(now))
	c.link.hear(now, false)
	c.link.policy.watch()
}

// Expect says that from now on the member owes the stream a message, as the
// answer to a request on it. When none comes in the usual time the policy looks
// after the member. It is for those with Flow.
func (a *Attempt) Expect() {
	c, f := a.picked.Load(), a.flow.Load()
	if c == nil || f == nil {
		return
	}
	f.due.CompareAndSwap(0, c.link.clock.at(time.Now()))
	c.link.policy.watch()
}

// Forsake says that the RPC, which is late, may be cancelled for another's answer.
// Its member is waited for all the same: an answer that nobody wants any more is
// still owed.
func (a *Attempt) Forsake() { a.forsaken.Store(true) }

// GivenUp is why the policy has cancelled the RPC; nil when it has not.
func (a *Attempt) GivenUp() error {
	if err := a.givenUp.Load(); err != nil {
		return *err
	}
	return nil
}

// Arriving reports whether bytes have come in on the RPC's connection since it was
// asked last, or since the pick, that may be those of an answer.
func (a *Attempt) Arriving() bool {
	now := a.arrived.Load()
	if c := a.picked.Load(); c != nil {
		now = c.link.wire.received.Load()
	}
	return now-a.received.Swap(now) >= arriving
}

// arriving is the least number of bytes that may be an answer's, rather than those
// of a small message for something else.
const arriving = 1 << 10

// Reset forgets the results, so that the Attempt can serve the next RPC.
func (a *Attempt) Reset() {
	a.begun.Store(false)
	a.picked.Store(nil)
	a.flow.Store(nil)
	a.sent.Store(false)
	a.heard.Store(false)
	a.forsaken.Store(false)
	a.givenUp.Store(nil)
	a.outside.Store(nil)
}

// Observe records what the picked endpoint has told in a response's header: the
// member's ID, for Table's readers, and its raft term, which tells elections.
// Zeros are ignored.
func (a *Attempt) Observe(memberID, raftTerm uint64) {
	c := a.picked.Load()
	if c == nil {
		return
	}
	if memberID != 0 && c.member.id.Load() != memberID {
		c.member.id.Store(memberID)
	}
	if raftTerm > c.link.clock.term.Load() {
		c.link.observeTerm(raftTerm)
	}
}

// Avoidance collects endpoints for Attempt.Avoid, for those who open a stream again
// until it is well. Nil is none.
type Avoidance []string

// Add adds an endpoint; an empty name is none. When it is there already, it was
// picked all the same: all members have had their turn, and the list starts over.
func (l *Avoidance) Add(endpoint string) {
	switch {
	case endpoint == "":
	case slices.Contains(*l, endpoint):
		*l = Avoidance{endpoint}
	default:
		*l = append(slices.Clip(*l), endpoint)
	}
}

func (a *Attempt) avoids(m *member) bool {
	return a != nil && slices.Contains(a.Avoid, m.name)
}

// AttemptKey is the key under which a context has its *Attempt, for contexts of
// the caller's own making.
type AttemptKey struct{}

// NewContext returns a context that carries a to the policy.
func NewContext(ctx context.Context, a *Attempt) context.Context {
	return context.WithValue(ctx, AttemptKey{}, a)
}

// FromContext returns the Attempt that ctx carries, or nil.
func FromContext(ctx context.Context) *Attempt {
	a, _ := ctx.Value(AttemptKey{}).(*Attempt)
	return a
}
