package recipe

import (
	"context"
	"errors"
	"sync/atomic"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/getcd/getcd/kv"
)

// Barrier is a key that holds up others for as long as it exists. It is safe for
// concurrent use.
type Barrier struct {
	c   Client
	key string
	mk  *maker

	unsettled atomic.Bool // a Hold was: its request may come yet
}

// NewBarrier returns the barrier that is the given key.
func NewBarrier(c Client, key string) *Barrier {
	return &Barrier{c: c, key: key, mk: newMaker(c, nil, key)}
}

// Hold makes the barrier: from then on Wait waits. A barrier that is there already
// is ErrKeyExists. It stays until Release, by whomever, even if this process dies.
// An *UnsettledError means that it may have been made, or may yet be: the cluster could
// not be reached for 3 s to prevent that. Release on the same Barrier prevents it then.
// After any other error this call has not made it, and will not.
func (b *Barrier) Hold(ctx context.Context) error {
	if err := usable(ctx, "Hold", b.c); err != nil {
		return err
	}
	_, err := b.mk.put(ctx, b.key, unique(), 0)
	if _, ok := errors.AsType[*UnsettledError](err); ok {
		b.unsettled.Store(true)
	}
	return err
}

// Release removes the barrier, and all waiters go on. That there is none is no
// error. One that is made while Release is under way may stay.
func (b *Barrier) Release(ctx context.Context) error {
	if err := usable(ctx, "Release", b.c); err != nil {
		return err
	}
	if b.unsettled.Load() { // for good: a later Hold may be unsettled, too
		if _, err := commit(ctx, b.c, nil, []kv.Op{kv.OpPut(b.mk.fence, "")}, nil); err != nil {
			return err
		}
	}
	resp, err := b.c.Get(ctx, b.key, kv.WithKeysOnly())
	if err != nil || len(resp.Kvs) == 0 {
		return err
	}
	// Sent any number of times, this deletes the one that was found.
	found := kv.Compare(kv.CreateRevision(b.key), "=", resp.Kvs[0].CreateRevision)
	_, err = commit(ctx, b.c, []kv.Cmp{found}, []kv.Op{kv.OpDelete(b.key)}, nil)
	return err
}

// Wait returns when there is no barrier: at once, or when it is removed.
func (b *Barrier) Wait(ctx context.Context) error {
	if err := usable(ctx, "Wait", b.c); err != nil {
		return err
	}
	for {
		resp, err := b.c.Get(ctx, b.key, kv.WithKeysOnly())
		if err != nil || len(resp.Kvs) == 0 {
			return err
		}
		// One deletion is enough, even if the barrier is made again at once.
		e, err := WaitEvents(ctx, b.c, b.key, resp.Header.Revision+1, []mvccpb.Event_EventType{mvccpb.Event_DELETE})
		if e != nil {
			return nil
		}
		if !compacted(err) {
			return err
		}
	}
}
