package recipe

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/getcd/getcd/internal/backoff"
	"github.com/getcd/getcd/kv"
)

// items is what the two queues have in common: keys under a prefix, each of which
// one consumer takes.
type items struct {
	c      Client
	prefix string        // of the items
	first  []kv.OpOption // how to get the next of them
	trace  string        // the key that the claims are written to

	mu        sync.Mutex
	unsettled []claim // those given up in the midst of settling
}

// claim is the taking of one item.
type claim struct {
	key, val string
	mod      int64  // the item's mod revision
	seen     int64  // a revision at which the item was there; history is asked from here
	id       string // unique
}

// text is what the claim writes: who has taken which item.
func (c claim) text() string { return c.id + " " + c.key }

// in reports whether the trace, as it was read, has the claim.
func (c claim) in(trace []*mvccpb.KeyValue) bool {
	return len(trace) > 0 && string(trace[0].Value) == c.text()
}

// taken is the item of a claim's text.
func taken(text []byte) string {
	_, key, _ := strings.Cut(string(text), " ")
	return key
}

// dequeue takes the next item, and waits until there is one.
func (q *items) dequeue(ctx context.Context) (string, error) {
	for {
		c, ok := q.popUnsettled()
		if !ok {
			break
		}
		mine, err := q.settle(ctx, c)
		if err != nil {
			return "", err
		}
		if mine {
			return c.val, nil
		}
	}
	for {
		resp, err := q.c.Get(ctx, q.prefix, q.first...)
		if err != nil {
			return "", err
		}
		if len(resp.Kvs) == 0 {
			if err := waitChange(ctx, q.c, q.prefix, resp.Header.Revision, mvccpb.Event_PUT, kv.WithPrefix()); err != nil {
				return "", err
			}
			continue
		}
		item := resp.Kvs[0]
		c := claim{key: string(item.Key), val: string(item.Value), mod: item.ModRevision, seen: resp.Header.Revision, id: unique()}
		mine, err := q.take(ctx, c)
		if err != nil && !refused(err) {
			mine, err = q.settle(ctx, c)
		}
		if err != nil {
			return "", err
		}
		if mine {
			return c.val, nil
		}
	}
}

// take sends a claim. It may be sent again: what it depends on is gone once it was
// applied; and as long as nobody has claimed anything since, the trace tells so.
func (q *items) take(ctx context.Context, c claim) (bool, error) {
	resp, err := q.c.Txn(ctx).
		If(kv.Compare(kv.ModRevision(c.key), "=", c.mod)).
		Then(kv.OpDelete(c.key), kv.OpPut(q.trace, c.text())).
		Else(kv.OpGet(q.trace)).
		Commit()
	if err != nil {
		return false, err
	}
	return resp.Succeeded || c.in(resp.Responses[0].GetResponseRange().Kvs), nil
}

// settle finds out whether a claim, which may have been applied, has got its item,
// by sending it again. When ctx has ended it has cleanupTime for that; what is not
// settled then is left to the next dequeue.
func (q *items) settle(ctx context.Context, c claim) (mine bool, err error) {
	ctx, cancel := atLeast(ctx)
	defer cancel()
	for failures := 0; ; failures++ {
		if mine, err = q.take(ctx, c); err == nil && !mine {
			mine, err = q.took(ctx, c)
		}
		if err == nil {
			return mine, nil
		}
		if compacted(err) {
			return false, &UnsettledError{Op: "Dequeue", Key: c.key, Err: err} // for ever
		}
		if final(err) || !backoff.Sleep(ctx, pauses.Pause(failures)) {
			break
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.unsettled = append(q.unsettled, c)
	return false, &UnsettledError{Op: "Dequeue", Key: c.key, Err: err}
}

// took reports whether the claim's item, which is gone, was taken by the claim. The
// deletion of the item has a revision, and the claims at that revision tell.
func (q *items) took(ctx context.Context, c claim) (bool, error) {
	e, err := q.next(ctx, c.key, c.seen+1)
	if err != nil || e.Type != mvccpb.Event_DELETE {
		return false, err // overwritten, and not as it was claimed any more
	}
	resp, err := q.c.Get(ctx, q.trace, kv.WithRev(e.Kv.ModRevision))
	if err != nil {
		return false, err
	}
	return c.in(resp.Kvs), nil
}

// next is the first event of a key from rev on.
func (q *items) next(ctx context.Context, key string, rev int64) (*mvccpb.Event, error) {
	for e, err := range q.c.Events(ctx, key, kv.WithRev(rev)) {
		return e, err
	}
	return nil, ctx.Err() // not reached: the last pair has an error
}

func (q *items) popUnsettled() (claim, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.unsettled) == 0 {
		return claim{}, false
	}
	c := q.unsettled[0]
	q.unsettled = q.unsettled[1:]
	return c, true
}

// afterFailure says what follows from an enqueueing that failed: it is made again,
// or done, with the error that it returns.
func (q *items) afterFailure(ctx context.Context, err error, key string, seen int64, fence string, failures *int) (again bool, _ error) {
	if !refused(err) {
		was, unsettled := q.enqueued(ctx, key, seen, fence)
		if was || unsettled != nil {
			return false, unsettled
		}
	}
	*failures++
	if ctx.Err() != nil || final(err) || !backoff.Sleep(ctx, pauses.Pause(*failures-1)) {
		return false, notApplied(ctx, q.prefix, err)
	}
	return true, nil
}

// enqueued finds out whether an item is, or was, in the queue, which a request that
// was made at revision seen may have put there, and may put there yet. fence is the
// key that must not have changed since for that.
func (q *items) enqueued(ctx context.Context, key string, seen int64, fence string) (bool, error) {
	ctx, cancel := atLeast(ctx)
	defer cancel()
	was, err := q.lookFor(ctx, key, seen, fence)
	if err != nil {
		return false, &UnsettledError{Op: "Enqueue", Key: key, Err: err}
	}
	return was, nil
}

func (q *items) lookFor(ctx context.Context, key string, seen int64, fence string) (bool, error) {
	// From here on, the request is refused.
	resp, err := commit(ctx, q.c, nil, []kv.Op{kv.OpPut(fence, ""), kv.OpGet(key, kv.WithKeysOnly()), kv.OpGet(q.trace)}, nil)
	if err != nil {
		return false, err
	}
	if len(resp.Responses[1].GetResponseRange().Kvs) > 0 {
		return true, nil
	}
	claims := resp.Responses[2].GetResponseRange().Kvs
	if len(claims) == 0 || claims[0].ModRevision <= seen {
		return false, nil
	}
	for e, err := range q.c.Events(ctx, q.trace, kv.WithRev(seen+1)) {
		switch {
		case err != nil:
			return false, err
		case taken(e.Kv.Value) == key:
			return true, nil
		case e.Kv.ModRevision >= claims[0].ModRevision:
			return false, nil
		}
	}
	return false, ctx.Err() // not reached: the last pair has an error
}

// atLeast is ctx, or when that has ended a context for cleaning up; and it has the
// latter's time when ctx ends meanwhile.
func atLeast(ctx context.Context) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		rest, done := cleanup(ctx)
		defer done()
		select {
		case <-rest.Done():
			cancel(context.Cause(ctx))
		case <-longer.Done():
		}
	})
	return longer, func() { stop(); cancel(nil) }
}

// sequence is the number of an item's key, which ends in "/0000000000000012" and,
// maybe, something that does not begin with a digit.
func sequence(key string) (int64, error) {
	var n int64
	if _, err := fmt.Sscanf(key[strings.LastIndexByte(key, '/')+1:], "%d", &n); err != nil {
		return 0, fmt.Errorf("recipe: the key %q has no number, so the next one is not known: %w", key, err)
	}
	return n, nil
}
