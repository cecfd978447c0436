package namespace

import (
	"context"

	"google.golang.org/grpc"
)

// Of returns NewConn for client.Config.Middleware: a client whose keys all begin with
// prefix.
//
//	c, err := client.New(client.Config{
//		Endpoints:  endpoints,
//		Middleware: []client.Middleware{namespace.Of("jobs/")},
//	})
func Of(prefix string) func(grpc.ClientConnInterface) grpc.ClientConnInterface {
	return func(cc grpc.ClientConnInterface) grpc.ClientConnInterface { return NewConn(cc, prefix) }
}

// NewConn returns cc as it is from inside the namespace: whatever is made on it, a
// service, a lock, an election, a generated stub, has its keys there. The names of
// locks and elections are keys, and so are the ranges that a role's permissions are for.
// What has no keys (leases, members, users, maintenance) is the cluster's. The
// connection stays its owner's to close.
//
// A method that etcd 3.7 does not have is refused with codes.Unimplemented, and a request
// that is not of etcd's own type with codes.InvalidArgument: their keys can't be known.
//
//	m, err := lock.New(namespace.NewConn(c.Conn(), "jobs/"), "nightly") // jobs/nightly
func NewConn(cc grpc.ClientConnInterface, prefix string) grpc.ClientConnInterface {
	return &conn{cc, space(prefix)}
}

type conn struct {
	cc grpc.ClientConnInterface
	p  space
}

func (c *conn) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	req, err := c.p.request(method, args)
	if err != nil {
		return err
	}
	if err := c.cc.Invoke(ctx, method, req, reply, opts...); err != nil {
		return err
	}
	c.p.stripResponse(reply)
	return nil
}

func (c *conn) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	if _, known := hasKeys[method]; !known {
		return nil, errUnknown(method)
	}
	s, err := c.cc.NewStream(ctx, desc, method, opts...)
	if err != nil {
		return nil, err
	}
	return &stream{s, c.p, method}, nil
}

type stream struct {
	grpc.ClientStream
	p      space
	method string
}

func (s *stream) SendMsg(m any) error {
	req, err := s.p.request(s.method, m)
	if err != nil {
		return err
	}
	return s.ClientStream.SendMsg(req)
}

func (s *stream) RecvMsg(m any) error {
	if err := s.ClientStream.RecvMsg(m); err != nil {
		return err
	}
	s.p.stripResponse(m)
	return nil
}
