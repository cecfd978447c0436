// Package attempt is what the call path and the policy exchange about one attempt
// to send an RPC. The caller states its wishes, which endpoints to avoid for
// instance, and reads afterward where the RPC went and whether anything was sent.
// What carries the RPC, the policy of package balancer or package gateway, reads
// the wishes and fills in the results.
//
// Both sides import this package, and neither imports the other: the services know
// no policy, and the policy knows no service.
package attempt

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/internal/census"
)

// Attempt has the wishes for one RPC and its results. It travels in the RPC's
// context (NewContext).
//
// An Attempt serves one RPC at a time. The wishes must not be changed during the RPC.
// The methods may be called from anywhere; their answers are final when the RPC has
// returned or, for a stream, when the stream was opened. The zero value wishes for
// nothing.
type Attempt struct {
	// Avoid names endpoints that should not be picked while another can be:
	// those that failed this call before. It is a wish, not a ban.
	Avoid []string
	// Measure says that the RPC's duration tells how quick the member is. It is
	// false for streams and for calls that wait, such as a lock.
	Measure bool
	// AnyMember says that members serve the RPC even when they can't serve
	// others, such as a serializable read. The opener of a stream may set it.
	AnyMember bool
	// FromMemory says that a member may answer the RPC by itself, from its memory:
	// the answer proves neither a leader nor a quorum. It ends no demotion and
	// opens no gate.
	FromMemory bool
	// Write says that the RPC may change something: while no member is known to
	// have a leader and a quorum it waits, unsent.
	Write bool
	// ToLeader says that other members forward what is sent on the stream to raft's leader,
	// so it should be there (balancer.Routing.WritesToLeader).
	ToLeader bool
	// Elsewhere says that the RPC is of no use at an endpoint to be avoided: when no
	// other is connected it fails, with code Unavailable, instead of waiting.
	Elsewhere bool
	// FailFast says that the RPC fails with ErrUnreachable while no endpoint can be reached,
	// instead of waiting.
	FailFast bool
	// Once says that the RPC must not be sent again once it has been sent: if it is
	// given up, nobody knows whether it was applied. So it keeps its connection for as
	// long as its member may yet answer (client.Config.WritePatience).
	Once bool
	// Large says that the request may take its time to leave, on a slow line. It is
	// read only of writes.
	Large bool
	// Cancel ends the RPC, or has its caller look elsewhere. The policy calls it when the
	// RPC is not worth waiting for any more, and GivenUp tells why. It is called with a
	// lock held, and must neither block nor end the RPC before it returns. Nil leaves the
	// RPC with its connection.
	Cancel func()
	// Flow says that the RPC is a stream that should leave its member when the
	// policy does (Life), and whose silence may tell something of the member
	// (Received, Expect). The opener of a stream may set it.
	Flow bool
	// Spread says that the RPC is a stream with Flow that reads, and so may go to any of
	// the members over which reads are spread.
	Spread bool
	// Stay says that the RPC is a stream that keeps its member for as long as its
	// connection lives, even when the policy leaves it.
	Stay bool
	// OwnID says that the request names a lease by an ID that getcd drew at random
	// and uses for one lease only, so that a copy of it, however late, can't meet
	// another lease. Package lease says so to the call path.
	OwnID bool
	// Repeat says that the caller has declared its Put or DeleteRange to be one that may be
	// sent again, whatever became of an earlier copy. The call path reads it.
	Repeat bool
	// Guarded says that the request is a transaction of which all copies but one do
	// nothing, whenever they come. Package once says so to the call path.
	Guarded bool
	// Final says that the caller gets whatever a member answers, even an error that
	// another member might not give. The call path reads it.
	Final bool
	// Enlist gives the opener of a stream the census of the client on which it is opened,
	// before the stream is waited for. Nil: the opener keeps nothing that counts.
	Enlist func(*census.Census)
	// Call is the number of the Conn's call that the RPC is an attempt of, by which
	// package wire shows the attempts of one call together. 0 means that it belongs
	// to none.
	Call uint64

	begun   atomic.Int32
	only    atomic.Bool
	sent    atomic.Bool
	heard   atomic.Bool
	givenUp atomic.Pointer[error]
	arrived atomic.Uint64 // Connection.Arrived when Arriving was asked last

	mu     sync.Mutex // a leaf
	picked Connection // guarded by mu
}

// Connection is where an RPC was sent: the answers that only who picked it can give.
// Its methods may be called from anywhere, also after the RPC has ended.
type Connection interface {
	// Endpoint is the endpoint's name, as Avoid has it. It is the address, except
	// that of the second connection to one address.
	Endpoint() string
	// Address is the endpoint's address, as balancer.Status has it.
	Address() string
	// Life ends when the connection is no longer in use.
	Life() context.Context
	// Arrived is how many bytes have come in on the connection so far.
	Arrived() uint64
	// Proven reports whether the member has served a request on the connection that takes
	// consensus, and so is an etcd, or stands in for one.
	Proven() bool
	// Received and Expect are those of the Attempt.
	Received()
	Expect()
	// Observe is that of the Attempt. Neither is 0 unless it is unknown.
	Observe(memberID, raftTerm uint64)
}

// ErrUnreachable is the error of an RPC with FailFast: each endpoint was tried, and none is
// connected.
var ErrUnreachable = status.Error(codes.Unavailable, "no endpoint can be reached")

// Begin says that the RPC has come to its transport with this Attempt in its context.
func (a *Attempt) Begin() { a.begun.Add(1) }

// Begun reports whether Begin was called. When it was not, something in between
// has kept the RPC back or has dropped the context's values: then the other results
// say nothing.
func (a *Attempt) Begun() bool { return a.begun.Load() > 0 }

// BegunOnce reports whether Begin was called once: nothing in between has sent the RPC twice.
func (a *Attempt) BegunOnce() bool { return a.begun.Load() == 1 }

// SetOnly says whether the copy that was answered is the only one that a member can have seen. The
// call path says so of a request with Guarded.
func (a *Attempt) SetOnly(only bool) { a.only.Store(only) }

// Only is what SetOnly has said last. False means that there may have been other copies.
func (a *Attempt) Only() bool { return a.only.Load() }

// connection is where the RPC was sent last; nil when none was picked.
func (a *Attempt) connection() Connection {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.picked
}

// Endpoint names the endpoint that the RPC was last sent to, for Avoid; empty when none
// was picked.
func (a *Attempt) Endpoint() string {
	if c := a.connection(); c != nil {
		return c.Endpoint()
	}
	return ""
}

// Address is the address of that endpoint, as in balancer.Status.
func (a *Attempt) Address() string {
	if c := a.connection(); c != nil {
		return c.Address()
	}
	return ""
}

// Sent reports whether the request may have left this process. False means that
// no member can have seen it.
func (a *Attempt) Sent() bool { return a.sent.Load() }

// Heard reports whether the member has said anything in return. False means that
// the RPC's error was made in this process.
func (a *Attempt) Heard() bool { return a.heard.Load() }

// Life is a context that ends when the policy has left the connection that the
// RPC was sent on, as stalled, lost or no longer wanted. A stream that can be
// opened again elsewhere should be, then. It never ends when none was picked.
func (a *Attempt) Life() context.Context {
	if c := a.connection(); c != nil {
		return c.Life()
	}
	return context.Background()
}

// Proven reports whether the member that the RPC was sent to is known to be an etcd, or what
// stands in for one.
func (a *Attempt) Proven() bool {
	c := a.connection()
	return c != nil && c.Proven()
}

// Received tells of a message on the stream. It is for streams with Flow.
func (a *Attempt) Received() {
	if c := a.connection(); c != nil {
		c.Received()
	}
}

// Expect says that from now on the member owes the stream a message, as the
// answer to a request on it. When none comes in the usual time the policy looks
// after the member. It is for streams with Flow.
func (a *Attempt) Expect() {
	if c := a.connection(); c != nil {
		c.Expect()
	}
}

// Observe records what the picked endpoint has told in a response's header: the
// member's ID, for the endpoints' snapshot, and its raft term, which tells elections.
// Zeros are ignored.
func (a *Attempt) Observe(memberID, raftTerm uint64) {
	if c := a.connection(); c != nil {
		c.Observe(memberID, raftTerm)
	}
}

// leastAnswer is the least number of bytes that may be an answer's, rather than those
// of a small message for something else.
const leastAnswer = 1 << 10

// Arriving reports whether bytes have come in on the RPC's connection since it was
// asked last, or since the pick, that may be those of an answer.
func (a *Attempt) Arriving() bool {
	c := a.connection()
	if c == nil {
		return false
	}
	now := c.Arrived()
	return now-a.arrived.Swap(now) >= leastAnswer
}

// GivenUp is why the policy has canceled the RPC; nil when it has not.
func (a *Attempt) GivenUp() error {
	if err := a.givenUp.Load(); err != nil {
		return *err
	}
	return nil
}

// Reset forgets the results, so that the Attempt can serve the next RPC.
func (a *Attempt) Reset() {
	a.begun.Store(0)
	a.only.Store(false)
	a.givenUp.Store(nil)
	a.Unpick()
}

// Avoids reports whether the endpoint is one to avoid. A nil Attempt avoids none.
func (a *Attempt) Avoids(endpoint string) bool {
	return a != nil && slices.Contains(a.Avoid, endpoint)
}

// The following methods are for whoever carries the RPC. They do nothing on a nil
// Attempt.

// Pick says that the RPC goes to c now. What was sent before, to another one, remains
// sent.
func (a *Attempt) Pick(c Connection) {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.picked = c
	a.arrived.Store(c.Arrived())
}

// Unpick says that the RPC is at no connection, and that nothing of it has left this
// process so far.
func (a *Attempt) Unpick() {
	if a == nil {
		return
	}
	a.sent.Store(false)
	a.heard.Store(false)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.picked = nil
}

// Send says that the request may have left this process.
func (a *Attempt) Send() {
	if a != nil {
		a.sent.Store(true)
	}
}

// Hear says that something of an answer has come.
func (a *Attempt) Hear() {
	if a != nil {
		a.heard.Store(true)
	}
}

// GiveUp cancels the RPC for cause, which GivenUp returns from now on. It reports
// false when it has nothing to cancel it by.
func (a *Attempt) GiveUp(cause error) bool {
	if a == nil || a.Cancel == nil {
		return false
	}
	a.givenUp.Store(&cause)
	a.Cancel()
	return true
}

// Key is the key under which a context has its *Attempt, for contexts of the caller's
// own making.
type Key struct{}

// NewContext returns a context that carries a to whoever carries the RPC.
func NewContext(ctx context.Context, a *Attempt) context.Context {
	return context.WithValue(ctx, Key{}, a)
}

// FromContext returns the Attempt that ctx carries, or nil.
func FromContext(ctx context.Context) *Attempt {
	a, _ := ctx.Value(Key{}).(*Attempt)
	return a
}
