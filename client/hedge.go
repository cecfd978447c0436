package client

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/getcd/getcd/internal/attempt"
	"github.com/getcd/getcd/internal/policy"
)

// A read that takes several times as long as usual is sent to a second member too, and so is
// a small write that its caller has declared repeatable, after defaultHedgeDelay. The
// first answer wins ("The Tail at Scale", Dean and Barroso, 2013). So a member that has just
// stalled delays a read by that time only, not by the longer time that it takes to be sure
// of the stall.
const (
	// The delay until the hedge, hedgeFactor times the usual latency of reads.
	minHedgeDelay     = 50 * time.Millisecond
	maxHedgeDelay     = 200 * time.Millisecond
	defaultHedgeDelay = 100 * time.Millisecond // while no latency is known
	hedgeFactor       = 8
)

// hedges is what a Conn keeps for its hedged calls.
type hedges struct {
	budget budget
	pool   sync.Pool // of *hedge
}

// hedge sends a read's second copy. It serves one call after another. The call's own
// goroutine sends the first copy, and the timer's goroutine sends the second.
type hedge struct {
	timer *time.Timer
	hurry func() // sends the second copy now

	mu      sync.Mutex
	call    *try             // nil between calls
	attempt *attempt.Attempt // of the first copy, in flight
	end     func()           // cancels it
	delay   time.Duration
	avoid   []string // the caller's Attempt.Avoid
	req     any
	reply   protoreflect.MessageType
	opts    []grpc.CallOption
	second  *second        // nil until it is sent
	hedged  bool           // a second copy was sent, which may have been dropped
	waiting bool           // the first copy has failed, and waits for the second
	applied bool           // a second copy of a write may have been applied
	copies  sync.WaitGroup // the second copies, including one that was dropped
}

// second is the second copy of one call.
type second struct {
	cancel context.CancelFunc
	done   chan struct{} // closed when it has ended and the following are set
	won    bool          // it brought an answer
	reply  proto.Message
	err    error
}

// over reports whether the copy has ended without an answer.
func (s *second) over() bool {
	select {
	case <-s.done:
		return !s.won
	default:
		return false
	}
}

// errHedged ends a first copy when the second has brought an answer.
var errHedged = errors.New("client: answered elsewhere")

func (c *Conn) newHedge() *hedge {
	if h, ok := c.hedges.pool.Get().(*hedge); ok {
		return h
	}
	h := &hedge{}
	h.timer = time.AfterFunc(time.Hour, h.fire)
	h.timer.Stop()
	h.hurry = func() { h.timer.Reset(0) }
	return h
}

// invokeHedged is Invoke for a read that may be hedged.
func (c *Conn) invokeHedged(t *try, req any, reply proto.Message, opts []grpc.CallOption) error {
	c.hedges.budget.earn()
	h := c.newHedge()
	h.mu.Lock()
	h.call, h.avoid, h.req, h.reply, h.opts = t, t.avoid, req, reply.ProtoReflect().Type(), opts
	h.delay, h.applied, h.hedged = defaultHedgeDelay, false, false
	if t.call.class == read {
		h.delay = hedgeDelay(c.table.ReadLatency())
	}
	h.mu.Unlock()
	t.hedge = h

	err := t.invoke(req, reply, opts)
	t.observed.settle()
	s := h.finish()
	t.copied = t.copied || h.hedged
	if err != nil && s != nil && s.won {
		if err = s.err; err == nil {
			proto.Reset(reply)
			proto.Merge(reply, s.reply)
		}
	}
	if e, ok := errors.AsType[*Error](err); ok && (t.applied || h.applied) {
		e.ambiguous = true // what one copy was answered says nothing of the other
	}
	c.hedges.pool.Put(h)
	return err
}

func hedgeDelay(usual time.Duration) time.Duration {
	if usual == 0 {
		return defaultHedgeDelay
	}
	return min(max(hedgeFactor*usual, minHedgeDelay), maxHedgeDelay)
}

// begin is called for each attempt of the first copy. When the policy gives the attempt up,
// the hedge sends the second copy. The first one goes on, since part of its answer may have
// arrived, and its member may come back sooner.
func (h *hedge) begin(a *attemptContext) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.attempt, h.end = &a.attempt, a.attempt.Cancel
	a.attempt.Cancel = h.hurry
	h.timer.Reset(h.delay)
}

// detach makes the hedge forget the first copy, whose leash may belong to another call
// afterward.
func (h *hedge) detach() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.attempt, h.end = nil, func() {}
}

// fire sends the second copy, or drops it again. It runs every delay while the call is in
// flight.
func (h *hedge) fire() {
	h.mu.Lock()
	t := h.call
	if t == nil || h.attempt == nil {
		h.mu.Unlock()
		return // the call has ended in the meantime
	}
	h.timer.Reset(h.delay) // to look at both again
	arriving, first, cause := h.attempt.Arriving(), h.attempt.Endpoint(), h.attempt.GivenUp()
	givenUp := cause != nil
	if givenUp && !errors.Is(cause, policy.ErrSilent) {
		arriving = false // the bytes are something else: the member is there, but can't serve
	}
	if s := h.second; s != nil && s.over() {
		h.second = nil // there was no member for it, and there may be one now
	}
	if s := h.second; s != nil {
		if arriving && !h.waiting {
			// Two large answers would only delay each other.
			s.cancel()
			h.second = nil
		}
		h.mu.Unlock()
		return
	}
	wanted := first != "" && !arriving && (givenUp || t.conn.table.Spare() && t.conn.hedges.budget.spend())
	if !wanted {
		// The first copy is not sent, or its answer is arriving, or there is no other
		// member, or all reads are late.
		h.mu.Unlock()
		return
	}
	t.conn.counters.hedges.Add(1)
	s := &second{done: make(chan struct{}), reply: h.reply.New().Interface()}
	var ctx context.Context
	ctx, s.cancel = context.WithCancel(t.ctx)
	h.second, h.hedged = s, true
	req, opts := h.req, h.opts
	avoid := slices.Clip(h.avoid)
	if !lostByElection(h.attempt) {
		avoid = append(avoid, first)
	}
	copied := try{
		conn: t.conn, ctx: ctx, method: t.method, call: t.call, number: t.number, observed: t.observed, second: true,
		avoid: avoid, elsewhere: !givenUp, beside: h, failFast: t.failFast,
	}
	h.copies.Add(1)
	h.mu.Unlock()

	defer h.copies.Done()
	defer close(s.done)
	defer s.cancel()
	s.err = copied.invoke(req, s.reply, opts)
	if copied.applied {
		h.mu.Lock()
		h.applied = true
		h.mu.Unlock()
	}
	if s.won = s.err == nil || ctx.Err() == nil && !copied.alone && etcdsOwn(errors.Unwrap(s.err)); s.won {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.second == s {
			t.observed.settle()
			h.end()
		}
	}
}

// givenUp reports whether the first copy is not expected to be answered any more.
func (h *hedge) givenUp() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.attempt == nil || h.attempt.GivenUp() != nil
}

// waits reports whether the first copy has failed, and waits for the second one.
func (h *hedge) waits() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.waiting
}

// joined waits for the second copy, if there is one. It is called when the first one has
// failed, which is not sent again while the second is in flight. It reports whether the
// second brought an answer.
func (h *hedge) joined() bool {
	h.mu.Lock()
	s := h.second
	h.waiting = s != nil
	h.mu.Unlock()
	if s == nil {
		return false
	}
	<-s.done
	h.mu.Lock()
	defer h.mu.Unlock()
	h.waiting = false
	return s.won
}

// finish ends the call, and the second copy if it is in flight.
func (h *hedge) finish() *second {
	h.mu.Lock()
	h.timer.Stop()
	s := h.second
	h.call, h.attempt, h.end, h.avoid, h.req, h.reply, h.opts, h.second = nil, nil, nil, nil, nil, nil, nil, nil
	h.mu.Unlock()
	if s != nil {
		s.cancel()
	}
	h.copies.Wait()
	return s
}

// hedgeable reports whether two copies of a call can be in flight. They can't if both would
// write to its call options.
func hedgeable(reply any, opts []grpc.CallOption) (proto.Message, bool) {
	m, ok := reply.(proto.Message)
	if !ok || reflect.ValueOf(reply).IsNil() {
		return nil, false
	}
	for _, o := range opts {
		switch o.(type) {
		case grpc.HeaderCallOption, grpc.TrailerCallOption, grpc.PeerCallOption:
			return nil, false
		}
	}
	return m, true
}
