package clientv3

import (
	"context"
	"errors"
	"sync/atomic"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/getcd/getcd/balancer"
)

// watchConn is the connection of one kind of watches: it opens their streams, with
// their metadata.
//
// Every stream asks for a member with a leader. When no member that can be reached has
// one, those that require a leader end with ErrNoLeader, and the others are served by a
// member without: it has the past, and goes on when it has a leader again.
type watchConn struct {
	grpc.ClientConnInterface

	md       metadata.MD // of the watches' contexts
	guard    guard       // without a client: the connection is somebody else's
	refusals standing
}

func (c *watchConn) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	if c.md != nil {
		ctx = metadata.NewOutgoingContext(ctx, c.md)
	}
	if c.guard.client == nil {
		return c.ClientConnInterface.NewStream(ctx, desc, method, opts...)
	}
	ctx = withVersion(ctx)
	// Once open, a stream is ended by a server without a leader (etcd's monitorLeader in
	// v3rpc/interceptor.go), and by learners at once.
	guarded, cancel := context.WithCancelCause(ctx)
	opening, opened := context.WithCancel(guarded)
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.guard.heed(opening, cancel, true, !c.guard.voter.Load(), &c.refusals)
	}()
	in, err := c.ClientConnInterface.NewStream(guarded, desc, method, opts...)
	opened()
	<-done
	switch refused := refusedIn(ctx, guarded); {
	case refused == nil && err == nil:
		return watchStream{in, c.guard.voter}, nil // whose end is ctx's
	case refused == nil:
		cancel(nil)
		return nil, err
	case requiresLeader(ctx) || !errors.Is(refused, rpctypes.ErrNoLeader):
		return nil, refusal{refused}
	}
	a := balancer.FromContext(ctx)
	if a == nil {
		a = &balancer.Attempt{}
		ctx = balancer.NewContext(ctx, a)
	}
	a.AnyMember = true
	return c.ClientConnInterface.NewStream(ctx, desc, method, opts...)
}

// watchStream notes that a voter has answered: learners watch nothing.
type watchStream struct {
	grpc.ClientStream

	voter *atomic.Bool
}

func (s watchStream) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	if err == nil && !s.voter.Load() {
		s.voter.Store(true)
	}
	return err
}

func isRefusal(err error) bool {
	_, ok := errors.AsType[refusal](err)
	return ok
}
