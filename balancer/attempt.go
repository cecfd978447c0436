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
	// others, such as a serializable read: its answer ends no demotion.
	AnyMember bool
	// Write says that the RPC writes. It is looked at only when Measure is set.
	Write bool

	member atomic.Pointer[member]
	link   atomic.Pointer[link]
	sent   atomic.Bool
	heard  atomic.Bool
}

// Endpoint is the endpoint that the RPC was last sent to; empty when none was
// picked.
func (a *Attempt) Endpoint() string {
	if m := a.member.Load(); m != nil {
		return m.name
	}
	return ""
}

// Sent reports whether the request may have left this process. False means that
// no member can have seen it.
func (a *Attempt) Sent() bool { return a.sent.Load() }

// Heard reports whether the member has said anything in return. False means that
// what the RPC returned was made in this process.
func (a *Attempt) Heard() bool { return a.heard.Load() }

// Reset forgets the results, so that the Attempt can serve the next RPC.
func (a *Attempt) Reset() {
	a.member.Store(nil)
	a.link.Store(nil)
	a.sent.Store(false)
	a.heard.Store(false)
}

// Observe records what the picked endpoint has told in a response's header: the
// member's ID, for Table's readers, and its raft term, which tells elections.
// Zeros are ignored.
func (a *Attempt) Observe(memberID, raftTerm uint64) {
	if m := a.member.Load(); m != nil && memberID != 0 && m.id.Load() != memberID {
		m.id.Store(memberID)
	}
	if l := a.link.Load(); l != nil && raftTerm > l.term.Load() {
		l.observeTerm(raftTerm, time.Now())
	}
}

func (a *Attempt) avoids(m *member) bool {
	return a != nil && slices.Contains(a.Avoid, m.name)
}

type attemptKey struct{}

// NewContext returns a context that carries a to the policy.
func NewContext(ctx context.Context, a *Attempt) context.Context {
	return context.WithValue(ctx, attemptKey{}, a)
}

// FromContext returns the Attempt that ctx carries, or nil.
func FromContext(ctx context.Context) *Attempt {
	a, _ := ctx.Value(attemptKey{}).(*Attempt)
	return a
}
