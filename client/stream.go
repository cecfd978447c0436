package client

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/internal/attempt"
	"github.com/getcd/getcd/internal/etcderr"
)

// NewStream opens a stream on a member. The errors of the stream's methods are *Error, or
// io.EOF at its regular end.
func (c *Conn) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	t := try{conn: c, ctx: ctx, method: method, call: classify(method, nil, false), number: c.counters.calls.Add(1)}
	if err := checkCall(ctx, opts); err != nil {
		return nil, t.refused(err)
	}
	t.failFast = failsFast(opts, c.failFast && !flows(method))
	// The caller may have an Attempt of its own, to learn where the stream went.
	own := attempt.FromContext(ctx)
	if own != nil && own.Repeat {
		own = nil // WithIdempotentWrites, whose context serves many calls
	}
	if own != nil {
		t.avoid = own.Avoid
		if own.Enlist != nil {
			own.Enlist(&c.census)
		}
	}
	opts, t.finished = onFinish(opts)
	t.observe(true)
	s, err := t.open(desc, own, opts) //nolint:contextcheck // t has it
	if err != nil {
		t.observed.end(err)
		if t.finished != nil {
			t.finished(err)
		}
		return nil, err
	}
	return s, nil
}

// open opens the stream, on one member after another.
func (t *try) open(desc *grpc.StreamDesc, own *attempt.Attempt, opts []grpc.CallOption) (*stream, error) {
	for {
		cred, err := t.credential()
		if err != nil {
			return nil, t.failed(err)
		}
		ctx, told := t.observed.attempt(t.ctx, false)
		anyMember := t.call.anyMember || own != nil && own.AnyMember
		sctx, a := cred.outgoing(ctx, anyMember), own
		if a == nil {
			a = &attempt.Attempt{Avoid: t.avoid}
			sctx = attempt.NewContext(sctx, a)
		} else {
			a.Reset()
		}
		// The end of a stream proves neither a leader nor a quorum.
		a.AnyMember, a.FromMemory, a.Flow = anyMember, true, (flows(t.method) || a.Flow) && !a.Stay
		a.ToLeader = t.method == pb.Lease_LeaseKeepAlive_FullMethodName
		a.Once, a.Call, a.FailFast = t.call.class == write, t.number, t.failFast
		sctx, cancel := context.WithCancelCause(sctx)
		a.Cancel = nil
		if !a.Stay {
			a.Cancel = func() { cancel(errMoved) }
		}
		t.conn.counters.attempts.Add(1)
		s, err := t.conn.cc.NewStream(sctx, desc, t.method, opts...)
		if err == nil {
			out := newStream(sctx, cancel, s, *t, a, cred, told)
			out.single = !desc.ServerStreams
			return out, nil
		}
		err = orGivenUp(err, a)
		told.end(a, err)
		cancel(nil)
		if done, err := t.judge(err, a, cred); done {
			return nil, err
		}
		if err := t.pause(t.ctx); err != nil {
			return nil, t.failed(err)
		}
	}
}

// stream explains a stream's errors. When a server refuses its token, it gives the token up,
// so that the next stream has a new one. A stream with Attempt.Flow ends when the policy
// leaves its member, since it can be opened again on another one.
type stream struct {
	grpc.ClientStream

	try     try // makes its errors
	attempt *attempt.Attempt
	cred    *credential
	ctx     context.Context //nolint:containedctx // the stream's own, as grpc keeps it too
	cancel  context.CancelCauseFunc
	told    *observedStream
	single  bool // it ends with its first answer
}

// errMoved is why a stream with Attempt.Flow has ended by itself.
var errMoved = status.Error(codes.Unavailable, "the endpoint is stalled, or no longer used")

// newStream wraps s, whose context is ctx and ends with cancel.
func newStream(ctx context.Context, cancel context.CancelCauseFunc, s grpc.ClientStream, t try, a *attempt.Attempt, cred *credential, told *observedAttempt) *stream {
	out := &stream{ClientStream: s, try: t, attempt: a, cred: cred, ctx: ctx, cancel: cancel}
	if told != nil || t.finished != nil {
		out.told = &observedStream{attempt: told, finished: t.finished}
		ended := func() {
			err := context.Cause(ctx)
			if t.conn.closed.Load() {
				err = &Error{Op: operation(t.method), Err: ErrClosed}
			} else if _, ok := status.FromError(err); !ok {
				err = status.FromContextError(err).Err()
			}
			out.told.end(a, err)
		}
		context.AfterFunc(ctx, ended)
		context.AfterFunc(s.Context(), func() { //nolint:contextcheck // gRPC's own, which ends with the connection too
			if t.conn.closed.Load() {
				ended()
			}
		})
	}
	if a.Flow {
		stay := context.AfterFunc(a.Life(), func() { cancel(errMoved) }) //nolint:contextcheck // the connection's lifecycle
		context.AfterFunc(ctx, func() { stay() })
	}
	return out
}

func (s *stream) SendMsg(m any) error { return s.explain(s.ClientStream.SendMsg(m)) }

func (s *stream) CloseSend() error { return s.explain(s.ClientStream.CloseSend()) }

func (s *stream) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	if err == nil {
		s.attempt.Received()
		// A watch is refused by a message on its stream, and the stream goes on.
		if w, ok := m.(*pb.WatchResponse); ok && w.GetCanceled() && s.refused(w.GetCancelReason()) {
			s.try.conn.auth.reject(s.cred)
		}
		if s.single {
			s.told.end(s.attempt, nil)
			s.cancel(nil)
		}
		return nil
	}
	err = s.explain(err)
	if errors.Is(err, io.EOF) {
		s.told.end(s.attempt, nil)
	} else {
		s.told.end(s.attempt, err)
	}
	s.cancel(nil)
	return err
}

func (s *stream) explain(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	if errors.Is(context.Cause(s.ctx), errMoved) {
		err = errMoved
	}
	err = withoutBody(err)
	if etcderr.NotEtcd(err) && (!etcderr.LacksService(err) || !s.attempt.Proven()) {
		// Another endpoint may be a member, so this is no reason to give up.
		err = status.Error(codes.Unavailable, status.Convert(err).Message())
	}
	t := s.try
	t.attempts = slices.Clone(t.attempts) // SendMsg and RecvMsg may fail at the same time
	if s.refused(rpctypes.ErrorDesc(err)) {
		t.conn.auth.reject(s.cred)
	}
	if flows(t.method) && fates[rpctypes.ErrorDesc(err)] == outdated {
		// The next stream may work, as with requests.
		err = status.Error(codes.Unavailable, "users or roles have changed meanwhile: "+rpctypes.ErrorDesc(err))
	}
	settleDeadline(t.ctx, err)
	if e := s.attempt.Endpoint(); e != "" {
		t.record(s.attempt.Address(), err)
	}
	if fateOf(err, true, true) == answered {
		return t.refused(err)
	}
	switch ctxErr := t.ctx.Err(); {
	case t.conn.closed.Load():
		err = ErrClosed
	case ctxErr != nil:
		err = ctxErr
	}
	return t.failed(err)
}

// flows reports whether the method's streams can be opened again on another member at any
// time without losing anything.
func flows(method string) bool {
	return method == pb.Watch_Watch_FullMethodName || method == pb.Lease_LeaseKeepAlive_FullMethodName
}

// refused reports whether an error's text refuses the stream's token. The text may be etcd's
// alone or, as in the reason of a canceled watch, follow "rpc error: code = … desc = ".
func (s *stream) refused(text string) bool {
	if _, desc, ok := strings.Cut(text, " desc = "); ok {
		text = desc
	}
	return fates[text] == unauthenticated || fates[text] == outdated && s.cred.signed
}
