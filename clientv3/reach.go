package clientv3

import (
	"context"
	"fmt"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/balancer"
	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/clientv3/internal/bare"
	"github.com/getcd/getcd/internal/etcderr"
)

// Package client waits for a member to come, as long as the call's context lets it. Two
// kinds of calls of clientv3's do not wait for ever while no endpoint can be reached:
//
//   - a stub's call fails, as gRPC's calls do;
//   - a client's own call fails if its context has no deadline, so that nothing but the
//     cluster's return would end it.
//
// Neither does if it is to wait (grpc's doc/wait-for-ready.md).
const (
	// refusalStands is how long no endpoint can be reached before a stub is told.
	refusalStands = time.Second
	// outageStands is the same for a client's own call, and how late that begins to look:
	// all members may be restarted meanwhile.
	outageStands = 3 * time.Second
)

// reachable returns a context for a stub's call that ends with ctx, when stop is called,
// or with a refusal as its cause.
func reachable(ctx context.Context, c *client.Client, opts []grpc.CallOption) (_ context.Context, stop func()) {
	if waits(opts) {
		return ctx, func() {}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	quit := make(chan struct{})
	go heedOutage(ctx, cancel, quit, c, refusalStands) // ends with ctx or stop
	return ctx, func() { close(quit) }
}

// bounded returns a context for a client's own call that ends with ctx, when stop is
// called, or with a refusal as its cause if ctx has no deadline.
func bounded(ctx context.Context, c *client.Client, opts []grpc.CallOption) (_ context.Context, stop func()) {
	if c == nil || ctx == nil || waits(opts) {
		return ctx, func() {}
	}
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	t := time.AfterFunc(outageStands, func() { heedOutage(ctx, cancel, nil, c, outageStands) }) // ends with ctx
	return ctx, func() { t.Stop(); cancel(nil) }
}

// waits reports whether a call is to wait for a connection.
func waits(opts []grpc.CallOption) bool {
	return slices.ContainsFunc(opts, func(o grpc.CallOption) bool {
		f, ok := o.(grpc.FailFastCallOption)
		return ok && !f.FailFast
	})
}

// heedOutage cancels when no endpoint could be reached for as long as stands, until ctx
// ends or quit is closed.
func heedOutage(ctx context.Context, cancel context.CancelCauseFunc, quit <-chan struct{}, c *client.Client, stands time.Duration) {
	var since time.Time
	for {
		changed := c.EndpointsChanged() // before Endpoints, to miss nothing
		err := unreachable(c.Endpoints())
		var over <-chan time.Time
		switch {
		case err == nil:
			since = time.Time{}
		case since.IsZero():
			since = time.Now()
			over = time.After(stands)
		case time.Since(since) >= stands:
			cancel(refusal{err})
			return
		default:
			over = time.After(stands - time.Since(since))
		}
		select {
		case <-ctx.Done():
			return
		case <-quit:
			return
		case <-changed:
		case <-over:
		}
	}
}

// unreachable is why no endpoint can be used, as gRPC has it: none can be reached, or what
// is there is no etcd. It is nil when one can be, or was not tried.
func unreachable(endpoints []balancer.Status) error {
	var err error
	for _, e := range endpoints {
		switch {
		case e.State == connectivity.Ready && etcderr.NotEtcd(e.Demoted):
			err = bare.Error(e.Demoted)
		case e.State == connectivity.Ready, e.LastError == nil:
			return nil
		default:
			err = status.Error(codes.Unavailable, fmt.Sprintf("connection error: desc = %q", e.LastError.Error()))
		}
	}
	return err
}
