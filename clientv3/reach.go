package clientv3

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/balancer"
	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/clientv3/internal/bare"
	"github.com/getcd/getcd/internal/etcderr"
	"github.com/getcd/getcd/internal/explain"
)

// Package client waits for a member as long as the call's context allows. In
// clientv3, two kinds of calls do not wait forever while no endpoint can be
// reached:
//
//   - a stub's call fails, as gRPC's calls do;
//   - a client's own call fails if its context has no deadline, since otherwise
//     only the cluster's return could end it.
//
// Neither fails if it is a wait-for-ready call (grpc's doc/wait-for-ready.md).
const (
	// refusalStands is how long no endpoint must be reachable before a stub's
	// call fails.
	refusalStands = time.Second
	// outageStands is the same for a client's own call, which also begins to
	// check only after this time, since all members may just be restarting.
	outageStands = 3 * time.Second
)

// reachable returns a context for a stub's call. It ends with ctx, when stop is
// called, or with a refusal as its cause.
func reachable(ctx context.Context, c *client.Client, opts []grpc.CallOption) (_ context.Context, stop func()) {
	if waits(opts) {
		return ctx, func() {}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	quit := make(chan struct{})
	go watchOutage(ctx, cancel, quit, c, refusalStands) // ends with ctx or stop
	return ctx, func() { close(quit) }
}

// bounded returns a context for a client's own call. It ends with ctx, when stop
// is called, or, if ctx has no deadline, with a refusal as its cause.
func bounded(ctx context.Context, c *client.Client, opts []grpc.CallOption) (_ context.Context, stop func()) {
	if c == nil || ctx == nil || waits(opts) {
		return ctx, func() {}
	}
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	t := time.AfterFunc(outageStands, func() { watchOutage(ctx, cancel, nil, c, outageStands) }) // ends with ctx
	return ctx, func() { t.Stop(); cancel(nil) }
}

// waits reports whether a call is a wait-for-ready call.
func waits(opts []grpc.CallOption) bool {
	return slices.ContainsFunc(opts, func(o grpc.CallOption) bool {
		f, ok := o.(grpc.FailFastCallOption)
		return ok && !f.FailFast
	})
}

// patient returns opts without grpc.WaitForReady(false). That is gRPC's default, and clientv3
// gives it to all calls, whereas package client takes it for the wish to fail at once.
func patient(opts []grpc.CallOption) []grpc.CallOption {
	failsFast := func(o grpc.CallOption) bool { f, ok := o.(grpc.FailFastCallOption); return ok && f.FailFast }
	if !slices.ContainsFunc(opts, failsFast) {
		return opts
	}
	return slices.DeleteFunc(slices.Clone(opts), failsFast)
}

// watchOutage cancels the call's context when no endpoint could be reached for
// the duration stands. It returns when ctx ends or quit is closed.
func watchOutage(ctx context.Context, cancel context.CancelCauseFunc, quit <-chan struct{}, c *client.Client, stands time.Duration) {
	var since time.Time
	for {
		changed := c.EndpointsChanged() // before Endpoints, so that no change is missed
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

// unreachable returns why no endpoint can be used, as gRPC would report it: none
// can be reached, or the servers are not etcd. It is nil if an endpoint can be
// used, or was not tried.
func unreachable(endpoints []balancer.Status) error {
	var err error
	for _, e := range endpoints {
		switch {
		case e.State == connectivity.Ready && etcderr.NotEtcd(e.Demoted):
			err = bare.Error(e.Demoted)
		case e.State == connectivity.Ready, e.LastError == nil:
			return nil
		default:
			text := explain.Original(e.LastError)
			if !strings.HasPrefix(text, explain.Wrapping) {
				text = explain.Wrapping + strconv.Quote(text)
			}
			err = status.Error(codes.Unavailable, text)
		}
	}
	return err
}
