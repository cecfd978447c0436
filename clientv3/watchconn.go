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
	return c.withoutLeader(ctx, desc, method, opts)
}

// withoutLeader opens a stream on any member, for until there is a leader. It stays
// there: which of several members without a leader the client is on changes often.
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
				return // to be opened again where there is a leader
			}
			if !backoff.Sleep(ctx, refusalStands-time.Since(began)) {
				return
			}
		}
	}()
	return in, nil
}

// leads reports whether a member has a leader, for which it waits a while.
func (c *watchConn) leads(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(attempt.NewContext(ctx, nil), refusalStands)
	defer cancel()
	_, err := pb.NewKVClient(c.guard.client.Conn()).Range(ctx, &pb.RangeRequest{Key: []byte{0}, CountOnly: true})
	return ctx.Err() == nil && !says(err, rpctypes.ErrGRPCNoLeader)
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
