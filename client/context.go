package client

import (
	"context"

	"google.golang.org/grpc/metadata"

	"github.com/getcd/getcd/balancer"
)

// attemptContext is the caller's context with what one attempt adds to it: the
// Attempt, the metadata, and a way to cancel it without the caller. It is one
// allocation, where the context package's own would be one each.
type attemptContext struct {
	context.Context //nolint:containedctx // the caller's

	attempt  balancer.Attempt
	metadata context.Context //nolint:containedctx // the credential's, for its one value; nil when the caller's has it
	cancel   context.Context //nolint:containedctx // ends no later than the caller's; nil for the caller's own
}

// newAttempt returns the context of an attempt with ctx and cred's metadata.
func newAttempt(ctx context.Context, cred *credential, anyMember bool) *attemptContext {
	if _, ok := metadata.FromOutgoingContext(ctx); ok {
		return &attemptContext{Context: cred.outgoing(ctx, anyMember)}
	}
	if anyMember {
		return &attemptContext{Context: ctx, metadata: cred.toAny}
	}
	return &attemptContext{Context: ctx, metadata: cred.toLeader}
}

// Done implements context.Context.
func (c *attemptContext) Done() <-chan struct{} {
	if c.cancel != nil {
		return c.cancel.Done()
	}
	return c.Context.Done()
}

// Err implements context.Context. The caller's reason comes first.
func (c *attemptContext) Err() error {
	if err := c.Context.Err(); err != nil || c.cancel == nil {
		return err
	}
	return c.cancel.Err()
}

// Value implements context.Context. Contexts that are derived from this one find
// by it where to register for its end, with no goroutine to wait for that.
func (c *attemptContext) Value(key any) any {
	if key == (balancer.AttemptKey{}) {
		return &c.attempt
	}
	if c.cancel != nil {
		if v := c.cancel.Value(key); v != nil {
			return v
		}
	}
	if c.metadata != nil {
		if v := c.metadata.Value(key); v != nil {
			return v
		}
	}
	return c.Context.Value(key)
}
