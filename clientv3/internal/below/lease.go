package below

import (
	"context"
	"errors"
	"fmt"
	"io"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/lease"
)

// leases adds the other methods of getcd's lease service to any lease service.
type leases struct {
	clientv3.Lease
	kept lease.Lease // keeps leases alive
}

func (l leases) GrantID(context.Context, lease.ID, int64) (*lease.GrantResponse, error) {
	return nil, fmt.Errorf("clientv3: a %T chooses the IDs of its leases itself: %w", l.Lease, errors.ErrUnsupported)
}

func (l leases) Keep(ctx context.Context, id lease.ID) (*lease.Keeper, error) {
	return l.kept.Keep(ctx, id)
}

// renewals is a connection that renews leases with a service's KeepAliveOnce. It
// does nothing else.
type renewals struct{ service clientv3.Lease }

func (renewals) Invoke(_ context.Context, method string, _, _ any, _ ...grpc.CallOption) error {
	return status.Errorf(codes.Unimplemented, "clientv3: %s is not supported on a connection for renewals", method)
}

func (r renewals) NewStream(ctx context.Context, _ *grpc.StreamDesc, method string, _ ...grpc.CallOption) (grpc.ClientStream, error) {
	if method != pb.Lease_LeaseKeepAlive_FullMethodName {
		return nil, r.Invoke(ctx, method, nil, nil)
	}
	return &renewal{ctx: ctx, service: r.service, ids: make(chan clientv3.LeaseID, 1), sent: make(chan struct{})}, nil
}

// renewal is a stream. The receiver processes the sent requests one after
// another.
type renewal struct {
	ctx     context.Context //nolint:containedctx // the stream's
	service clientv3.Lease
	ids     chan clientv3.LeaseID
	sent    chan struct{} // closed by CloseSend, which is called only once
}

func (r *renewal) SendMsg(m any) error {
	req, ok := m.(*pb.LeaseKeepAliveRequest)
	if !ok {
		return status.Errorf(codes.Internal, "clientv3: the request is a %T", m)
	}
	select {
	case r.ids <- clientv3.LeaseID(req.GetID()):
		return nil
	case <-r.ctx.Done():
		return io.EOF // RecvMsg returns the reason
	}
}

func (r *renewal) RecvMsg(m any) error {
	reply, ok := m.(*pb.LeaseKeepAliveResponse)
	if !ok {
		return status.Errorf(codes.Internal, "clientv3: the answer is a %T", m)
	}
	select {
	case id := <-r.ids:
		return r.renew(id, reply)
	default:
	}
	select {
	case id := <-r.ids:
		return r.renew(id, reply)
	case <-r.sent:
		return io.EOF
	case <-r.ctx.Done():
		return status.FromContextError(r.ctx.Err()).Err()
	}
}

func (r *renewal) renew(id clientv3.LeaseID, reply *pb.LeaseKeepAliveResponse) error {
	resp, err := r.service.KeepAliveOnce(r.ctx, id)
	switch {
	case errors.Is(err, rpctypes.ErrLeaseNotFound):
		proto.Merge(reply, &pb.LeaseKeepAliveResponse{ID: int64(id)}) // a response without a TTL, as from the server
		return nil
	case err != nil:
		return status.Convert(err).Err()
	}
	proto.Merge(reply, &pb.LeaseKeepAliveResponse{Header: resp.ResponseHeader, ID: int64(resp.ID), TTL: resp.TTL})
	return nil
}

func (r *renewal) CloseSend() error {
	close(r.sent)
	return nil
}

func (r *renewal) Context() context.Context   { return r.ctx }
func (*renewal) Header() (metadata.MD, error) { return metadata.MD{}, nil }
func (*renewal) Trailer() metadata.MD         { return nil }
