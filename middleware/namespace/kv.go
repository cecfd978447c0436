package namespace

import (
	"context"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/kv"
)

// NewKV returns the part of store whose keys begin with prefix. Its calls return
// what store's do. Compact is the whole store's.
func NewKV(store kv.KV, prefix string) kv.KV {
	if store == nil {
		store = kv.New(nil) // whose calls say so
	}
	return &prefixedKV{store, space(prefix)}
}

type prefixedKV struct {
	kv.KV // for Compact
	p     space
}

func (k *prefixedKV) Put(ctx context.Context, key, val string, opts ...kv.OpOption) (*kv.PutResponse, error) {
	r, err := k.Do(ctx, kv.OpPut(key, val, opts...))
	return r.Put(), err
}

func (k *prefixedKV) Get(ctx context.Context, key string, opts ...kv.OpOption) (*kv.GetResponse, error) {
	r, err := k.Do(ctx, kv.OpGet(key, opts...))
	return r.Get(), err
}

func (k *prefixedKV) Delete(ctx context.Context, key string, opts ...kv.OpOption) (*kv.DeleteResponse, error) {
	r, err := k.Do(ctx, kv.OpDelete(key, opts...))
	return r.Del(), err
}

func (k *prefixedKV) Do(ctx context.Context, op kv.Op) (kv.OpResponse, error) {
	r, err := k.KV.Do(ctx, k.p.op(op))
	if err != nil {
		return r, err
	}
	switch {
	case r.Put() != nil:
		k.p.stripKV(r.Put().PrevKv)
	case r.Get() != nil:
		k.p.stripKVs(r.Get().Kvs)
	case r.Del() != nil:
		k.p.stripKVs(r.Del().PrevKvs)
	case r.Txn() != nil:
		k.p.stripTxn((*pb.TxnResponse)(r.Txn()))
	}
	return r, nil
}

func (k *prefixedKV) Txn(ctx context.Context) kv.Txn {
	return &txn{k.KV.Txn(ctx), k.p}
}

// txn is a transaction of the wrapped store, which knows in which order its parts
// may come.
type txn struct {
	kv.Txn
	p space
}

func (t *txn) If(cs ...kv.Cmp) kv.Txn   { t.Txn = t.Txn.If(t.p.cmps(cs)...); return t }
func (t *txn) Then(ops ...kv.Op) kv.Txn { t.Txn = t.Txn.Then(t.p.ops(ops)...); return t }
func (t *txn) Else(ops ...kv.Op) kv.Txn { t.Txn = t.Txn.Else(t.p.ops(ops)...); return t }

func (t *txn) Commit() (*kv.TxnResponse, error) {
	resp, err := t.Txn.Commit()
	if err == nil {
		t.p.stripTxn((*pb.TxnResponse)(resp))
	}
	return resp, err
}
