package recipe

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/getcd/getcd/internal/etcderr"
	"github.com/getcd/getcd/internal/queue"
	"github.com/getcd/getcd/kv"
)

// items is what the two queues have in common: keys under a prefix, each of which
// one consumer takes.
type items struct {
	c        Client
	prefix   string        // of the items
	first    []kv.OpOption // how to get the next of them
	trace    string        // the key of the claims (trace)
	consumer string        // unique; all claims' IDs begin with it

	mu        sync.Mutex
	claims    int64           // that were made
	open      map[string]bool // the IDs of those that are not settled
	unsettled []claim         // those given up in the midst of settling
}

func newItems(c Client, name string, first []kv.OpOption) items {
	return items{
		c: c, prefix: name + "/", first: first, trace: "__" + name + "/claim",
		consumer: unique(), open: make(map[string]bool),
	}
}

// claim is the taking of one item.
type claim struct {
	id       string // unique
	key, val string
	mod      int64  // the item's mod revision
	seen     int64  // the trace's mod revision; 0 without one
	number   int64  // of the claim in the trace
	trace    string // as the claim leaves it
}

// dequeue takes the next item, and waits until there is one.
func (q *items) dequeue(ctx context.Context) (string, error) {
	if err := usable(ctx, "Dequeue", q.c); err != nil {
		return "", err
	}
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
		resp, err := q.c.Txn(ctx).Then(kv.OpGet(q.prefix, q.first...), kv.OpGet(q.trace)).Commit()
		if err != nil {
			return "", err
		}
		found := resp.Responses[0].GetResponseRange().GetKvs()
		if len(found) == 0 {
			if err := waitChange(ctx, q.c, q.prefix, resp.Header.Revision, mvccpb.Event_PUT, kv.WithPrefix()); err != nil {
				return "", err
			}
			continue
		}
		c, err := q.claim(found[0], resp.Responses[1].GetResponseRange().GetKvs())
		if err != nil {
			return "", err
		}
		mine, err := q.take(ctx, c)
		if errors.Is(err, errForgotten) {
			err = nil // it was answered, and it was too late: only a former try could have got the item
		}
		if err != nil && !refused(err) {
			mine, err = q.settle(ctx, c)
		} else {
			q.close(c)
		}
		if err != nil {
			return "", err
		}
		if mine {
			return c.val, nil
		}
	}
}

// claim prepares the claim of an item, with the trace as it was read along with it.
func (q *items) claim(item *mvccpb.KeyValue, read []*mvccpb.KeyValue) (claim, error) {
	t, err := readTrace(read)
	if err != nil {
		return claim{}, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.claims++
	c := claim{
		id: fmt.Sprintf("%s.%d", q.consumer, q.claims), key: string(item.Key), val: string(item.Value),
		mod: item.ModRevision, seen: t.mod, number: t.Claims + 1,
	}
	q.open[c.id] = true
	c.trace, err = t.with(c, func(id string) bool { return strings.HasPrefix(id, q.consumer+".") && !q.open[id] })
	return c, err
}

// close forgets a claim that is settled: the next one takes it out of the trace.
func (q *items) close(c claim) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.open, c.id)
}

// take sends a claim. It may be sent again: what it depends on has changed once it was
// applied, and then the trace tells by whom.
func (q *items) take(ctx context.Context, c claim) (bool, error) {
	resp, err := q.c.Txn(ctx).
		If(kv.Compare(kv.ModRevision(c.key), "=", c.mod), kv.Compare(kv.ModRevision(q.trace), "=", c.seen)).
		Then(kv.OpDelete(c.key), kv.OpPut(q.trace, c.trace)).
		Else(kv.OpGet(q.trace)).
		Commit()
	if err != nil || resp.Succeeded {
		return err == nil, err
	}
	t, err := readTrace(resp.Responses[0].GetResponseRange().GetKvs())
	if err != nil {
		return false, err
	}
	return t.made(c)
}

// settle finds out whether a claim, which may have been applied, has got its item,
// by sending it again. When ctx has ended it has 3 s for that; what is not
// settled then is left to the next dequeue.
func (q *items) settle(ctx context.Context, c claim) (mine bool, err error) {
	ctx, cancel := atLeast(ctx)
	defer cancel()
	for failures := 0; ; failures++ {
		if mine, err = q.take(ctx, c); err == nil {
			q.close(c)
			return mine, nil
		}
		if errors.Is(err, errForgotten) {
			q.close(c)
			return false, &UnsettledError{Op: "Dequeue", Key: c.key, Err: err} // forever
		}
		if final(err) || etcderr.Alarmed(err) || !queue.Pause(ctx, failures) {
			break
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.unsettled = append(q.unsettled, c)
	return false, &UnsettledError{Op: "Dequeue", Key: c.key, Err: err}
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
	alarm := etcderr.Alarmed(err)
	if !refused(err) {
		was, unsettled := q.enqueued(ctx, key, seen, fence, alarm)
		if was || unsettled != nil {
			return false, unsettled
		}
	}
	if alarm {
		return false, certainly(q.prefix, err)
	}
	*failures++
	if ctx.Err() != nil || final(err) || !queue.Pause(ctx, *failures-1) {
		return false, notApplied(ctx, q.prefix, err)
	}
	return true, nil
}

// enqueued finds out whether an item is, or was, in the queue, which a request that
// was made at revision seen may have put there, and may put there yet, unless it was
// answered. fence is the key that must not have changed since for that.
func (q *items) enqueued(ctx context.Context, key string, seen int64, fence string, answered bool) (bool, error) {
	ctx, cancel := atLeast(ctx)
	defer cancel()
	was, err := q.lookFor(ctx, key, seen, fence, answered)
	if err != nil {
		return false, &UnsettledError{Op: "Enqueue", Key: key, Err: err}
	}
	return was, nil
}

func (q *items) lookFor(ctx context.Context, key string, seen int64, fence string, answered bool) (bool, error) {
	ops := []kv.Op{kv.OpGet(key, kv.WithKeysOnly()), kv.OpGet(q.trace)}
	if !answered { // from here on, the request is refused
		ops = append(ops, kv.OpPut(fence, ""))
	}
	resp, err := commit(ctx, q.c, nil, ops, nil)
	if err != nil {
		return false, err
	}
	if len(resp.Responses[0].GetResponseRange().Kvs) > 0 {
		return true, nil
	}
	claims := resp.Responses[1].GetResponseRange().Kvs
	if len(claims) == 0 || claims[0].ModRevision <= seen {
		return false, nil
	}
	for e, err := range q.c.Events(ctx, q.trace, kv.WithRev(seen+1)) {
		if err != nil {
			return false, err
		}
		t, err := readTrace([]*mvccpb.KeyValue{e.Kv})
		switch {
		case err != nil:
			return false, err
		case string(t.Item) == key:
			return true, nil
		case t.mod >= claims[0].ModRevision:
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
		rest, done := queue.Cleanup(ctx)
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
