package namespace

import (
	"context"

	"google.golang.org/grpc"

	"github.com/getcd/getcd/internal/misuse"
)

// Of returns NewConn as a function for client.Config.Middleware. All keys of such a client
// begin with prefix.
//
//	c, err := client.New(client.Config{
//		Endpoints:  endpoints,
//		Middleware: []client.Middleware{namespace.Of("jobs/")},
//	})
func Of(prefix string) func(grpc.ClientConnInterface) grpc.ClientConnInterface {
	return func(cc grpc.ClientConnInterface) grpc.ClientConnInterface { return NewConn(cc, prefix) }
}

// NewConn returns cc as it looks from inside the namespace. Whatever is made on it (a
// service, a lock, an election, a generated stub) has its keys there. The names of locks
// and elections are keys, and so are the key ranges of a role's permissions. Leases,
// members, users and maintenance have no keys, and are those of the whole cluster. Closing
// cc remains its owner's business.
//
// NewConn cannot know the keys of a method that etcd 3.7 does not have, nor those of a
// request that has another type than etcd's own. It refuses the first with
// codes.Unimplemented and the second with codes.InvalidArgument.
//
//	m, err := lock.New(namespace.NewConn(c.Conn(), "jobs/"), "nightly") // jobs/nightly
func NewConn(cc grpc.ClientConnInterface, prefix string) grpc.ClientConnInterface {
	return &conn{misuse.Conn("namespace", cc), space(prefix)}
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
