// Package kubernetes has the names of go.etcd.io/etcd/client/v3/kubernetes: the few
// operations that Kubernetes needs of etcd, with one request for each.
package kubernetes

import (
	"context"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/getcd/getcd/clientv3"
)

// Interface is what Kubernetes needs of etcd.
type Interface interface {
	// Get reads a key. That it does not exist is no error.
	Get(ctx context.Context, key string, opts GetOptions) (GetResponse, error)

	// List reads the keys that begin with prefix, in their order. To go on after a
	// Limit, Continue is the last key with "\x00" appended, and Revision the first
	// response's.
	List(ctx context.Context, prefix string, opts ListOptions) (ListResponse, error)

	// Count is the number of keys that begin with prefix.
	Count(ctx context.Context, prefix string, opts CountOptions) (int64, error)

	// OptimisticPut writes a key if expectedRevision is that of its last change, 0
	// for a key that does not exist.
	OptimisticPut(ctx context.Context, key string, value []byte, expectedRevision int64, opts PutOptions) (PutResponse, error)

	// OptimisticDelete deletes a key if expectedRevision is that of its last change.
	OptimisticDelete(ctx context.Context, key string, expectedRevision int64, opts DeleteOptions) (DeleteResponse, error)
}

// GetOptions are the options of Get.
type GetOptions struct {
	// Revision is when to look; 0 means now.
	Revision int64
}

// ListOptions are the options of List.
type ListOptions struct {
	// Revision is when to look; 0 means now.
	Revision int64

	// Limit is the largest number of keys; 0 means all.
	Limit int64

	// Continue is the key to begin with; empty means the first.
	Continue string
}

// CountOptions are the options of Count, of which there are none.
type CountOptions struct{}

// PutOptions are the options of OptimisticPut.
type PutOptions struct {
	// GetOnFailure asks for what is there when the key was not written.
	GetOnFailure bool

	// LeaseID is the lease to attach the key to.
	LeaseID clientv3.LeaseID
}

// DeleteOptions are the options of OptimisticDelete.
type DeleteOptions struct {
	// GetOnFailure asks for what is there when the key was not deleted.
	GetOnFailure bool
}

// GetResponse is the answer to Get.
type GetResponse struct {
	// KV is the key and its value, or nil.
	KV *mvccpb.KeyValue

	// Revision is the store's.
	Revision int64
}

// ListResponse is the answer to List.
type ListResponse struct {
	// Kvs are in the order of their keys.
	Kvs []*mvccpb.KeyValue

	// Count is how many keys there are from where the list began, whatever the limit.
	Count int64

	// Revision is the store's.
	Revision int64
}

// PutResponse is the answer to OptimisticPut.
type PutResponse struct {
	// KV is what is there instead, if it was asked for.
	KV *mvccpb.KeyValue

	// Succeeded says that the key was written.
	Succeeded bool

	// Revision is the store's, after the write.
	Revision int64
}

// DeleteResponse is the answer to OptimisticDelete.
type DeleteResponse struct {
	// KV is what is there instead, if it was asked for.
	KV *mvccpb.KeyValue

	// Succeeded says that the key was deleted.
	Succeeded bool

	// Revision is the store's, after the deletion.
	Revision int64
}
