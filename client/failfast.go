package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"

	"github.com/getcd/getcd/internal/attempt"
)

// failsFast reports whether a call with opts fails while no endpoint can be reached. gRPC's
// calls do so unless they say otherwise; those of a Conn do so only when they say so, or
// when the client does. The last option counts, as in gRPC.
func failsFast(opts []grpc.CallOption, byDefault bool) bool {
	for _, o := range opts {
		if f, ok := o.(grpc.FailFastCallOption); ok {
			byDefault = f.FailFast
		}
	}
	return byDefault
}

// reachable waits, in a call that fails fast, while the first connection is being made. It
// returns an error when none can be. gRPC defines it so (doc/wait-for-ready.md): such a call
// fails in state TRANSIENT_FAILURE, and waits while the state is CONNECTING. The policy looks
// at this once more when it picks a member, but before that the call may wait for a login.
func (t *try) reachable() error {
	cc, overGRPC := t.conn.cc.(*grpc.ClientConn)
	for t.failFast && overGRPC {
		switch s := cc.GetState(); s {
		case connectivity.TransientFailure:
			return attempt.ErrUnreachable
		case connectivity.Idle, connectivity.Connecting:
			if !cc.WaitForStateChange(t.ctx, s) {
				return t.ctx.Err()
			}
		default:
			return nil
		}
	}
	return nil
}

// triedAll reports whether the call has failed at each endpoint. Over the JSON gateway, which
// has no connections to wait for, that is how a call fails fast.
func (t *try) triedAll() bool {
	for _, s := range t.conn.table.Snapshot() {
		if !slices.ContainsFunc(t.attempts, func(a AttemptError) bool { return a.Endpoint == s.Address }) {
			return false
		}
	}
	return len(t.attempts) > 0
}

// callTimeout limits calls without a deadline. The zero value does not.
type callTimeout struct {
	limit time.Duration
	err   error // of a call for which it is over
}

func newCallTimeout(limit time.Duration) callTimeout {
	return callTimeout{limit, fmt.Errorf("not answered within %v (Config.CallTimeout): %w", limit, context.DeadlineExceeded)}
}

// begin gives t a deadline, if it has none and may not take long. The caller must call end.
func (c callTimeout) begin(t *try) (end func()) {
	if _, ok := t.ctx.Deadline(); ok || c.limit == 0 || t.call.waits {
		return func() {}
	}
	t.ctx, end = context.WithTimeoutCause(t.ctx, c.limit, c.err)
	return end
}

// explain returns c's error if it was c that ended ctx, and err otherwise.
func (c callTimeout) explain(ctx context.Context, err error) error {
	if w, ok := errors.AsType[waitedError](err); ok {
		return waitedError{c.explain(ctx, w.end), w.login}
	}
	if c.limit > 0 && ctx != nil && errors.Is(err, context.DeadlineExceeded) && errors.Is(context.Cause(ctx), c.err) {
		return c.err
	}
	return err
}
