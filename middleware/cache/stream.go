package cache

import (
	"context"
	"io"
	"slices"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/getcd/getcd/internal/attempt"
)

// NewStream implements grpc.ClientConnInterface.
func (c *Conn) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	if method != pb.Watch_Watch_FullMethodName {
		return c.cc.NewStream(ctx, desc, method, opts...)
	}
	if c.misused != nil {
		return nil, c.misused
	}
	if ctx == nil || ctx.Err() != nil || special(ctx, opts) {
		return c.cc.NewStream(ctx, desc, method, opts...)
	}
	c.begin()
	// The caller's Attempt tells the policy when the member owes an answer. Here it may be
	// owed by nobody, so the stream below has an Attempt of its own.
	own := &attempt.Attempt{}
	if outer := attempt.FromContext(ctx); outer != nil {
		own.Avoid, own.Enlist = outer.Avoid, outer.Enlist
	}
	s := &stream{
		c: c, wake: make(chan struct{}, 1), watches: make(map[int64]*watching), listening: make(map[*prefix]bool), attempt: own,
		open: func(ctx context.Context) (grpc.ClientStream, error) {
			return c.cc.NewStream(attempt.NewContext(ctx, own), desc, method, opts...)
		},
	}
	s.ctx, s.cancel = context.WithCancel(ctx)
	if !c.spawn(s.life) {
		s.cancel()
		return c.cc.NewStream(ctx, desc, method, opts...)
	}
	return s, nil
}

// stream is a Watch stream. Some of its watches are served from memory; the others are on a
// stream of the connection below, which is opened for the first of them. Its answers come as from
// one server: it keeps the IDs that are asked for, and the order of creations.
//
// What comes from memory has no buffer and no goroutine. RecvMsg looks for it, so that a slow
// receiver costs nothing, until its next change is too old to be kept: then the watch goes to the
// cluster.
type stream struct {
	c       *Conn
	ctx     context.Context //nolint:containedctx // the stream's life
	cancel  context.CancelFunc
	open    func(context.Context) (grpc.ClientStream, error)
	wake    chan struct{}    // capacity 1: RecvMsg should look again
	attempt *attempt.Attempt // of the stream below

	mu        sync.Mutex          // guards what follows
	out       []*pb.WatchResponse // to be received
	order     []*watching         // whose creation the client was not told yet, in the order of asking
	watches   map[int64]*watching // by the client's ID
	local     []*watching         // those from memory
	memory    bool                // it is the turn of what is in memory
	turn      int                 // in local: the next to be looked at
	nextID    int64
	listening map[*prefix]bool
	below     *below
	asked     int           // progress requests that wait for an answer
	upTo      int64         // what the stream below has answered; 0 when it was not asked
	ticker    *time.Timer   // for progress_notify
	err       error         // the end of the stream
	taken     chan struct{} // closed when something was taken from out; nil if nobody waits for that
}

// life ends the stream when its caller or the Conn does, and forgets it.
func (s *stream) life(closing context.Context) {
	select {
	case <-s.ctx.Done():
	case <-closing.Done():
		s.fail(errClosed)
	}
	s.mu.Lock()
	if s.ticker != nil {
		s.ticker.Stop()
	}
	listening := s.listening
	s.listening = nil
	s.mu.Unlock()
	for p := range listening {
		p.unlisten(s.wake)
	}
}

// fail ends the stream. What is in out is received before.
func (s *stream) fail(err error) {
	s.mu.Lock()
	s.failLocked(err)
	s.mu.Unlock()
}

func (s *stream) failLocked(err error) {
	if s.err == nil {
		s.err = err
	}
	s.cancel()
	signal(s.wake)
}

func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// Header implements grpc.ClientStream. A stream from memory has none.
func (s *stream) Header() (metadata.MD, error) { return metadata.MD{}, nil }

// Trailer implements grpc.ClientStream.
func (s *stream) Trailer() metadata.MD { return nil }

// Context implements grpc.ClientStream.
func (s *stream) Context() context.Context { return s.ctx }

// CloseSend implements grpc.ClientStream. The server ends a stream of watches whose client has
// nothing more to ask.
func (s *stream) CloseSend() error {
	s.fail(io.EOF)
	return nil
}

// SendMsg implements grpc.ClientStream.
func (s *stream) SendMsg(m any) error {
	r, ok := m.(*pb.WatchRequest)
	if !ok {
		return status.Errorf(codes.Internal, "cache: a watch stream takes a *WatchRequest, and not a %T", m)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil || s.ctx.Err() != nil {
		return io.EOF // RecvMsg has the reason
	}
	switch {
	case r.GetCreateRequest() != nil:
		s.createLocked(proto.Clone(r.GetCreateRequest()).(*pb.WatchCreateRequest))
	case r.GetCancelRequest() != nil:
		s.cancelLocked(r.GetCancelRequest().WatchId)
	case r.GetProgressRequest() != nil:
		s.progressLocked()
	}
	signal(s.wake)
	return nil
}

// RecvMsg implements grpc.ClientStream.
func (s *stream) RecvMsg(m any) error {
	out, ok := m.(*pb.WatchResponse)
	if !ok {
		return status.Errorf(codes.Internal, "cache: a watch stream gives a *WatchResponse, and not a %T", m)
	}
	for {
		s.mu.Lock()
		resp, err := s.nextLocked()
		s.mu.Unlock()
		switch {
		case resp != nil:
			out.Reset()
			out.Header, out.WatchId, out.Created, out.Canceled = resp.Header, resp.WatchId, resp.Created, resp.Canceled
			out.CompactRevision, out.CancelReason, out.Fragment, out.Events = resp.CompactRevision, resp.CancelReason, resp.Fragment, resp.Events
			return nil
		case err != nil:
			return err
		}
		select {
		case <-s.wake:
		case <-s.ctx.Done():
			s.mu.Lock()
			err := s.err
			s.mu.Unlock()
			if err == nil {
				return status.FromContextError(s.ctx.Err()).Err()
			}
		}
	}
}

// nextLocked is what comes next: what was answered, and what is in memory by turns.
func (s *stream) nextLocked() (*pb.WatchResponse, error) {
	if s.memory = !s.memory; s.err == nil && (s.memory || len(s.out) == 0) {
		s.pullLocked()
	}
	if len(s.out) > 0 {
		resp := s.out[0]
		s.out[0] = nil
		if s.out = s.out[1:]; len(s.out) == 0 {
			s.out = nil
		}
		if s.taken != nil {
			close(s.taken)
			s.taken = nil
		}
		return resp, nil
	}
	return nil, s.err
}

// cancelLocked ends a watch. As with etcd, its ID is free at once, and it gets no more events. The
// server ignores an ID that it does not know.
func (s *stream) cancelLocked(id int64) {
	w := s.watches[id]
	switch {
	case w == nil:
	case slices.Contains(s.order, w): // the client can't know of it, and is told so first
		delete(s.watches, id)
		w.leave = true
	default:
		s.endLocked(w)
	}
}

// endLocked ends a watch of which the client knows.
func (s *stream) endLocked(w *watching) {
	if w.state == remote {
		s.below.cancel(w)
	}
	s.dropLocked(w)
	s.out = append(s.out, &pb.WatchResponse{Header: s.headerLocked(w), WatchId: w.id, Canceled: true})
}

// dropLocked forgets a watch, whose ID another one may have by now.
func (s *stream) dropLocked(w *watching) {
	w.state = ended
	if s.watches[w.id] == w {
		delete(s.watches, w.id)
	}
	for i, o := range s.local {
		if o == w {
			s.local = append(s.local[:i], s.local[i+1:]...)
			break
		}
	}
}

// progressLocked takes a progress request. The answer is for all watches together, and none comes
// when there is no watch or, as from etcd, when one is behind.
func (s *stream) progressLocked() {
	if len(s.watches) == 0 || s.below.catches() {
		return
	}
	s.asked++
	s.upTo = 0
	if s.below != nil && s.below.asks() {
		s.below.askProgress()
	}
	for p := range s.listening {
		if p.mayAsk() {
			_ = p.c.watcher.RequestProgress(s.ctx) // the next answer is the better for it
		}
	}
}

// createdLocked tells the client of creations, in the order of asking.
func (s *stream) createdLocked() {
	for len(s.order) > 0 && s.order[0].created != nil {
		w := s.order[0]
		s.order[0] = nil
		s.order = s.order[1:]
		s.out = append(s.out, w.created)
		w.created = nil
		if w.state == local {
			s.local = append(s.local, w)
		}
		if w.leave && w.state != ended {
			s.endLocked(w)
		}
	}
	if len(s.order) == 0 {
		s.order = nil
	}
}

// special reports whether a call needs an RPC of its own.
func special(ctx context.Context, opts []grpc.CallOption) bool {
	for _, o := range opts {
		switch o.(type) {
		case grpc.StaticMethodCallOption, grpc.EmptyCallOption, grpc.FailFastCallOption, grpc.MaxRecvMsgSizeCallOption,
			grpc.MaxSendMsgSizeCallOption, grpc.CompressorCallOption, grpc.MaxRetryRPCBufferSizeCallOption:
		default:
			return true
		}
	}
	md, _ := metadata.FromOutgoingContext(ctx)
	for name := range md {
		if name != "hasleader" && name != "client-api-version" { // rpctypes/md.go
			return true
		}
	}
	return false
}
