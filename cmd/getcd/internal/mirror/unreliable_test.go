package mirror_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/getcd/getcd/kv"
)

// fate is what happens to a transaction.
type fate int

const (
	answered fate = iota
	// The next three are ambiguous: the transaction is applied, not applied, or
	// applied some time later.
	unanswered
	lost
	late
	refused // for lack of permission to read, if it would read
)

// unreliable is a store whose transactions have the fates that next returns.
type unreliable struct {
	kv.KV

	next func() fate
	met  map[fate]int
}

func (u *unreliable) Txn(ctx context.Context) kv.Txn {
	return &unreliableTxn{Txn: u.KV.Txn(ctx), store: u, ctx: ctx}
}

type unreliableTxn struct {
	kv.Txn

	store *unreliable
	ctx   context.Context //nolint:containedctx // a transaction has its context
	reads bool
}

func (t *unreliableTxn) If(cs ...kv.Cmp) kv.Txn   { t.reads = true; t.Txn = t.Txn.If(cs...); return t }
func (t *unreliableTxn) Then(ops ...kv.Op) kv.Txn { t.Txn = t.Txn.Then(ops...); return t }
func (t *unreliableTxn) Else(ops ...kv.Op) kv.Txn { t.Txn = t.Txn.Else(ops...); return t }

// doubtful is the client's error for a write with an unknown outcome.
type doubtful struct{ error }

func (doubtful) Ambiguous() bool { return true }

func (t *unreliableTxn) Commit() (*kv.TxnResponse, error) {
	f := t.store.next()
	t.store.met[f]++
	doubt := doubtful{errors.New("the member is gone")}
	switch f {
	case unanswered:
		if _, err := t.Txn.Commit(); err != nil {
			return nil, err
		}
		return nil, doubt
	case lost:
		return nil, doubt
	case late:
		time.AfterFunc(rand.N(9*time.Second), func() { _, _ = t.Txn.Commit() })
		return nil, doubt
	case refused:
		if t.reads {
			return nil, rpctypes.ErrPermissionDenied
		}
	case answered:
	}
	return t.Txn.Commit()
}
