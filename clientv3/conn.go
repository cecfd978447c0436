package clientv3

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	grpcresolver "google.golang.org/grpc/resolver"
)

// plainConn has clientv3's errors.
type plainConn struct{ grpc.ClientConnInterface }

func (p plainConn) Invoke(ctx context.Context, method string, req, reply any, opts ...grpc.CallOption) error {
	return plain(p.ClientConnInterface.Invoke(ctx, method, req, reply, opts...))
}

func (p plainConn) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	s, err := p.ClientConnInterface.NewStream(ctx, desc, method, opts...)
	if err != nil {
		return nil, plain(err)
	}
	return plainStream{s}, nil
}

type plainStream struct{ grpc.ClientStream }

func (p plainStream) SendMsg(m any) error { return plain(p.ClientStream.SendMsg(m)) }
func (p plainStream) RecvMsg(m any) error { return plain(p.ClientStream.RecvMsg(m)) }

// unconnected is the connection of a client that was made without one.
type unconnected struct{}

func (unconnected) Invoke(context.Context, string, any, any, ...grpc.CallOption) error {
	return ErrNoAvailableEndpoints
}

func (unconnected) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, ErrNoAvailableEndpoints
}

// clientConn makes a *grpc.ClientConn whose every call goes through cc, since
// programs want the type. It has no connections of its own, so that its state tells
// nothing. Its Close calls closed, if that is not nil.
func clientConn(cc grpc.ClientConnInterface, closed func()) (*grpc.ClientConn, error) {
	b := builder{closed}
	conn, err := grpc.NewClient(b.Scheme()+":///",
		grpc.WithResolvers(b),
		grpc.WithTransportCredentials(insecure.NewCredentials()), // which nothing is sent with
		grpc.WithIdleTimeout(0),
		grpc.WithUnaryInterceptor(func(ctx context.Context, method string, req, reply any, _ *grpc.ClientConn, _ grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			return cc.Invoke(ctx, method, req, reply, opts...)
		}),
		grpc.WithStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, _ *grpc.ClientConn, method string, _ grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
			return cc.NewStream(ctx, desc, method, opts...)
		}),
	)
	if err != nil {
		return nil, err
	}
	conn.Connect() // builds the resolver, which learns of Close
	return conn, nil
}

// builder makes resolvers that find nothing, and tell when they are closed.
type builder struct{ closed func() }

func (builder) Scheme() string { return "getcd-clientv3" }

func (b builder) Build(grpcresolver.Target, grpcresolver.ClientConn, grpcresolver.BuildOptions) (grpcresolver.Resolver, error) {
	return b, nil
}

func (builder) ResolveNow(grpcresolver.ResolveNowOptions) {}

func (b builder) Close() {
	if b.closed != nil {
		b.closed()
	}
}
