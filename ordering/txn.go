package ordering

import (
	"context"
	"sync"

	"github.com/getcd/getcd/kv"
)

// txn is the wrapped store's transaction, which knows in which order the parts may
// come, and the parts, to make it again.
type txn struct {
	o   *ordered
	ctx context.Context //nolint:containedctx // kv.Txn's shape: Commit takes none

	mu           sync.Mutex // guards what follows
	first        kv.Txn
	cmps         []kv.Cmp
	then, orElse []kv.Op
}

func (t *txn) If(cs ...kv.Cmp) kv.Txn {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.first, t.cmps = t.first.If(cs...), append(t.cmps, cs...)
	return t
}

func (t *txn) Then(ops ...kv.Op) kv.Txn {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.first, t.then = t.first.Then(ops...), append(t.then, ops...)
	return t
}

func (t *txn) Else(ops ...kv.Op) kv.Txn {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.first, t.orElse = t.first.Else(ops...), append(t.orElse, ops...)
	return t
}

func (t *txn) Commit() (*kv.TxnResponse, error) {
	t.mu.Lock()
	op, first := kv.OpTxn(t.cmps, t.then, t.orElse), t.first
	t.mu.Unlock()
	r, err := t.o.do(t.ctx, op, func(ctx context.Context) (kv.OpResponse, error) {
		if first == nil { // it was behind, and is read-only: again, elsewhere
			return t.o.KV.Do(ctx, op)
		}
		resp, err := first.Commit()
		first = nil
		if err != nil {
			return kv.OpResponse{}, err
		}
		return resp.OpResponse(), nil
	})
	return r.Txn(), err
}
