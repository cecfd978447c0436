// Package kubernetes mirrors go.etcd.io/etcd/client/v3/kubernetes: the few etcd
// operations that Kubernetes needs, each of which is one request.
package kubernetes

import (
	"context"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/getcd/getcd/clientv3"
)

// Interface has the etcd operations that Kubernetes needs.
type Interface interface {
	// Get reads a key. It is no error if the key does not exist.
	Get(ctx context.Context, key string, opts GetOptions) (GetResponse, error)

	// List reads the keys that begin with prefix, in key order. To continue after
	// a Limit, set Continue to the last key followed by "\x00", and Revision to
	// the first response's revision.
	List(ctx context.Context, prefix string, opts ListOptions) (ListResponse, error)

	// Count returns the number of keys that begin with prefix.
	Count(ctx context.Context, prefix string, opts CountOptions) (int64, error)

	// OptimisticPut writes a key if it was last changed at expectedRevision, or,
	// for 0, if it does not exist.
	OptimisticPut(ctx context.Context, key string, value []byte, expectedRevision int64, opts PutOptions) (PutResponse, error)

	// OptimisticDelete deletes a key if it was last changed at expectedRevision.
	OptimisticDelete(ctx context.Context, key string, expectedRevision int64, opts DeleteOptions) (DeleteResponse, error)
}

// GetOptions are the options of Get.
type GetOptions struct {
	// Revision is the revision to read at. 0 means the latest.
	Revision int64
}

// ListOptions are the options of List.
type ListOptions struct {
	// Revision is the revision to read at. 0 means the latest.
	Revision int64

	// Limit is the maximum number of keys. 0 means all.
	Limit int64

	// Continue is the key to begin with. Empty means the first.
	Continue string
}

// CountOptions are the options of Count. There are none.
type CountOptions struct{}

// PutOptions are the options of OptimisticPut.
type PutOptions struct {
	// GetOnFailure requests the current key-value pair if the key was not
	// written.
	GetOnFailure bool

	// LeaseID is the lease to attach the key to.
	LeaseID clientv3.LeaseID
}

// DeleteOptions are the options of OptimisticDelete.
type DeleteOptions struct {
	// GetOnFailure requests the current key-value pair if the key was not
	// deleted.
	GetOnFailure bool
}

// GetResponse is the answer to Get.
type GetResponse struct {
	// KV is the key-value pair, or nil if the key does not exist.
	KV *mvccpb.KeyValue

	// Revision is the store's revision.
	Revision int64
}

// ListResponse is the answer to List.
type ListResponse struct {
	// Kvs are in key order.
	Kvs []*mvccpb.KeyValue

	// Count is the number of keys from where the list began, regardless of the
	// limit.
	Count int64

	// Revision is the store's revision.
	Revision int64
}

// PutResponse is the answer to OptimisticPut.
type PutResponse struct {
	// KV is the current key-value pair if the write failed and GetOnFailure was
	// set.
	KV *mvccpb.KeyValue

	// Succeeded says whether the key was written.
	Succeeded bool

	// Revision is the store's revision after the write.
	Revision int64
}

// DeleteResponse is the answer to OptimisticDelete.
type DeleteResponse struct {
	// KV is the current key-value pair if the deletion failed and GetOnFailure
	// was set.
	KV *mvccpb.KeyValue

	// Succeeded says whether the key was deleted.
	Succeeded bool

	// Revision is the store's revision after the deletion.
	Revision int64
}
