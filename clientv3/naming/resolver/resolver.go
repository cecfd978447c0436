// Package resolver mirrors go.etcd.io/etcd/client/v3/naming/resolver: gRPC finds
// the addresses of a service in etcd and follows their changes.
//
//	b, err := resolver.NewBuilder(cli)
//	conn, err := grpc.NewClient("etcd:///my-service", grpc.WithResolvers(b), …)
package resolver

import (
	"errors"
	"slices"

	gresolver "google.golang.org/grpc/resolver"

	"github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/clientv3/internal/below"
	"github.com/getcd/getcd/naming"
)

// NewBuilder returns a gRPC resolver builder for targets with the scheme etcd.
// Close the connections before the client.
func NewBuilder(client *clientv3.Client) (gresolver.Builder, error) {
	if client == nil {
		return nil, errors.New("clientv3/naming: the client is nil")
	}
	b, err := naming.NewBuilder(below.Client(client), naming.WithLogger(client.GetLogger()))
	if err != nil {
		return nil, err
	}
	return builder{b}, nil
}

// builder makes resolvers that tell gRPC of a service without endpoints what
// clientv3's tell it: an empty list, and no error.
type builder struct{ gresolver.Builder }

func (b builder) Build(t gresolver.Target, cc gresolver.ClientConn, o gresolver.BuildOptions) (gresolver.Resolver, error) {
	return b.Builder.Build(t, conn{cc}, o)
}

type conn struct{ gresolver.ClientConn }

func (c conn) UpdateState(s gresolver.State) error {
	s.Endpoints = slices.DeleteFunc(s.Endpoints, func(e gresolver.Endpoint) bool { return len(e.Addresses) == 0 })
	return c.ClientConn.UpdateState(s)
}

func (c conn) ReportError(err error) {
	if !errors.Is(err, naming.ErrNoEndpoints) {
		c.ClientConn.ReportError(err)
	}
}
