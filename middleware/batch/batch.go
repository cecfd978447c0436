package batch

import (
	"context"
	"runtime"
	"slices"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// batch is what travels together: some questions of one lane.
type batch struct {
	// Read-only after takeLocked.
	lane      *lane
	questions []*question
	size      int             // in bytes, about
	ctx       context.Context //nolint:containedctx // of the one request
	cancel    context.CancelFunc
	method    string
	req       any

	live int // callers who wait; guarded by conn.mu
}

func (b *batch) writes() bool { return b.lane.key.kind == puts || b.lane.key.kind == deletes }

// packLocked makes the request and its context. The request is a copy: a caller may change
// its own when it has left.
func (b *batch) packLocked() {
	ctx := context.Background()
	if b.lane.md != nil {
		ctx = metadata.NewOutgoingContext(ctx, b.lane.md)
	}
	last, ends := b.lastDeadlineLocked()
	if ends {
		b.ctx, b.cancel = context.WithDeadline(ctx, last)
	} else {
		b.ctx, b.cancel = context.WithCancel(ctx)
	}
	switch b.lane.key.kind {
	case puts:
		b.method, b.req = pb.KV_Txn_FullMethodName, packPuts(b.questions, b.size)
	case deletes:
		b.method, b.req = pb.KV_Txn_FullMethodName, packDeletes(b.questions, b.size)
	default:
		if len(b.questions) == 1 {
			b.method, b.req = pb.KV_Range_FullMethodName, copyOfRead(b.questions[0])
		} else {
			b.method, b.req = pb.KV_Txn_FullMethodName, packReads(b.questions, b.size)
		}
	}
}

// leftLocked says that one caller does not wait any more. With the last one the request
// ends, as a single one does with its caller.
func (b *batch) leftLocked() {
	if b.live--; b.live == 0 {
		b.cancel()
	}
}

// run sends b, and what has come meanwhile.
func (c *conn) run(b *batch) {
	for b != nil {
		c.send(b)
		// Those who have their answers are about to ask again, and should come with the
		// next batch. This takes no time when nobody else has anything to do.
		runtime.Gosched()
		b = c.next(b.lane)
	}
}

// next ends a batch, and returns another one of the lane.
func (c *conn) next(l *lane) *batch {
	c.mu.Lock()
	defer c.mu.Unlock()
	l.draining--
	l.inflight--
	var b *batch
	if l.dueLocked() {
		var solo *call
		if b, solo = l.takeLocked(); solo != nil {
			solo.done <- outcome{alone: true}
		}
	}
	c.touchLocked(l)
	c.launchTouchedLocked()
	return b
}

// send sends b, and tells its callers what has become of it.
func (c *conn) send(b *batch) {
	defer b.cancel()
	var err error
	var answers answers
	if b.method == pb.KV_Txn_FullMethodName {
		resp := new(pb.TxnResponse)
		err = c.cc.Invoke(b.ctx, b.method, b.req, resp, b.options()...)
		if err == nil {
			answers, err = unpack(resp, b)
		}
	} else {
		resp := new(pb.RangeResponse)
		err = c.cc.Invoke(b.ctx, b.method, b.req, resp, b.options()...)
		answers = single(resp)
	}
	for _, d := range c.settle(b, answers, err) {
		d.call.done <- d.outcome
	}
}

func (b *batch) options() []grpc.CallOption {
	if b.writes() {
		// Each of the answers may have previous values. If they are too large together,
		// nobody knows what they were, and the writes are applied.
		return append(slices.Clip(b.lane.opts), unlimited)
	}
	return b.lane.opts
}

// delivery is what one caller gets.
type delivery struct {
	call    *call
	outcome outcome
}

// settle decides what each of the callers gets.
func (c *conn) settle(b *batch, answers answers, err error) []delivery {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := b.lane
	l.draining++ // next ends it
	alone := err != nil && b.refused(err)
	switch {
	case alone:
		c.learnLocked(b, err)
	case err == nil:
		l.growLocked()
		l.room.measureLocked(len(b.questions), answers.size)
	}
	deliveries := make([]delivery, 0, b.live)
	for i, q := range b.questions {
		for j := -1; j < len(q.more); j++ {
			a := q.first
			if j >= 0 {
				a = q.more[j]
			}
			if a.state == left || !alone {
				c.releaseLocked(a)
			}
			if a.state == left {
				continue
			}
			out := outcome{alone: alone, shared: len(q.more) > 0}
			switch {
			case alone:
				a.state, a.batch = going, nil
			case err != nil:
				a.state, out.err = answered, named(err, a.method)
			default:
				a.state, out.header, out.answer = answered, answers.header, answers.of[i]
			}
			deliveries = append(deliveries, delivery{a, out})
		}
	}
	return deliveries
}

// learnLocked notes that a batch was too large, or had something in it that others should
// not suffer from.
func (c *conn) learnLocked(b *batch, err error) {
	n := len(b.questions)
	switch {
	case tooManyOps(err):
		c.limits.ops, c.limited = max(1, min(c.limits.ops, n/2)), time.Now()
	case tooLarge(err):
		c.limits.bytes, c.limited = max(1, min(c.limits.bytes, b.size/2)), time.Now()
	default:
		b.lane.room.ops = max(1, min(b.lane.room.ops, n/2))
	}
}
