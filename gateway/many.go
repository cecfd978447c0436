package gateway

import (
	"context"
	"errors"
	"io"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// maxSlots is how many requests of one stream may wait for their first answers. With as
// many under way SendMsg waits, as it does when a server no longer reads.
const maxSlots = 32

// many is a stream whose requests are HTTP requests of their own, all to one endpoint.
// Their first answers are given in the order of the requests, as on one gRPC stream.
type many struct {
	x      *exchange // what all requests have in common
	cancel context.CancelCauseFunc
	out    chan proto.Message // unbuffered: a consumer that is late slows the servers down
	slots  chan struct{}      // taken by those that wait for their first answers
	turn   chan struct{}      // closed when the last request has had its first answer, or the last canceled watch its end; SendMsg's
}

func newMany(x *exchange, cancel context.CancelCauseFunc) many {
	m := many{x: x, cancel: cancel, out: make(chan proto.Message), slots: make(chan struct{}, maxSlots), turn: make(chan struct{})}
	close(m.turn)
	return m
}

// streamError is why the stream has ended, as the cause of its context.
type streamError struct{ error }

// end is the stream's error, once its context has ended.
func (m *many) end() error {
	if f, ok := errors.AsType[streamError](context.Cause(m.x.ctx)); ok {
		return f.error
	}
	return m.x.conn.ended(m.x.ctx, m.x.ctx.Err())
}

// request is one of a stream's.
type request struct {
	x        *exchange
	cancel   context.CancelCauseFunc // ends it alone
	first    chan struct{}           // closed with the first answer
	previous <-chan struct{}
}

// begin takes a request's place in the order, and has run carry it out.
func (m *many) begin(msg any, run func(*request) error) (*request, error) {
	var body []byte
	if msg != nil {
		var err error
		if body, err = encode(msg, m.x.opts.maxSend); err != nil {
			m.cancel(streamError{err})
			return nil, err
		}
	}
	select {
	case m.slots <- struct{}{}:
	case <-m.x.ctx.Done():
	}
	if m.x.ctx.Err() != nil {
		return nil, io.EOF // RecvMsg has the reason
	}
	ctx, cancel := context.WithCancelCause(m.x.ctx)
	x := m.x.conn.newExchange(ctx, m.x.route, body, m.x.opts)
	x.attempt, x.ep = m.x.attempt, m.x.ep
	r := &request{x: x, cancel: cancel, first: make(chan struct{}), previous: m.turn}
	m.turn = r.first
	if !m.x.conn.spawn(func() {
		defer cancel(nil)
		if err := run(r); err != nil && m.x.ctx.Err() == nil {
			err = x.conclude(err, nil)
			select { // in its turn: it may be about this request alone
			case <-r.previous:
				m.cancel(streamError{err})
			case <-m.x.ctx.Done():
			}
		}
	}) {
		cancel(nil)
		return nil, io.EOF
	}
	return r, nil
}

// answer gives the first answer to a request, in its turn.
func (m *many) answer(r *request, msg proto.Message) bool {
	select {
	case <-r.previous:
	case <-m.x.ctx.Done():
		return false
	}
	<-m.slots
	defer close(r.first)
	return m.give(msg)
}

// give gives a message to RecvMsg.
func (m *many) give(msg proto.Message) bool {
	if msg == nil {
		return true
	}
	select {
	case m.out <- msg:
		return true
	case <-m.x.ctx.Done():
		return false
	}
}

// RecvMsg waits for the next message of any request.
func (m *many) RecvMsg(into any) error {
	select {
	case got := <-m.out:
		proto.Reset(into.(proto.Message))
		proto.Merge(into.(proto.Message), got)
		return nil
	case <-m.x.ctx.Done():
		return m.end()
	}
}

func (m *many) Header() (metadata.MD, error) { return metadata.MD{}, nil }
func (m *many) Trailer() metadata.MD         { return nil }
func (m *many) Context() context.Context     { return m.x.ctx }

// CloseSend does nothing: what was asked for is answered, and watches go on, as over
// gRPC. The stream ends with its context.
func (m *many) CloseSend() error { return nil }

// renewals is a LeaseKeepAlive stream.
type renewals struct{ many }

func (s *renewals) SendMsg(msg any) error {
	_, err := s.begin(msg, func(r *request) error {
		msgs, err := r.x.stream()
		if err != nil {
			return err
		}
		resp := &pb.LeaseKeepAliveResponse{}
		if err := msgs.next(resp); err != nil {
			if errors.Is(err, io.EOF) {
				err = status.Error(codes.Unavailable, "gateway: the renewal was not answered")
			}
			return err
		}
		s.answer(r, resp)
		// To its end, so that the connection can be used again.
		defer time.AfterFunc(time.Second, func() { r.cancel(nil) }).Stop()
		if msgs.next(&pb.LeaseKeepAliveResponse{}) == nil { // resp is RecvMsg's by now
			discard(msgs.resp)
		}
		return nil
	})
	return err
}
