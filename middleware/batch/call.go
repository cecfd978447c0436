package batch

import (
	"context"
	"slices"

	"google.golang.org/grpc"
)

// call is one caller's.
type call struct {
	// Read-only after newCall.
	ctx        context.Context //nolint:containedctx // a call lives within Invoke
	method     string
	req, reply any
	opts       []grpc.CallOption
	write      bool
	together   bool         // a write that may share a batch
	key        laneKey      // its lane's
	done       chan outcome // of capacity 1

	// Guarded by conn.mu.
	lane  *lane // while it is queued, and from then on
	state state
	q     *question // that it asks; its own, or another call's
	at    int       // its place in q.more
	own   question
	batch *batch // that it is under way in
	slot  bool   // it is alone, and a batch for its lane
	place place  // of a write
}

// state is how far a call has come.
type state uint8

const (
	waiting  state = iota // for another write of its keys
	queued                // in its lane
	going                 // under way, or its caller's to send
	answered              // the outcome is, or will be at once, in done
	left                  // its caller does not wait any more
)

func (c *conn) newCall(ctx context.Context, method string, req, reply any, opts []grpc.CallOption) *call {
	a, ok := c.pool.Get().(*call)
	if !ok {
		a = &call{done: make(chan outcome, 1)}
	}
	a.ctx, a.method, a.req, a.reply, a.opts = ctx, method, req, reply, opts
	a.own.first, a.q = a, &a.own
	return a
}

// recycle keeps a call that nobody else knows.
func (c *conn) recycle(a *call) {
	done := a.done
	*a = call{done: done}
	c.pool.Put(a)
}

// question is one operation of a transaction. A read may have many callers.
type question struct {
	size int // in bytes, about

	// Guarded by conn.mu.
	first      *call // its request is the question's
	more       []*call
	hash       uint64    // of a read
	prev, next *question // in its lane
}

// joinLocked has a wait for the answer.
func (q *question) joinLocked(a *call) {
	a.q, a.at, a.state, a.lane = q, len(q.more), queued, q.first.lane
	q.more = append(q.more, a)
}

// dropLocked forgets a, and reports whether nobody is left.
func (q *question) dropLocked(a *call) (empty bool) {
	n := len(q.more)
	switch {
	case n == 0:
		return true
	case q.first == a:
		q.first = q.more[n-1]
	default:
		last := q.more[n-1]
		q.more[a.at], last.at = last, a.at
	}
	q.more = slices.Delete(q.more, n-1, n)
	return false
}
