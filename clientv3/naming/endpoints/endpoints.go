// Package endpoints has the names of go.etcd.io/etcd/client/v3/naming/endpoints: it
// registers the addresses of services in etcd, and tells what changes.
package endpoints

import (
	"context"

	"github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/naming"
)

// What follows is package naming's; see there.
type (
	// Endpoint is an address of a service.
	Endpoint = naming.Endpoint
	// Operation is what is done to an endpoint.
	Operation = naming.Operation
	// Update is a change of an endpoint.
	Update = naming.Update
)

const (
	// Add adds an endpoint, or replaces it.
	Add = naming.Add
	// Delete deletes an endpoint.
	Delete = naming.Delete
)

// UpdateWithOpts is a change with the options of the Put or Delete that makes it,
// such as clientv3.WithLease.
type UpdateWithOpts struct {
	Update
	Opts []clientv3.OpOption
}

// NewAddUpdateOpts is an endpoint that is to be added.
func NewAddUpdateOpts(key string, endpoint Endpoint, opts ...clientv3.OpOption) *UpdateWithOpts {
	return &UpdateWithOpts{Update: Update{Op: Add, Key: key, Endpoint: endpoint}, Opts: opts}
}

// NewDeleteUpdateOpts is an endpoint that is to be deleted.
func NewDeleteUpdateOpts(key string, opts ...clientv3.OpOption) *UpdateWithOpts {
	return &UpdateWithOpts{Update: Update{Op: Delete, Key: key}, Opts: opts}
}

// WatchChannel tells changes, in order.
type WatchChannel <-chan []*Update

// Key2EndpointMap has the endpoints of a service by their keys.
type Key2EndpointMap map[string]Endpoint

// Manager has the endpoints of one service. It is safe for concurrent use.
type Manager interface {
	// Update makes changes, all of them at once or none. Keys are those of the
	// service: they begin with it and a slash.
	Update(ctx context.Context, updates []*UpdateWithOpts) error

	// AddEndpoint adds an endpoint, or replaces it. With a lease it goes when that
	// ends.
	AddEndpoint(ctx context.Context, key string, endpoint Endpoint, opts ...clientv3.OpOption) error
	// DeleteEndpoint deletes an endpoint. That there is none is no error.
	DeleteEndpoint(ctx context.Context, key string, opts ...clientv3.OpOption) error

	// List reads the endpoints. Values that are no endpoints are left out.
	List(ctx context.Context) (Key2EndpointMap, error)
	// NewWatchChannel tells the endpoints that there are, if any, and then each
	// change, until ctx ends or the changes can no longer be learned; then the
	// channel closes. It waits for the present endpoints to be read.
	NewWatchChannel(ctx context.Context) (WatchChannel, error)
}
