package watching

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lease"
)

// entry is a write, as its writer knows it. A writer's writes are numbered from
// 0.
type entry struct {
	rev           int64 // of the response
	puts, deletes int32 // deletes are those of the response
	outcome       outcome
}

// writer makes one write after another and records them.
type writer struct {
	id      uint8
	cl      *client.Client
	rand    *rand.Rand
	pace    time.Duration // the mean time between two writes
	entries []entry
	bytes   *atomic.Int64 // of acknowledged large values
	leases  int           // that were granted
	expired int           // leases that were left to expire
}

// commit commits operations as one write. value makes the values of puts.
func (w *writer) commit(ctx context.Context, ops []kv.Op, puts int) outcome {
	call, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	e := entry{puts: int32(puts)}
	resp, err := w.cl.Txn(call).Then(ops...).Commit()
	e.outcome = outcomeOf(err)
	if err == nil {
		e.rev = resp.Header.Revision
		for _, r := range resp.Responses {
			e.deletes += int32(deleted(r))
		}
	}
	w.entries = append(w.entries, e)
	return e.outcome
}

func deleted(r *pb.ResponseOp) int64 { return r.GetResponseDeleteRange().GetDeleted() }

// put makes the place'th put of the next write.
func (w *writer) put(key string, place, size int, opts ...kv.OpOption) kv.Op {
	return kv.OpPut(key, tag{writer: w.id, place: uint8(place), seq: uint32(len(w.entries))}.value(size), opts...)
}

// wait waits for the time between two writes.
func (w *writer) wait(ctx context.Context) bool {
	pause(ctx, w.pace/2+time.Duration(w.rand.Int64N(int64(w.pace)+1)))
	return ctx.Err() == nil
}

// runSmall writes small values: puts, deletes, and both together in transactions.
func (w *writer) runSmall(ctx context.Context) {
	for w.wait(ctx) {
		switch n := w.rand.IntN(20); {
		case n == 0: // a whole group at once
			w.commit(context.WithoutCancel(ctx), []kv.Op{kv.OpDelete(group(w.rand.IntN(groups)), kv.WithPrefix())}, 0)
		case n < 4:
			w.commit(context.WithoutCancel(ctx), []kv.Op{kv.OpDelete(w.smallKeys(1)[0])}, 0)
		case n < 12:
			w.commit(context.WithoutCancel(ctx), []kv.Op{w.put(w.smallKeys(1)[0], 0, w.size())}, 1)
		default:
			var ops []kv.Op
			puts := 0
			for _, key := range w.smallKeys(2 + w.rand.IntN(7)) {
				if w.rand.IntN(4) == 0 {
					ops = append(ops, kv.OpDelete(key))
					continue
				}
				ops = append(ops, w.put(key, puts, w.size()))
				puts++
			}
			w.commit(context.WithoutCancel(ctx), ops, puts)
		}
	}
}

func (w *writer) size() int { return tagSize + w.rand.IntN(200) }

// smallKeys returns n different keys.
func (w *writer) smallKeys(n int) []string {
	keys := make([]string, n)
	for i, at := range w.rand.Perm(groups * perGroup)[:n] {
		keys[i] = smallKey(at/perGroup, at%perGroup)
	}
	return keys
}

// runBulk writes large values, some of them together, so that servers have to
// split revisions when they send history in fragments.
func (w *writer) runBulk(ctx context.Context) {
	for w.wait(ctx) {
		n := max(1, w.rand.IntN(8)-3)
		ops := make([]kv.Op, n)
		for i, at := range w.rand.Perm(bulkKeys)[:n] {
			ops[i] = w.put(bulkKey(at), i, bulkSize)
		}
		if w.commit(context.WithoutCancel(ctx), ops, n) == acknowledged {
			w.bytes.Add(int64(n) * bulkSize)
		}
	}
}

// runLeased puts keys with leases that expire, are revoked, or live a while
// longer.
func (w *writer) runLeased(ctx context.Context) {
	call := func(f func(context.Context) error) error {
		call, cancel := context.WithTimeout(ctx, callTime)
		defer cancel()
		return f(call)
	}
	for w.wait(ctx) {
		var id lease.ID
		if call(func(ctx context.Context) error {
			resp, err := w.cl.Grant(ctx, 1+w.rand.Int64N(3))
			if err == nil {
				id = resp.ID
			}
			return err
		}) != nil {
			continue
		}
		w.leases++
		n := 1 + w.rand.IntN(4)
		ops := make([]kv.Op, n)
		for i, at := range w.rand.Perm(leaseKeys)[:n] {
			ops[i] = w.put(leasedKey(at), i, w.size(), kv.WithLease(id))
		}
		w.commit(context.WithoutCancel(ctx), ops, n)
		switch w.rand.IntN(4) {
		case 0:
			_ = call(func(ctx context.Context) error { _, err := w.cl.Revoke(ctx, id); return err })
		case 1:
			_ = call(func(ctx context.Context) error { _, err := w.cl.KeepAliveOnce(ctx, id); return err })
			w.expired++
		default:
			w.expired++
		}
	}
}

// finish puts every key and then deletes all keys, so that every watch has
// something to see. It tries until ctx ends.
func (w *writer) finish(ctx context.Context, keys keySet) error {
	for _, deleting := range []bool{false, true} {
		for {
			ops, puts := []kv.Op{kv.OpDelete(Prefix, kv.WithPrefix())}, 0
			if !deleting {
				ops, puts = make([]kv.Op, len(keys)), len(keys)
				for i, key := range keys {
					ops[i] = w.put(key, i, tagSize)
				}
			}
			if w.commit(ctx, ops, puts) == acknowledged {
				break
			}
			if ctx.Err() != nil {
				return fmt.Errorf("writing the last revisions: %w", ctx.Err())
			}
		}
	}
	return nil
}
