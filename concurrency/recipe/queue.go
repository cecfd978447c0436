package recipe

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/getcd/getcd/kv"
)

// Queue hands each item to one consumer, in the order in which they were enqueued.
// It is safe for concurrent use, by any number of producers and consumers.
type Queue struct {
	items
	name string
	seen atomic.Pointer[sight]
}

// sight is a revision of the store than which the fence was not newer, and when that
// was seen. It is seen again when it is old: what may have become of an item is looked
// for in the history since.
type sight struct {
	rev int64
	at  time.Time
}

// recent is how old a sight may be.
const recent = 10 * time.Second

// NewQueue returns the queue called name, whose items are keys under name/.
func NewQueue(c Client, name string) *Queue {
	return &Queue{items: newItems(c, name, kv.WithFirstCreate()), name: name}
}

// Enqueue adds an item, once. An *UnsettledError means that it may have been added;
// after any other error it was not, and will not be. To find that out it takes up
// to 3 s beyond ctx.
func (q *Queue) Enqueue(ctx context.Context, val string) error {
	if err := usable(ctx, "Enqueue", q.c); err != nil {
		return err
	}
	key, fence := q.prefix+unique(), "__"+q.name+"/fence"
	if s := q.seen.Load(); s == nil || time.Since(s.at) > recent {
		resp, err := q.c.Get(ctx, fence, kv.WithKeysOnly())
		if err != nil {
			return err
		}
		q.seen.Store(&sight{resp.Header.Revision, time.Now()})
	}
	for failures := 0; ; {
		seen := q.seen.Load().rev
		resp, err := q.c.Txn(ctx).
			If(kv.Compare(kv.ModRevision(fence), "<", seen+1)).
			Then(kv.OpPut(key, val)).
			Commit()
		if err == nil {
			q.seen.Store(&sight{resp.Header.Revision, time.Now()})
			if resp.Succeeded {
				return nil
			}
			continue // the fence was changed since
		}
		if again, err := q.afterFailure(ctx, err, key, seen, fence, &failures); !again {
			return err
		}
	}
}

// PriorityQueue hands each item to one consumer, those with the lowest number first,
// and among those the one that was enqueued first. It is safe for concurrent use, by
// any number of producers and consumers.
type PriorityQueue struct {
	items
}

// NewPriorityQueue returns the queue called name, whose items are keys under name/.
func NewPriorityQueue(c Client, name string) *PriorityQueue {
	return &PriorityQueue{newItems(c, name, kv.WithFirstKey())}
}

// Enqueue adds an item with a priority, of which 0 comes first, as Queue.Enqueue
// does.
//
// The items of one priority are numbered. Each enqueueing changes a key of the
// priority, on which the others depend that are under way: they take another
// number then.
func (q *PriorityQueue) Enqueue(ctx context.Context, val string, priority uint16) error {
	if err := usable(ctx, "Enqueue", q.c); err != nil {
		return err
	}
	prefix := fmt.Sprintf("%s%05d", q.prefix, priority)
	base := "__" + prefix
	for failures := 0; ; {
		last, err := q.c.Get(ctx, prefix+"/", append(kv.WithLastKey(), kv.WithKeysOnly())...)
		if err != nil {
			return err
		}
		n := int64(0)
		if len(last.Kvs) > 0 {
			if n, err = sequence(string(last.Kvs[0].Key)); err != nil {
				return err
			}
			n++
		}
		// The number is unique as long as the item is there, the rest always.
		key, seen := fmt.Sprintf("%s/%016d-%s", prefix, n, unique()), last.Header.Revision
		resp, err := q.c.Txn(ctx).
			If(kv.Compare(kv.ModRevision(base), "<", seen+1)).
			Then(kv.OpPut(base, ""), kv.OpPut(key, val)).
			Commit()
		if err == nil {
			if resp.Succeeded {
				return nil
			}
			continue // somebody else was first
		}
		if again, err := q.afterFailure(ctx, err, key, seen, base, &failures); !again {
			return err
		}
	}
}

// Dequeue takes the next item, and waits until there is one. An *UnsettledError
// means that it may have taken one; the next Dequeue of the same Queue finds that
// out, and returns it then. After any other error none was taken. To find that out
// it takes up to 3 s beyond ctx; if it has taken one, it returns it.
func (q *Queue) Dequeue(ctx context.Context) (string, error) { return q.dequeue(ctx) }

// Dequeue is as Queue.Dequeue.
func (q *PriorityQueue) Dequeue(ctx context.Context) (string, error) { return q.dequeue(ctx) }
