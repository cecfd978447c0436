package client

import (
	"context"

	"google.golang.org/grpc/metadata"

	"github.com/getcd/getcd/internal/attempt"
)

// attemptContext is the caller's context and what one attempt adds to it: the Attempt, the
// metadata, and a way to cancel it without the caller. It takes one allocation; package
// context would take one for each.
type attemptContext struct {
	context.Context //nolint:containedctx // the caller's

	attempt  attempt.Attempt
	metadata context.Context //nolint:containedctx // the credential's, for its one value; nil when the caller's has it
	cancel   context.Context //nolint:containedctx // the leash's, which ends no later than the caller's
}

// newAttempt returns the context of an attempt: ctx with cred's metadata, which also ends
// with l.
func newAttempt(ctx context.Context, l *leash, cred *credential, anyMember bool) *attemptContext {
	a := &attemptContext{Context: ctx, cancel: l.ctx}
	a.attempt.Cancel = l.cancel
	switch _, ok := metadata.FromOutgoingContext(ctx); {
	case ok:
		a.Context = cred.outgoing(ctx, anyMember)
	case anyMember:
		a.metadata = cred.toAny
	default:
		a.metadata = cred.toLeader
	}
	return a
}

// Done implements context.Context.
func (c *attemptContext) Done() <-chan struct{} {
	return c.cancel.Done()
}

// Err implements context.Context. The caller's error comes first.
func (c *attemptContext) Err() error {
	if err := c.Context.Err(); err != nil {
		return err
	}
	return c.cancel.Err()
}

// Value implements context.Context. Asking the leash's context first lets derived contexts
// find it, so that package context needs no goroutine to propagate its end.
func (c *attemptContext) Value(key any) any {
	if key == (attempt.Key{}) {
		return &c.attempt
	}
	if v := c.cancel.Value(key); v != nil {
		return v
	}
	if c.metadata != nil {
		if v := c.metadata.Value(key); v != nil {
			return v
		}
	}
	return c.Context.Value(key)
}

// leash can end an RPC without its caller's context: when the policy gives it up, or when
// another copy is answered. It serves one call after another until it has ended one.
type leash struct {
	ctx    context.Context //nolint:containedctx // of the RPCs that it holds
	cancel context.CancelFunc
	unhook func() bool // until it is called, the caller's context ends ctx; nil if the caller's has no end
}

func newLeash() *leash {
	ctx, cancel := context.WithCancel(context.Background())
	return &leash{ctx: ctx, cancel: cancel}
}

// hold makes the end of caller end the RPC.
func (l *leash) hold(caller context.Context) {
	if caller.Done() != nil {
		l.unhook = context.AfterFunc(caller, l.cancel)
	}
}

// release forgets the caller, and reports whether l can serve another call.
func (l *leash) release() bool {
	loose := l.unhook == nil || l.unhook()
	l.unhook = nil
	return loose && l.ctx.Err() == nil
}

func (c *Conn) newLeash(caller context.Context) *leash {
	l, ok := c.leashes.Get().(*leash)
	if !ok {
		l = newLeash()
	}
	l.hold(caller)
	return l
}

func (c *Conn) release(l *leash) {
	if l.release() {
		c.leashes.Put(l)
	} else {
		l.cancel()
	}
}
