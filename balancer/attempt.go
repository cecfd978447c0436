package balancer

import (
	"context"

	"google.golang.org/grpc/balancer"
)

// Attempt steers the pick of one RPC and, once the pick is made, tells which
// member took it. It is passed down in the RPC's context (NewContext), so that
// the call path, which knows nothing of connections, and the policy, which
// knows nothing of calls, meet in this one value.
//
// An Attempt belongs to one RPC at a time. Its results may be read after the
// RPC has returned, or, for a stream, after the stream was opened.
type Attempt struct {
	// Avoid names endpoints that should not be picked while another can be:
	// those that failed this call before. It is a wish, not a ban.
	Avoid []string
	// Pin names the one endpoint that may be picked; the RPC waits until that
	// endpoint is connected. Empty means any.
	Pin string

	endpoint string
	sent     bool
}

// Endpoint is the endpoint that the RPC was last sent to; empty when none was
// picked.
func (a *Attempt) Endpoint() string { return a.endpoint }

// Sent reports whether the request may have left this process. False means that
// no member can have seen it.
func (a *Attempt) Sent() bool { return a.sent }

// Reset forgets the results, so that the Attempt can serve the next RPC.
func (a *Attempt) Reset() { a.endpoint, a.sent = "", false }

func (a *Attempt) done(info balancer.DoneInfo) {
	if info.BytesSent {
		a.sent = true
	}
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
