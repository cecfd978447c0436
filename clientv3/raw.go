package clientv3

import (
	"context"
	"fmt"
	"slices"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/balancer"
	"github.com/getcd/getcd/client"
)

// rawConn is what programs take for a connection of gRPC's. A stub on it repeats nothing:
// what a member has answered is the program's to judge. One of getcd's services on a stub
// is no program: it has an Attempt already, and opens its streams again elsewhere.
type rawConn struct {
	statusConn

	client *client.Client // whose connections it is on
}

func (c rawConn) Invoke(ctx context.Context, method string, req, reply any, opts ...grpc.CallOption) error {
	if ctx == nil {
		return c.statusConn.Invoke(ctx, method, req, reply, opts...) // which says so
	}
	reached, stop := reachable(ctx, c.client, opts)
	defer stop()
	if balancer.FromContext(ctx) == nil {
		reached = balancer.NewContext(reached, &balancer.Attempt{Final: true})
	}
	err := c.statusConn.Invoke(reached, method, req, reply, opts...)
	if gone := refusedIn(ctx, reached); err != nil && gone != nil {
		return gone
	}
	return err
}

func (c rawConn) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	if ctx == nil {
		return c.statusConn.NewStream(ctx, desc, method, opts...)
	}
	reached, stop := reachable(ctx, c.client, opts)
	defer stop()
	if method == pb.Watch_Watch_FullMethodName && balancer.FromContext(ctx) == nil {
		reached = balancer.NewContext(reached, &balancer.Attempt{AnyMember: !requiresLeader(ctx), Stay: true})
	}
	s, err := c.statusConn.NewStream(reached, desc, method, opts...)
	if gone := refusedIn(ctx, reached); gone != nil {
		return nil, gone
	}
	return s, err
}

// A stub's call fails, as gRPC's calls do, when no connection can be made, unless it is to
// wait for one (grpc's doc/wait-for-ready.md). Package client waits for a member to
// come, as long as the call's context lets it. So a stub's call does not wait for longer
// than refusalStands while no endpoint can be reached.

// reachable returns a context that ends with ctx, when stop is called, or with a refusal
// as its cause.
func reachable(ctx context.Context, c *client.Client, opts []grpc.CallOption) (_ context.Context, stop func()) {
	for _, o := range opts {
		if f, ok := o.(grpc.FailFastCallOption); ok && !f.FailFast {
			return ctx, func() {}
		}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	quit := make(chan struct{})
	go func() { // ends with ctx or stop
		var since time.Time
		for {
			changed := c.EndpointsChanged()
			err := unreachable(c.Endpoints())
			var stands <-chan time.Time
			switch {
			case err == nil:
				since = time.Time{}
			case since.IsZero():
				since = time.Now()
				stands = time.After(refusalStands)
			case time.Since(since) >= refusalStands:
				cancel(refusal{err})
				return
			default:
				stands = time.After(refusalStands - time.Since(since))
			}
			select {
			case <-ctx.Done():
				return
			case <-quit:
				return
			case <-changed:
			case <-stands:
			}
		}
	}()
	return ctx, func() { close(quit) }
}

// unreachable is why no endpoint can be reached, as gRPC has it; nil when one can be, or
// was not tried.
func unreachable(endpoints []balancer.Status) error {
	if len(endpoints) == 0 || slices.ContainsFunc(endpoints, func(e balancer.Status) bool {
		return e.State == connectivity.Ready || e.LastError == nil
	}) {
		return nil
	}
	last := endpoints[len(endpoints)-1].LastError
	return status.Error(codes.Unavailable, fmt.Sprintf("connection error: desc = %q", last.Error()))
}
