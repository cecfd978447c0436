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

// Package client waits for a member as long as the call's context allows, and so
// do a client's own calls: clientv3 makes each of them a wait-for-ready call
// (grpc's doc/wait-for-ready.md). Two kinds of calls do not wait:
//
//   - a stub's call fails while no endpoint can be reached, as gRPC's calls do,
//     unless it is a wait-for-ready call;
//   - a client's own call fails if no server that can be reached is etcd, whose
//     answer clientv3 returns. A deadline that comes first ends it with that answer.

// refusalStands is how long a refusal must stand before it ends a call.
const refusalStands = time.Second

// reachable returns a context for a stub's call. It ends with ctx, when stop is
// called, or with a refusal as its cause.
func reachable(ctx context.Context, c *client.Client, opts []grpc.CallOption) (_ context.Context, stop func()) {
	if waits(opts) {
		return ctx, func() {}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	quit := make(chan struct{})
	go watchEndpoints(ctx, cancel, quit, c, unreachable) // ends with ctx or stop
	return ctx, func() { close(quit) }
}

// answerable returns a context for a client's own call. It ends with ctx, when
// stop is called, or with the answer of servers that are not etcd as its cause.
// Most calls end before that is checked. A deadline is enough for a call of a
// client that a voter has answered.
func answerable(ctx context.Context, c *client.Client, voter bool) (_ context.Context, stop func()) {
	if c == nil || ctx == nil {
		return ctx, func() {}
	}
	if _, ok := ctx.Deadline(); ok && voter {
		return ctx, func() {}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	t := time.AfterFunc(refusalStands, func() { watchEndpoints(ctx, cancel, nil, c, foreign) }) // ends with ctx
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

// watchEndpoints cancels the call's context when useless has returned an error for
// refusalStands. It returns when ctx ends or quit is closed.
func watchEndpoints(ctx context.Context, cancel context.CancelCauseFunc, quit <-chan struct{}, c *client.Client, useless func([]balancer.Status) error) {
	var since time.Time
	for {
		changed := c.EndpointsChanged() // before Endpoints, so that no change is missed
		err := useless(c.Endpoints())
		var over <-chan time.Time
		switch {
		case err == nil:
			since = time.Time{}
		case since.IsZero():
			since = time.Now()
			over = time.After(refusalStands)
		case time.Since(since) >= refusalStands:
			cancel(refusal{err})
			return
		default:
			over = time.After(refusalStands - time.Since(since))
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
		case isForeign(e):
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

// foreign returns the answer of servers that are not etcd. It is nil if none can
// be reached, or if an endpoint can be used, or was not tried.
func foreign(endpoints []balancer.Status) error {
	if i := slices.IndexFunc(endpoints, isForeign); i >= 0 && unreachable(endpoints) != nil {
		return bare.Error(endpoints[i].Demoted)
	}
	return nil
}

// isForeign reports whether an endpoint is connected to a server that is not etcd.
func isForeign(e balancer.Status) bool {
	return e.State == connectivity.Ready && etcderr.NotEtcd(e.Demoted)
}
