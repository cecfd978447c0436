package leasing

import (
	"context"
	"fmt"
	"slices"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/grpc/codes"

	"github.com/getcd/getcd/internal/backoff"
	"github.com/getcd/getcd/internal/ctxerr"
	"github.com/getcd/getcd/internal/etcderr"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/watch"
)

// batch is how many leasing keys are changed at a time.
const batch = 32

// each does something to leasing keys that are still those that were seen.
func (l *KV) each(ctx context.Context, pairs []*mvccpb.KeyValue, do func(key string, opts ...kv.OpOption) kv.Op) error {
	for chunk := range slices.Chunk(pairs, batch) {
		ops := make([]kv.Op, len(chunk))
		for i, pair := range chunk {
			key := string(pair.GetKey())
			same := kv.Compare(kv.CreateRevision(key), "=", pair.GetCreateRevision())
			ops[i] = kv.OpTxn([]kv.Cmp{same}, []kv.Op{do(key)}, nil)
		}
		if _, err := l.store.Txn(ctx).Then(ops...).Commit(); err != nil {
			return err
		}
	}
	return nil
}

// giveUp deletes leasing keys that are forgotten, for as long as it takes.
func (l *KV) giveUp(ctx context.Context, wanted []*mvccpb.KeyValue) {
	for failures := 0; ctx.Err() == nil; failures++ {
		if err := l.each(ctx, wanted, kv.OpDelete); err == nil {
			return
		}
		backoff.Sleep(ctx, pauses.Pause(failures))
	}
}

// demand has the owners of leasing keys give them up, and waits for that.
func (l *KV) demand(ctx context.Context, t *target, owned []*mvccpb.KeyValue) error {
	if len(owned) == 0 {
		return nil
	}
	for failures := 0; ; failures++ {
		err := l.each(ctx, owned, func(key string, _ ...kv.OpOption) kv.Op {
			return kv.OpPut(key, revoked, kv.WithIgnoreLease())
		})
		if err == nil {
			break
		}
		// To say it twice does no harm.
		if etcderr.Code(err) != codes.Unavailable || !backoff.Sleep(ctx, pauses.Pause(failures)) {
			return unfinished(owned[0], err)
		}
	}
	left := make(map[string]int64, len(owned))
	for _, pair := range owned {
		left[string(pair.GetKey())] = pair.GetCreateRevision()
	}
	key, end := t.leasing(l.prefix)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// Follow begins with the present state, so that nothing can be missed.
	for u, err := range l.watcher.Follow(ctx, key, kv.WithRange(end)) {
		if err != nil {
			return unfinished(owned[0], err)
		}
		if remaining(left, u); len(left) == 0 {
			return nil
		}
	}
	return unfinished(owned[0], ctxerr.Of(ctx))
}

// remaining removes the leasing keys that are gone.
func remaining(left map[string]int64, u watch.Update) {
	if u.Snapshot != nil {
		there := make(map[string]int64, len(u.Snapshot.KVs))
		for _, pair := range u.Snapshot.KVs {
			there[string(pair.GetKey())] = pair.GetCreateRevision()
		}
		for key, rev := range left {
			if there[key] != rev {
				delete(left, key)
			}
		}
	}
	for _, e := range u.Events { // a deletion has no create revision
		if key := string(e.GetKv().GetKey()); left[key] != e.GetKv().GetCreateRevision() {
			delete(left, key)
		}
	}
}

// unfinished is the error of a write that was not applied because of an owner.
func unfinished(pair *mvccpb.KeyValue, err error) error {
	return &ownedError{pair.GetKey(), etcderr.Certain(err)}
}

// ownedError is certain, whatever has become of the request that was under way: that was not the write, but
// what was to be said to the owner.
type ownedError struct {
	key   []byte // the leasing key
	cause error
}

func (e *ownedError) Error() string {
	return fmt.Sprintf("leasing: the owner of %q has not given it up: %v", e.key, e.cause)
}
func (e *ownedError) Unwrap() error   { return e.cause }
func (e *ownedError) Ambiguous() bool { return false }
