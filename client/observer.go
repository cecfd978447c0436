package client

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/internal/attempt"
)

// Observer is told of a client's calls and of the attempts that the client makes for them: a
// call that is sent again or hedged has several. The modules below observability have
// observers for Prometheus and OpenTelemetry.
//
// The methods are called from anywhere and at the same time, on the goroutine of the call:
// they must be quick and must not make calls on the client. A call's BeginCall comes first and
// its EndCall last, with one BeginAttempt and one EndAttempt for each attempt in between.
// Logins are calls too, and so are Maintenance's to single endpoints. The client's probes and
// heartbeats are not.
//
// BeginCall and BeginAttempt return the context of the call and of the attempt: ctx, or one
// derived from it that keeps its values, its end and its outgoing metadata. EndCall and
// EndAttempt get that context back. With several observers each derives from the one before.
type Observer interface {
	// ClientOpened is called once for each client, by New, before there is a call of the program.
	// Logins may have begun. The observer may keep c and ask it for Endpoints, Counters and
	// Stats.
	ClientOpened(c *Client)
	// ClientClosed is called once for each client, by Close, when its calls have ended.
	ClientClosed(c *Client)

	// BeginCall is called when a call begins. It returns the call's context: ctx, or one derived
	// from it.
	BeginCall(ctx context.Context, c *Call) context.Context
	// EndCall gets the call's error, an *Error or nil; IsAmbiguous tells whether it is that
	// of a write that may have been applied. The error of a stream that its reader has
	// left is the end of the stream's context, as a gRPC status.
	EndCall(ctx context.Context, c *Call, err error)
	// BeginAttempt is called when an attempt of a call begins. It returns the attempt's context:
	// ctx, or one derived from it.
	BeginAttempt(ctx context.Context, a *Attempt) context.Context
	// EndAttempt gets the error of the attempt alone, which has a gRPC status, or nil.
	EndAttempt(ctx context.Context, a *Attempt, err error)
}

// Call is a request, or a stream, for an Observer. It must not be changed.
type Call struct {
	// Method is the RPC's full name, such as "/etcdserverpb.KV/Range".
	Method string
	// Stream says that the call is a stream. It ends when the stream has.
	Stream bool
	// Began is when the call began.
	Began time.Time
	// Attempts is how many attempts the call took. It is set at the end.
	Attempts int
}

// Attempt is one RPC that was made for a Call, for an Observer. It must not be changed.
type Attempt struct {
	// Call is the call that the attempt is for.
	Call *Call
	// Number counts the call's attempts from 1.
	Number int
	// Hedge says that the attempt is for the second copy of a read, whose first copy is late
	// but may still be answered. Without it an attempt with a Number above 1 is a retry: the
	// one before it has failed.
	Hedge bool
	// Began is when the attempt began. It may have waited for a connection since.
	Began time.Time

	// Endpoint is the address of the endpoint that the attempt was sent to, as in
	// balancer.Status; empty when there was none. It is set at the end.
	Endpoint string
	// Superseded says that the attempt was canceled since the call's other copy was
	// answered first. It is no failure. It is set at the end.
	Superseded bool
}

// observed is a call of which observers are told. Nil is one of which nobody is.
type observed struct {
	by       []Observer
	ctx      context.Context //nolint:containedctx // the call's
	call     Call
	attempts atomic.Int32
	settled  atomic.Bool // one copy was answered; another one's end is no failure
}

// observe tells the observers that the call begins.
func (t *try) observe(stream bool) {
	if len(t.conn.observers) == 0 {
		return
	}
	o := &observed{by: t.conn.observers, call: Call{Method: t.method, Stream: stream, Began: time.Now()}}
	for _, by := range o.by {
		t.ctx = by.BeginCall(t.ctx, &o.call) //nolint:fatcontext // there are two observers or so
	}
	o.ctx, t.observed = t.ctx, o
}

// end tells the observers that the call has ended.
func (o *observed) end(err error) {
	if o == nil {
		return
	}
	o.call.Attempts = int(o.attempts.Load())
	for _, by := range o.by {
		by.EndCall(o.ctx, &o.call, err)
	}
}

// settle says that a copy of the call was answered.
func (o *observed) settle() {
	if o != nil {
		o.settled.Store(true)
	}
}

// observedAttempt is an attempt of which observers are told. Nil is one of which nobody is.
type observedAttempt struct {
	call *observed
	ctx  context.Context //nolint:containedctx // the attempt's
	Attempt
}

// attempt tells the observers that an attempt begins, and returns its context.
func (o *observed) attempt(ctx context.Context, hedge bool) (context.Context, *observedAttempt) {
	if o == nil {
		return ctx, nil
	}
	a := &observedAttempt{call: o, Attempt: Attempt{Call: &o.call, Number: int(o.attempts.Add(1)), Hedge: hedge, Began: time.Now()}}
	for _, by := range o.by {
		ctx = by.BeginAttempt(ctx, &a.Attempt) //nolint:fatcontext // as in observe
	}
	a.ctx = ctx
	return ctx, a
}

// end tells the observers that the attempt has ended.
func (a *observedAttempt) end(from *attempt.Attempt, err error) {
	if a == nil {
		return
	}
	a.Endpoint = from.Address()
	a.Superseded = status.Code(err) == codes.Canceled && a.call.settled.Load()
	for _, by := range a.call.by {
		by.EndAttempt(a.ctx, &a.Attempt, err)
	}
}

// observedStream tells of a stream's end, and of its call's, once. Nil tells nobody.
type observedStream struct {
	once     sync.Once
	attempt  *observedAttempt // nil if there are no observers
	finished func(error)      // nil if there is no grpc.OnFinish
}

// end is called with the reader's error, nil at the regular end, or when the stream's
// context has ended.
func (s *observedStream) end(from *attempt.Attempt, err error) {
	if s == nil {
		return
	}
	s.once.Do(func() {
		if s.attempt != nil {
			s.attempt.end(from, err)
			s.attempt.call.end(err)
		}
		if s.finished != nil {
			s.finished(err)
		}
	})
}
