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

// apiVersion is the version that clientv3 3.7 reports. It is version.APIVersion
// of etcd's api module; importing that package would add another module.
const apiVersion = "3.7"

// plainConn converts errors to those of clientv3's services.
type plainConn struct{ grpc.ClientConnInterface }

func (p plainConn) Invoke(ctx context.Context, method string, req, reply any, opts ...grpc.CallOption) error {
	return plain(ctx, p.ClientConnInterface.Invoke(ctx, method, req, reply, opts...))
}

func (p plainConn) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	s, err := p.ClientConnInterface.NewStream(ctx, desc, method, opts...)
	if err != nil {
		return nil, plain(ctx, err)
	}
	return convertedStream{s, func(err error) error { return plain(ctx, err) }}, nil
}

// statusConn converts errors to those of gRPC's generated stubs on clientv3's
// connection, and adds clientv3's metadata.
type statusConn struct{ grpc.ClientConnInterface }

func (c statusConn) Invoke(ctx context.Context, method string, req, reply any, opts ...grpc.CallOption) error {
	return bare.Status(c.ClientConnInterface.Invoke(withVersion(ctx), method, req, reply, opts...))
}

func (c statusConn) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	s, err := c.ClientConnInterface.NewStream(withVersion(ctx), desc, method, opts...)
	if err != nil {
		return nil, bare.Status(err)
	}
	return convertedStream{s, bare.Status}, nil
}

// withVersion adds the metadata with which servers count the versions of their
// clients.
func withVersion(ctx context.Context) context.Context {
	if ctx == nil {
		return nil // the call refuses it
	}
	md, _ := metadata.FromOutgoingContext(ctx)
	md = md.Copy() // others may use it, too
	if md == nil {
		md = metadata.MD{}
	}
	md.Set(rpctypes.MetadataClientAPIVersionKey, apiVersion)
	return metadata.NewOutgoingContext(ctx, md)
}

// convertedStream is a stream whose errors are converted.
type convertedStream struct {
	grpc.ClientStream

	err func(error) error
}

func (m convertedStream) SendMsg(msg any) error { return m.err(m.ClientStream.SendMsg(msg)) }
func (m convertedStream) RecvMsg(msg any) error { return m.err(m.ClientStream.RecvMsg(msg)) }
func (m convertedStream) CloseSend() error      { return m.err(m.ClientStream.CloseSend()) }

// unconnected is the connection of a client that was made without one.
type unconnected struct{}

func (unconnected) Invoke(context.Context, string, any, any, ...grpc.CallOption) error {
	return ErrNoAvailableEndpoints
}

func (unconnected) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, ErrNoAvailableEndpoints
}

// clientConn makes a *grpc.ClientConn whose calls all go through cc, since
// programs need that type. It has no connections of its own: it reports n's state
// (see mirror). Its Close calls closed.
func clientConn(cc grpc.ClientConnInterface, n *client.Client, endpoint string, closed func()) (*grpc.ClientConn, error) {
	cc = rawConn{statusConn{cc}, n, false}
	// As in clientv3: an identity, and the first endpoint.
	target := url.URL{Scheme: scheme, Host: fmt.Sprintf("%p", n), Path: "/" + authority(endpoint)}
	conn, err := grpc.NewClient(target.String(),
		grpc.WithResolvers(builder{n, closed}),
		grpc.WithDefaultServiceConfig(`{"loadBalancingConfig":[{"`+mirrorName+`":{}}]}`),
		grpc.WithDisableServiceConfig(),
		grpc.WithNoProxy(),
		grpc.WithTransportCredentials(insecure.NewCredentials()), // nothing is sent with these
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
	conn.Connect() // the client is already connected
	return conn, nil
}

// scheme is the scheme of clientv3's targets.
const scheme = "etcd-endpoints"

// authority returns an endpoint without its scheme.
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
