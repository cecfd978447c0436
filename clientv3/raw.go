package clientv3

import (
	"context"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/internal/attempt"
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
	if attempt.FromContext(ctx) == nil {
		reached = attempt.NewContext(reached, &attempt.Attempt{Final: true})
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
	if method == pb.Watch_Watch_FullMethodName && attempt.FromContext(ctx) == nil {
		reached = attempt.NewContext(reached, &attempt.Attempt{AnyMember: !requiresLeader(ctx), Stay: true})
	}
	s, err := c.statusConn.NewStream(reached, desc, method, opts...)
	if gone := refusedIn(ctx, reached); gone != nil {
		return nil, gone
	}
	return s, err
}
