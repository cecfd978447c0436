package clientv3

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/getcd/getcd/internal/attempt"
	"github.com/getcd/getcd/internal/backoff"
)

// watchConn is the connection of one kind of watches. It opens their streams,
// with their metadata.
//
// Every stream asks for a member with a leader. If no reachable member has one,
// watches that require a leader end with ErrNoLeader. A member without a leader
// serves the others: it has the history, and continues when it has a leader
// again.
type watchConn struct {
	grpc.ClientConnInterface

	md       metadata.MD // from the watches' contexts
	guard    guard       // without a client if the connection belongs to the program
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
	// Once a stream is open, a server that loses its leader ends it (etcd's
	// monitorLeader in v3rpc/interceptor.go). A learner ends it at once.
	guarded, cancel := context.WithCancelCause(ctx)
	opening, opened := context.WithCancel(guarded)
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.guard.watchRefusals(opening, cancel, true, !c.guard.voter.Load(), &c.refusals)
	}()
	in, err := c.ClientConnInterface.NewStream(guarded, desc, method, opts...)
	opened()
	<-done
	switch refused := refusedIn(ctx, guarded); {
	case refused == nil && err == nil:
		return watchStream{in, c.guard.voter}, nil // it ends with ctx
	case refused == nil:
		cancel(nil)
		return nil, err
	case requiresLeader(ctx) || !errors.Is(refused, rpctypes.ErrNoLeader):
		return nil, refusal{refused}
	}
	return c.withoutLeader(ctx, desc, method, opts)
}

// withoutLeader opens a stream on any member, to use until there is a leader. The
// stream stays there, since the client often moves between members without a
// leader.
func (c *watchConn) withoutLeader(ctx context.Context, desc *grpc.StreamDesc, method string, opts []grpc.CallOption) (grpc.ClientStream, error) {
	a := attempt.FromContext(ctx)
	if a == nil {
		a = &attempt.Attempt{}
		ctx = attempt.NewContext(ctx, a)
	}
	a.AnyMember, a.Stay = true, true
	ctx, cancel := context.WithCancel(ctx)
	in, err := c.ClientConnInterface.NewStream(ctx, desc, method, opts...)
	if err != nil {
		cancel()
		return nil, err
	}
	go func() { // ends with the stream, or ends it
		defer cancel()
		for {
			began := time.Now()
			if c.leads(ctx) {
				return // so that it is reopened where there is a leader
			}
			if !backoff.Sleep(ctx, refusalStands-time.Since(began)) {
				return
			}
		}
	}()
	return in, nil
}

// leads reports whether a member has a leader. It waits for that for a while.
func (c *watchConn) leads(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(attempt.NewContext(ctx, nil), refusalStands)
	defer cancel()
	_, err := pb.NewKVClient(c.guard.client.Conn()).Range(ctx, &pb.RangeRequest{Key: []byte{0}, CountOnly: true})
	return ctx.Err() == nil && !isEtcdError(err, rpctypes.ErrGRPCNoLeader)
}

// watchStream records that a voter has answered: learners do not serve watches.
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
