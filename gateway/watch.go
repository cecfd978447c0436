package gateway

import (
	"context"
	"errors"
	"io"
	"sync"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// watchStream is a Watch stream, with an HTTP request for each watch. It has the watch
// IDs of the whole stream; to its server each watch is the only one of its own.
type watchStream struct {
	many

	next int64 // the next ID to give out; SendMsg's

	mu      sync.Mutex
	watches map[int64]*watch // guarded by mu
}

// watch is one of a stream's.
type watch struct {
	id   int64
	req  *request      // SendMsg's
	over chan struct{} // closed when nothing more is said of it
}

// errCanceled ends a watch that its client has canceled.
var errCanceled = errors.New("gateway: the watch was canceled")

// noWatch is the ID of answers that are about no watch (clientv3.InvalidWatchID).
const noWatch = -1

// SendMsg takes creations, cancellations and progress requests.
func (s *watchStream) SendMsg(msg any) error {
	r, ok := msg.(*pb.WatchRequest)
	if !ok {
		return status.Errorf(codes.Internal, "gateway: %T is no WatchRequest", msg)
	}
	switch u := r.RequestUnion.(type) {
	case *pb.WatchRequest_CreateRequest:
		return s.create(r, u.CreateRequest)
	case *pb.WatchRequest_CancelRequest:
		return s.drop(u.CancelRequest.GetWatchId())
	case *pb.WatchRequest_ProgressRequest:
		// The requests that the watches came with have ended, so that nothing more can
		// be asked on them. An answer without a revision claims nothing.
		return s.say(&pb.WatchResponse{Header: &pb.ResponseHeader{}, WatchId: noWatch})
	}
	return status.Error(codes.InvalidArgument, "gateway: a WatchRequest with nothing in it")
}

// say gives an answer of this package's own making, in its turn.
func (s *watchStream) say(resp *pb.WatchResponse) error {
	_, err := s.begin(nil, func(r *request) error {
		s.answer(r, resp)
		return nil
	})
	return err
}

func (s *watchStream) create(msg *pb.WatchRequest, c *pb.WatchCreateRequest) error {
	w := &watch{id: c.GetWatchId(), over: make(chan struct{})}
	s.mu.Lock()
	_, taken := s.watches[w.id]
	if w.id == 0 { // as etcd does (storage/mvcc/watcher.go, Watch)
		for taken = true; taken; s.next++ {
			w.id = s.next
			_, taken = s.watches[w.id]
		}
	}
	if !taken {
		s.watches[w.id] = w
	}
	s.mu.Unlock()
	if taken { // api/v3rpc/watch.go, recvLoop
		return s.say(&pb.WatchResponse{
			Header: &pb.ResponseHeader{}, WatchId: noWatch, Created: true, Canceled: true,
			CancelReason: "mvcc: duplicate watch ID provided on the WatchStream",
		})
	}
	var err error
	if w.req, err = s.begin(msg, func(r *request) error { return s.follow(w, r) }); err != nil {
		s.forget(w) // there is nothing to cancel
	}
	return err
}

// follow carries out a creation and gives the watch's messages.
func (s *watchStream) follow(w *watch, r *request) error {
	defer close(w.over)
	defer s.forget(w)
	msgs, err := r.x.stream()
	if err != nil {
		return err
	}
	header := &pb.ResponseHeader{}
	for first := true; ; first = false {
		resp := &pb.WatchResponse{}
		switch err := msgs.next(resp); {
		case errors.Is(context.Cause(r.x.ctx), errCanceled):
			// The last one has the header of the one before: nothing is known that is newer.
			s.give(&pb.WatchResponse{Header: header, WatchId: w.id, Canceled: true})
			return nil
		case errors.Is(err, io.EOF):
			return status.Error(codes.Unavailable, "gateway: the watch's request has ended")
		case err != nil:
			return err
		}
		if h := resp.GetHeader(); h != nil {
			header = h
		}
		if !resp.Canceled || resp.WatchId >= 0 {
			resp.WatchId = w.id
		}
		if resp.Canceled {
			s.forget(w) // who reads it may use the ID again
		}
		if !first && !s.give(resp) || first && !s.answer(r, resp) {
			return nil
		}
		if resp.Canceled {
			discard(msgs.resp)
			return nil
		}
	}
}

// drop cancels a watch, once it has been created. Of those that there aren't, etcd says
// nothing. As with etcd, the ID is free at once: the end of the watch is told before the creation
// of another one with that ID.
func (s *watchStream) drop(id int64) error {
	s.mu.Lock()
	w := s.watches[id]
	delete(s.watches, id)
	s.mu.Unlock()
	if w == nil {
		return nil
	}
	previous, told := s.turn, make(chan struct{})
	s.turn = told
	s.x.conn.spawn(func() {
		select {
		case <-w.req.first:
		case <-s.x.ctx.Done():
		}
		w.req.cancel(errCanceled)
		for _, before := range []<-chan struct{}{previous, w.over} {
			select {
			case <-before:
			case <-s.x.ctx.Done():
				return
			}
		}
		close(told)
	})
	return nil
}

func (s *watchStream) forget(w *watch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.watches[w.id] == w {
		delete(s.watches, w.id)
	}
}
