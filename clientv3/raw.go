package clientv3

import (
	"context"
	"math"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/internal/attempt"
)

// rawConn is the connection that programs use as a gRPC connection. A stub on it
// retries nothing: the program decides what to do about a member's response. A
// getcd service on such a stub is different: it already has an Attempt, and
// reopens its streams on another member.
type rawConn struct {
	statusConn

	client  *client.Client // whose connections it uses
	retries bool           // what may be repeated (RetryKVClient)
}

func (c rawConn) Invoke(ctx context.Context, method string, req, reply any, opts ...grpc.CallOption) error {
	if ctx == nil {
		return c.statusConn.Invoke(ctx, method, req, reply, opts...) // which returns the error
	}
	reached, stop := reachable(ctx, c.client, opts)
	defer stop()
	if attempt.FromContext(ctx) == nil {
		opts = unlimited(opts)
		if !c.retries {
			reached = attempt.NewContext(reached, &attempt.Attempt{Final: true})
		}
	}
	err := c.statusConn.Invoke(reached, method, req, reply, opts...)
	if gone := refusedIn(ctx, reached); err != nil && gone != nil {
		return gone
	}
	return err
}

// unlimited returns the options of a stub's call: as in clientv3, the client's limit of
// requests does not apply to it, but its own does.
func unlimited(opts []grpc.CallOption) []grpc.CallOption {
	return append([]grpc.CallOption{grpc.MaxCallSendMsgSize(math.MaxInt32)}, opts...)
}

func (c rawConn) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	if ctx == nil {
		return c.statusConn.NewStream(ctx, desc, method, opts...)
	}
	reached, stop := reachable(ctx, c.client, opts)
	defer stop()
	if method == pb.Watch_Watch_FullMethodName && attempt.FromContext(ctx) == nil {
		reached = attempt.NewContext(reached, &attempt.Attempt{AnyMember: !requiresLeader(ctx), Stay: true})
	}
	s, err := c.statusConn.NewStream(reached, desc, method, opts...)
	if gone := refusedIn(ctx, reached); gone != nil {
		return nil, gone
	}
	return s, err
}
