package kubernetes

import (
	"context"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/getcd/getcd/clientv3"
)

// Client is a client with Kubernetes' operations.
type Client struct {
	*clientv3.Client
	// Kubernetes is the client itself, unless a program replaces it.
	Kubernetes Interface
}

var _ Interface = Client{}

// New is clientv3.New. The caller must call Close.
func New(cfg clientv3.Config) (*Client, error) {
	c, err := clientv3.New(cfg)
	if err != nil {
		return nil, err
	}
	k := &Client{Client: c}
	k.Kubernetes = k
	return k, nil
}

// Get implements Interface.
func (k Client) Get(ctx context.Context, key string, opts GetOptions) (resp GetResponse, err error) {
	got, err := k.KV.Get(ctx, key, clientv3.WithRev(opts.Revision))
	if err != nil {
		return resp, err
	}
	return GetResponse{KV: only(got.Kvs), Revision: got.Header.GetRevision()}, nil
}

// List implements Interface.
func (k Client) List(ctx context.Context, prefix string, opts ListOptions) (resp ListResponse, err error) {
	from := prefix
	if opts.Continue != "" {
		from = opts.Continue
	}
	got, err := k.KV.Get(ctx, from, clientv3.WithRange(clientv3.GetPrefixRangeEnd(prefix)),
		clientv3.WithLimit(opts.Limit), clientv3.WithRev(opts.Revision))
	if err != nil {
		return resp, err
	}
	return ListResponse{Kvs: got.Kvs, Count: got.Count, Revision: got.Header.GetRevision()}, nil
}

// Count implements Interface.
func (k Client) Count(ctx context.Context, prefix string, _ CountOptions) (int64, error) {
	got, err := k.KV.Get(ctx, prefix, clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err != nil {
		return 0, err
	}
	return got.Count, nil
}

// OptimisticPut implements Interface.
func (k Client) OptimisticPut(ctx context.Context, key string, value []byte, expectedRevision int64, opts PutOptions) (resp PutResponse, err error) {
	put := clientv3.OpPut(key, string(value), clientv3.WithLease(opts.LeaseID))
	out, err := k.unchanged(ctx, key, expectedRevision, put, opts.GetOnFailure)
	return PutResponse(out), err
}

// OptimisticDelete implements Interface.
func (k Client) OptimisticDelete(ctx context.Context, key string, expectedRevision int64, opts DeleteOptions) (resp DeleteResponse, err error) {
	out, err := k.unchanged(ctx, key, expectedRevision, clientv3.OpDelete(key), opts.GetOnFailure)
	return DeleteResponse(out), err
}

// outcome is the common part of the two responses.
type outcome struct {
	KV        *mvccpb.KeyValue
	Succeeded bool
	Revision  int64
}

// unchanged runs op if the key was last changed at rev. Otherwise it reads the
// key, if that is requested.
func (k Client) unchanged(ctx context.Context, key string, rev int64, op clientv3.Op, read bool) (outcome, error) {
	txn := k.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(key), "=", rev)).Then(op)
	if read {
		txn = txn.Else(clientv3.OpGet(key))
	}
	resp, err := txn.Commit()
	if err != nil {
		return outcome{}, err
	}
	out := outcome{Succeeded: resp.Succeeded, Revision: resp.Header.GetRevision()}
	if read && !resp.Succeeded && len(resp.Responses) > 0 {
		out.KV = only(resp.Responses[0].GetResponseRange().GetKvs())
	}
	return out, nil
}

func only(kvs []*mvccpb.KeyValue) *mvccpb.KeyValue {
	if len(kvs) == 0 {
		return nil
	}
	return kvs[0]
}
