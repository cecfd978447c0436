package namespace

import (
	"context"

	"google.golang.org/grpc"
)

// NewConn returns cc as it is from inside the namespace: whatever is made on it, a
// service, a lock, an election, a generated stub, has its keys there. Names of locks
// and elections are keys, too. What has no keys (leases, members, users, maintenance) is
// the cluster's. The connection stays its owner's to close.
//
//	m, err := lock.NewMutex(namespace.NewConn(c.Conn(), "jobs/"), "nightly") // jobs/nightly
func NewConn(cc grpc.ClientConnInterface, prefix string) grpc.ClientConnInterface {
	return &conn{cc, space(prefix)}
}

type conn struct {
	cc grpc.ClientConnInterface
	p  space
}

func (c *conn) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	if err := c.cc.Invoke(ctx, method, c.p.request(args), reply, opts...); err != nil {
		return err
	}
	c.p.stripResponse(reply)
	return nil
}

func (c *conn) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	s, err := c.cc.NewStream(ctx, desc, method, opts...)
	if err != nil {
		return nil, err
	}
	return &stream{s, c.p}, nil
}

type stream struct {
	grpc.ClientStream
	p space
}

func (s *stream) SendMsg(m any) error { return s.ClientStream.SendMsg(s.p.request(m)) }

func (s *stream) RecvMsg(m any) error {
	if err := s.ClientStream.RecvMsg(m); err != nil {
		return err
	}
	s.p.stripResponse(m)
	return nil
}
