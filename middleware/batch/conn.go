package batch

import (
	"context"
	"hash/maphash"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/internal/misuse"
)

// NewConn returns cc with calls that travel together. It is a function for
// client.Config.Middleware. Closing cc remains its owner's business, and NewConn has
// nothing to close: it starts a goroutine only for a batch that is under way.
//
// Errors are cc's, with one exception: when a caller's context ends while its call is
// waiting or under way in a batch, the error wraps that of the context, and for a write
// that is under way client.IsAmbiguous is true.
func NewConn(cc grpc.ClientConnInterface) grpc.ClientConnInterface {
	c := &conn{cc: misuse.Conn("batch", cc), seed: maphash.MakeSeed(), others: make(map[laneKey]*lane)}
	c.limits = noLimits
	c.order.seed, c.order.keys = c.seed, make(map[uint64]*call)
	for k := range c.lanes {
		c.lanes[k] = newLane(c, laneKey{kind: kind(k)}, nil, nil)
	}
	return c
}

type conn struct {
	cc   grpc.ClientConnInterface
	seed maphash.Seed
	pool sync.Pool // of *call

	mu      sync.Mutex // guards the following, and what of calls, questions, lanes and batches says so
	lanes   [kinds]*lane
	others  map[laneKey]*lane // of calls with metadata or options, and of large reads; while they have calls
	order   order
	limits  limits
	limited time.Time // when limits were learned
	touched []*lane   // that have got calls, or room for them, and were not looked at yet
}

func (c *conn) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	return c.cc.NewStream(ctx, desc, method, opts...)
}

func (c *conn) Invoke(ctx context.Context, method string, req, reply any, opts ...grpc.CallOption) error {
	if ctx == nil || ctx.Err() != nil {
		return c.cc.Invoke(ctx, method, req, reply, opts...) // which has the error for it
	}
	switch r := req.(type) {
	case *pb.RangeRequest:
		if out, ok := reply.(*pb.RangeResponse); ok && r != nil && out != nil && method == pb.KV_Range_FullMethodName {
			if key, ok := readLane(ctx, r, opts); ok {
				return c.read(ctx, r, out, key, opts)
			}
		}
	case *pb.PutRequest:
		if out, ok := reply.(*pb.PutResponse); ok && r != nil && out != nil && method == pb.KV_Put_FullMethodName {
			key, together := putLane(ctx, r, opts)
			return c.write(ctx, method, r, out, r.Key, nil, key, together, opts)
		}
	case *pb.DeleteRangeRequest:
		if out, ok := reply.(*pb.DeleteRangeResponse); ok && r != nil && out != nil && method == pb.KV_DeleteRange_FullMethodName {
			key, together := deleteLane(ctx, r, opts)
			return c.write(ctx, method, r, out, r.Key, r.RangeEnd, key, together, opts)
		}
	}
	return c.cc.Invoke(ctx, method, req, reply, opts...)
}

// read asks, alone or with others.
func (c *conn) read(ctx context.Context, req *pb.RangeRequest, reply *pb.RangeResponse, key laneKey, opts []grpc.CallOption) error {
	a := c.newCall(ctx, pb.KV_Range_FullMethodName, req, reply, opts)
	a.own.size = readSize(req)
	hash := c.hash(req)
	c.mu.Lock()
	l := c.laneLocked(key, ctx, opts)
	var alone bool
	if q := l.asked[hash]; q != nil && sameRead(q.first.req.(*pb.RangeRequest), req) {
		q.joinLocked(a)
	} else {
		a.own.hash = hash
		l.asked[hash] = &a.own
		l.pushLocked(a)
		alone = c.launchLocked(l, a)
	}
	c.mu.Unlock()
	return c.result(a, alone)
}

// write sends req when no write of its keys is under way, alone or with others.
func (c *conn) write(ctx context.Context, method string, req, reply any, first, end []byte, key laneKey, together bool, opts []grpc.CallOption) error {
	a := c.newCall(ctx, method, req, reply, opts)
	a.write, a.together, a.key = true, together, key
	a.own.size = len(first) + len(end) + overhead
	if p, ok := req.(*pb.PutRequest); ok {
		a.own.size += len(p.Value)
	}
	c.mu.Lock()
	alone := false
	if c.order.addLocked(a, first, end) {
		if l := c.startLocked(a); l != nil {
			alone = c.launchLocked(l, a)
		} else {
			alone = true
		}
	}
	c.mu.Unlock()
	return c.result(a, alone)
}

// startLocked has a write whose turn has come wait in the lane that it returns. If that is
// nil, the caller has to send it, alone.
func (c *conn) startLocked(a *call) *lane {
	if !a.together {
		a.state = going
		return nil
	}
	l := c.laneLocked(a.key, a.ctx, a.opts)
	l.pushLocked(a)
	return l
}

// launchLocked sends what l has to send now. It reports whether one of these is self
// alone, which its caller sends.
func (c *conn) launchLocked(l *lane, self *call) (alone bool) {
	for l.dueLocked() {
		if c.sendLocked(l, self) {
			alone = true
		}
	}
	l.timeLocked()
	c.forgetLocked(l)
	return alone
}

// sendLocked sends a batch of l. It reports whether that is self alone, which its caller sends.
func (c *conn) sendLocked(l *lane, self *call) (alone bool) {
	b, solo := l.takeLocked()
	switch solo {
	case nil:
		go c.run(b)
	case self:
		return true
	default:
		solo.done <- outcome{alone: true}
	}
	return false
}

// launchTouchedLocked is launchLocked for all lanes that have been touched.
func (c *conn) launchTouchedLocked() {
	for _, l := range c.touched {
		l.touched = false
		c.launchLocked(l, nil)
	}
	clear(c.touched)
	c.touched = c.touched[:0]
}

func (c *conn) touchLocked(l *lane) {
	if !l.touched {
		l.touched = true
		c.touched = append(c.touched, l)
	}
}

// releaseLocked says that a write is under way no more. Those that have waited for it
// start.
func (c *conn) releaseLocked(a *call) {
	if !a.write {
		return
	}
	for _, next := range c.order.removeLocked(a) {
		if l := c.startLocked(next); l != nil {
			c.touchLocked(l)
		} else {
			next.done <- outcome{alone: true}
		}
	}
}

// result returns what has come of the call.
func (c *conn) result(a *call, alone bool) error {
	out := outcome{alone: alone}
	if !alone {
		select {
		case out = <-a.done:
		case <-a.ctx.Done():
			if err := c.leave(a); err != nil {
				return err // and what is left of the call belongs to its batch
			}
			out = <-a.done // which is there, or comes in a moment
		}
	}
	err := out.err
	switch {
	case out.alone:
		err = c.sendAlone(a)
	case err == nil:
		out.fill(a.reply)
	}
	c.recycle(a)
	return err
}

// sendAlone sends a call as it is.
func (c *conn) sendAlone(a *call) (err error) {
	defer func() { c.finish(a, err) }() // also when something below panics, which its caller may survive
	return c.cc.Invoke(a.ctx, a.method, a.req, a.reply, a.opts...)
}

// finish ends a call that was sent alone.
func (c *conn) finish(a *call, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if a.slot {
		a.lane.inflight--
		if err == nil {
			a.lane.growLocked()
			a.lane.room.measureLocked(1, answerSize(a.reply)) // or a large answer would be remembered forever
		}
		c.touchLocked(a.lane)
	}
	c.releaseLocked(a)
	c.launchTouchedLocked()
}

// leave ends a call whose context has ended, and returns its error. There is none when the
// answer was there before, or it is the caller's turn to send the call, which then fails.
func (c *conn) leave(a *call) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	sent := a.state == going && a.batch != nil
	switch {
	case sent:
		a.batch.leftLocked()
	case a.state == going || a.state == answered:
		return nil
	default:
		if a.state == queued {
			a.lane.dropLocked(a)
			c.touchLocked(a.lane)
		}
		c.releaseLocked(a)
		c.launchTouchedLocked()
	}
	a.state = left
	return &endedError{op: operation(a.method), err: a.ctx.Err(), ambiguous: sent && a.write}
}
