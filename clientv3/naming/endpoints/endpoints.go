// Package endpoints mirrors go.etcd.io/etcd/client/v3/naming/endpoints: it
// registers the addresses of services in etcd and reports changes.
package endpoints

import (
	"context"

	"github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/naming"
)

// These types are package naming's; see there.
type (
	// Endpoint is an address of a service.
	Endpoint = naming.Endpoint
	// Operation is the kind of an Update.
	Operation = naming.Operation
	// Update is a change to an endpoint.
	Update = naming.Update
)

const (
	// Add adds or replaces an endpoint.
	Add = naming.Add
	// Delete deletes an endpoint.
	Delete = naming.Delete
)

// UpdateWithOpts is a change, with options for its Put or Delete, such as
// clientv3.WithLease.
type UpdateWithOpts struct {
	Update
	Opts []clientv3.OpOption
}

// NewAddUpdateOpts returns a change that adds an endpoint.
func NewAddUpdateOpts(key string, endpoint Endpoint, opts ...clientv3.OpOption) *UpdateWithOpts {
	return &UpdateWithOpts{Update: Update{Op: Add, Key: key, Endpoint: endpoint}, Opts: opts}
}

// NewDeleteUpdateOpts returns a change that deletes an endpoint.
func NewDeleteUpdateOpts(key string, opts ...clientv3.OpOption) *UpdateWithOpts {
	return &UpdateWithOpts{Update: Update{Op: Delete, Key: key}, Opts: opts}
}

// WatchChannel delivers changes in order.
type WatchChannel <-chan []*Update

// Key2EndpointMap maps keys to the endpoints of a service.
type Key2EndpointMap map[string]Endpoint

// Manager manages the endpoints of one service. It is safe for concurrent use.
type Manager interface {
	// Update makes all of the changes in one transaction. Keys must begin with
	// the service's name and a slash.
	Update(ctx context.Context, updates []*UpdateWithOpts) error

	// AddEndpoint adds or replaces an endpoint. With a lease, the endpoint is
	// removed when the lease ends.
	AddEndpoint(ctx context.Context, key string, endpoint Endpoint, opts ...clientv3.OpOption) error
	// DeleteEndpoint deletes an endpoint. It is no error if the endpoint does not
	// exist.
	DeleteEndpoint(ctx context.Context, key string, opts ...clientv3.OpOption) error

	// List reads the endpoints. It ignores values that are not endpoints.
	List(ctx context.Context) (Key2EndpointMap, error)
	// NewWatchChannel reads the current endpoints and then returns a channel. The
	// channel delivers these endpoints, if there are any, and then each change.
	// It closes when ctx ends, or when changes can no longer be received.
	NewWatchChannel(ctx context.Context) (WatchChannel, error)
}
