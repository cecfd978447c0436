// Package resolver mirrors go.etcd.io/etcd/client/v3/naming/resolver: gRPC finds
// the addresses of a service in etcd and follows their changes.
//
//	b, err := resolver.NewBuilder(cli)
//	conn, err := grpc.NewClient("etcd:///my-service", grpc.WithResolvers(b), …)
package resolver

import (
	"errors"

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
	return naming.NewBuilder(below.Client(client), naming.WithLogger(client.GetLogger()))
}
