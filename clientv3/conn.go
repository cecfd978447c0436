package clientv3

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/clientv3/internal/bare"
)

// apiVersion is what clientv3 3.7 says of itself (version.APIVersion of etcd's api
// module, whose package would bring another module along).
const apiVersion = "3.7"

// plainConn has the errors of clientv3's services.
type plainConn struct{ grpc.ClientConnInterface }

func (p plainConn) Invoke(ctx context.Context, method string, req, reply any, opts ...grpc.CallOption) error {
	return plain(ctx, p.ClientConnInterface.Invoke(ctx, method, req, reply, opts...))
}

func (p plainConn) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	s, err := p.ClientConnInterface.NewStream(ctx, desc, method, opts...)
	if err != nil {
		return nil, plain(ctx, err)
	}
	return mended{s, func(err error) error { return plain(ctx, err) }}, nil
}

// statusConn has the errors of gRPC's generated stubs on clientv3's connection, and
// its metadata.
type statusConn struct{ grpc.ClientConnInterface }

func (c statusConn) Invoke(ctx context.Context, method string, req, reply any, opts ...grpc.CallOption) error {
	return bare.Status(c.ClientConnInterface.Invoke(withVersion(ctx), method, req, reply, opts...))
}

func (c statusConn) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	s, err := c.ClientConnInterface.NewStream(withVersion(ctx), desc, method, opts...)
	if err != nil {
		return nil, bare.Status(err)
	}
	return mended{s, bare.Status}, nil
}

// withVersion adds the metadata by which servers count the versions of clients.
func withVersion(ctx context.Context) context.Context {
	if ctx == nil {
		return nil // it is refused by who is called
	}
	md, _ := metadata.FromOutgoingContext(ctx)
	md = md.Copy() // it may be anybody's
	if md == nil {
		md = metadata.MD{}
	}
	md.Set(rpctypes.MetadataClientAPIVersionKey, apiVersion)
	return metadata.NewOutgoingContext(ctx, md)
}

// mended is a stream with other errors.
type mended struct {
	grpc.ClientStream

	err func(error) error
}

func (m mended) SendMsg(msg any) error { return m.err(m.ClientStream.SendMsg(msg)) }
func (m mended) RecvMsg(msg any) error { return m.err(m.ClientStream.RecvMsg(msg)) }
func (m mended) CloseSend() error      { return m.err(m.ClientStream.CloseSend()) }

// unconnected is the connection of a client that was made without one.
type unconnected struct{}

func (unconnected) Invoke(context.Context, string, any, any, ...grpc.CallOption) error {
	return ErrNoAvailableEndpoints
}

func (unconnected) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, ErrNoAvailableEndpoints
}

// clientConn makes a *grpc.ClientConn whose every call goes through cc, since
// programs want the type. It has no connections of its own: its state is that of the
// n's (mirror). Its Close calls closed.
func clientConn(cc grpc.ClientConnInterface, n *client.Client, endpoint string, closed func()) (*grpc.ClientConn, error) {
	cc = rawConn{statusConn{cc}, n}
	// As clientv3's: who it is, and the first endpoint.
	target := url.URL{Scheme: scheme, Host: fmt.Sprintf("%p", n), Path: "/" + authority(endpoint)}
	conn, err := grpc.NewClient(target.String(),
		grpc.WithResolvers(builder{n, closed}),
		grpc.WithDefaultServiceConfig(`{"loadBalancingConfig":[{"`+mirrorName+`":{}}]}`),
		grpc.WithDisableServiceConfig(),
		grpc.WithNoProxy(),
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
	conn.Connect() // the client's connections are made already
	return conn, nil
}

// scheme is that of clientv3's targets.
const scheme = "etcd-endpoints"

// authority is an endpoint without its scheme.
func authority(endpoint string) string {
	if _, rest, ok := strings.Cut(endpoint, "://"); ok {
		return rest
	}
	for _, scheme := range []string{"unix:", "unixs:"} {
		if path, ok := strings.CutPrefix(endpoint, scheme); ok {
			return path
		}
	}
	return endpoint
}
