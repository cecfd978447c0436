package gateway

import (
	"context"
	"fmt"
	"net/http"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"

	"github.com/getcd/getcd/internal/backoff"
)

// A call whose endpoint is silent is given up, as over gRPC, only where that does some
// good: when the endpoint answers nothing else either, and somebody serves what takes an
// agreement of the members. The fate of a call that was sent is unknown then.

// silenceError is why a call was given up, as the cause of its context.
type silenceError struct {
	after time.Duration
	ep    string
}

func (e silenceError) Error() string {
	return fmt.Sprintf("%s has been silent for %v, while others serve", e.ep, e.after)
}

// move notes that bytes have moved.
func (x *exchange) move() { x.moved.Store(int64(time.Since(x.began))) }

// watchOver looks after x until stop is called, and cancels it when it is given up.
func (x *exchange) watchOver(cancel context.CancelCauseFunc) (stop func()) {
	if x.attempt == nil || !x.attempt.Measure {
		return func() {}
	}
	x.move()
	ctx, done := context.WithCancel(x.ctx)
	timer := time.AfterFunc(x.conn.opts.Patience, func() { x.conn.spawn(func() { x.suspect(ctx, cancel) }) })
	return func() { timer.Stop(); done() }
}

func (x *exchange) suspect(ctx context.Context, cancel context.CancelCauseFunc) {
	patience := x.conn.opts.Patience
	for ctx.Err() == nil {
		moved := x.moved.Load()
		quiet := time.Since(x.began) - time.Duration(moved)
		if left := patience - quiet; left > 0 {
			backoff.Sleep(ctx, left)
			continue
		}
		alive := x.ask(ctx, x.ep, pb.Maintenance_Status_FullMethodName, &pb.StatusRequest{})
		if !alive && x.ask(ctx, x.conn.after(x.ep), pb.KV_Range_FullMethodName, &pb.RangeRequest{Key: []byte{0}, KeysOnly: true, Limit: 1}) &&
			x.moved.Load() == moved {
			cancel(silenceError{quiet, x.ep.name})
			return
		}
		backoff.Sleep(ctx, patience)
	}
}

// ask reports whether an endpoint answers a request, be it with a refusal, in the time of
// the patience. It has the metadata of x.
func (x *exchange) ask(ctx context.Context, e *endpoint, method string, req proto.Message) bool {
	ctx, cancel := context.WithTimeout(ctx, x.conn.opts.Patience)
	defer cancel()
	r, err := x.conn.route(method)
	if err != nil {
		return false
	}
	body, err := encode(req, x.opts.maxSend)
	if err != nil {
		return false
	}
	q := x.conn.newExchange(ctx, r, body, callOptions{})
	q.attempt, q.ep = nil, e
	resp, err := q.do()
	if err != nil {
		return false
	}
	discard(resp)
	return resp.StatusCode < http.StatusInternalServerError
}

// after is the endpoint that comes after e, or e itself when there is no other.
func (c *Conn) after(e *endpoint) *endpoint {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, o := range c.endpoints {
		if o != e {
			return o
		}
	}
	return e
}
