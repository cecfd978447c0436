package cache

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// below is the stream of the connection below, for the watches that are not served from memory.
// It has two goroutines, one that sends and one that receives. Its fields but the outbox are
// guarded by the stream's mu.
//
// The server may choose the IDs of watches, and need not answer in order, as etcd's proxy does. So
// there is one creation under way at a time, until an answer has named the cluster and the next one
// has echoed the ID that it asked for, as etcd's do: see package watch, naming.
type below struct {
	s       *stream
	named   bool // an answer has named the cluster
	echoes  bool // the server takes IDs, and answers in order
	foreign bool // it does not
	early   bool // its answers to progress requests may overtake events: see package watch, progress
	told    bool // a creation was answered
	nextID  int64

	// An answer to a progress request that was sent before a watch came here from memory may come
	// before that one's events. The requests are answered at most once each, in order.
	asked, answered int
	before          int   // requests that were sent before the last such watch's creation
	since           int64 // the revision at that

	waiting []*watching // to be created
	under   []*watching // whose creation is under way, in the order of asking
	active  map[int64]*watching
	last    *pb.ResponseHeader // of the last answer

	wake chan struct{} // capacity 1: the outbox has something

	mu     sync.Mutex // a leaf
	outbox []*pb.WatchRequest
}

func progressRequest() *pb.WatchRequest {
	return &pb.WatchRequest{RequestUnion: &pb.WatchRequest_ProgressRequest{ProgressRequest: &pb.WatchProgressRequest{}}}
}

// moveLocked has a watch served by the cluster.
func (s *stream) moveLocked(w *watching) {
	w.state = moving
	if s.below == nil {
		s.below = &below{s: s, active: make(map[int64]*watching), wake: make(chan struct{}, 1), nextID: 1<<32 + rand.Int64N(1<<32)}
		s.below.send(progressRequest()) // only an early server answers before there is a watch
		if !s.c.spawn(s.below.serve) {
			s.failLocked(errClosed)
			return
		}
	}
	s.below.waiting = append(s.below.waiting, w)
	s.below.createLocked()
}

// asks reports whether the stream below has a say in what a progress request is answered.
func (b *below) asks() bool { return len(b.active)+len(b.under)+len(b.waiting) > 0 }

// catches reports whether a watch that comes from memory is not there yet.
func (b *below) catches() bool {
	silent := func(w *watching) bool { return w.silent && w.state != ended }
	return b != nil && (slices.ContainsFunc(b.waiting, silent) || slices.ContainsFunc(b.under, silent))
}

// askProgress asks for the progress of the watches that are here.
func (b *below) askProgress() {
	b.asked++
	b.send(progressRequest())
}

// current takes an answer to a progress request, and reports whether it is of all watches that are here.
func (b *below) current(rev int64) bool {
	b.answered++
	return !b.catches() && (b.answered > b.before || rev > b.since)
}

func (b *below) lastHeader() *pb.ResponseHeader {
	if b == nil || b.last == nil {
		return nil
	}
	return &pb.ResponseHeader{ClusterId: b.last.ClusterId, MemberId: b.last.MemberId, Revision: b.last.Revision, RaftTerm: b.last.RaftTerm}
}

func (b *below) send(r *pb.WatchRequest) {
	b.mu.Lock()
	b.outbox = append(b.outbox, r)
	b.mu.Unlock()
	signal(b.wake)
}

// createLocked asks for as many watches as may be under way.
func (b *below) createLocked() {
	for len(b.waiting) > 0 && (len(b.under) == 0 || b.echoes) {
		w := b.waiting[0]
		b.waiting[0] = nil
		b.waiting = b.waiting[1:]
		if w.state == ended {
			continue
		}
		w.id2 = 0
		if b.named && !b.foreign {
			w.id2 = b.nextID
			b.nextID++
		}
		r := w.req
		r.WatchId = w.id2
		b.under = append(b.under, w)
		if w.silent {
			b.before = b.asked
		}
		b.send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: r}})
		b.s.attempt.Expect()
	}
}

// cancel ends a watch that is here. What the server has sent for it meanwhile comes to nothing.
func (b *below) cancel(w *watching) {
	delete(b.active, w.id2)
	b.sendCancel(w.id2)
}

func (b *below) sendCancel(id int64) {
	b.send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CancelRequest{CancelRequest: &pb.WatchCancelRequest{WatchId: id}}})
}

// serve opens the stream, and receives until it ends.
func (b *below) serve(context.Context) {
	s := b.s
	rpc, err := s.open(s.ctx) //nolint:contextcheck // it ends with the stream
	if err != nil {
		s.fail(err)
		return
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		b.sendAll(rpc)
	}() // which ends with the stream's context, as fail does
	for {
		resp := &pb.WatchResponse{}
		if err = rpc.RecvMsg(resp); err != nil {
			break
		}
		s.mu.Lock()
		b.receiveLocked(resp)
		s.mu.Unlock()
		if !s.room() {
			err = s.ctx.Err()
			break
		}
	}
	s.fail(err)
	<-sent
}

// room waits until the client has received what there is: it is the stream below that has to wait,
// and its server.
func (s *stream) room() bool {
	const few = 16
	for {
		s.mu.Lock()
		ready := len(s.out) < few
		taken := s.taken
		if !ready && taken == nil {
			taken = make(chan struct{})
			s.taken = taken
		}
		s.mu.Unlock()
		if ready {
			return true
		}
		select {
		case <-taken:
		case <-s.ctx.Done():
			return false
		}
	}
}

func (b *below) sendAll(rpc grpc.ClientStream) {
	for {
		select {
		case <-b.wake:
			b.mu.Lock()
			out := b.outbox
			b.outbox = nil
			b.mu.Unlock()
			for _, r := range out {
				if rpc.SendMsg(r) != nil {
					return // the receiver gets the reason
				}
			}
		case <-b.s.ctx.Done():
			return
		}
	}
}

// receiveLocked takes a message.
func (b *below) receiveLocked(resp *pb.WatchResponse) {
	s := b.s
	if resp.Header.GetClusterId() != 0 {
		b.last = resp.Header
	}
	w := b.active[resp.WatchId]
	switch {
	case resp.Created:
		b.createdLocked(resp)
	case resp.WatchId < 0: // an answer to a progress request
		if !b.told {
			b.early = true
		}
		if !b.early && b.current(resp.Header.GetRevision()) && s.asked > 0 {
			s.upTo = resp.Header.GetRevision()
		}
	case w == nil: // canceled before; the server did not know yet
	default:
		if resp.Canceled {
			delete(b.active, resp.WatchId)
			s.dropLocked(w)
		}
		resp.WatchId = w.id
		s.out = append(s.out, resp)
	}
	signal(s.wake)
}

// createdLocked takes the answer to the oldest creation.
func (b *below) createdLocked(resp *pb.WatchResponse) {
	s := b.s
	b.told = true
	refused := resp.Canceled && resp.WatchId < 0
	if len(b.under) == 0 || b.echoes && !refused && resp.WatchId != b.under[0].id2 {
		s.failLocked(status.Errorf(codes.Unavailable, "cache: the server has announced watch %d out of order", resp.WatchId))
		return
	}
	w := b.under[0]
	b.under[0] = nil
	b.under = b.under[1:]
	switch {
	case refused:
	case w.id2 != 0 && resp.WatchId == w.id2:
		b.echoes = true
	case w.id2 != 0:
		b.foreign = true
	case resp.Header.GetClusterId() != 0:
		b.named = true
	}
	switch {
	case w.state == ended: // canceled meanwhile, and the client was told
		if !resp.Canceled {
			b.sendCancel(resp.WatchId)
		}
	case resp.Canceled:
		s.dropLocked(w)
		resp.WatchId, resp.Created = w.id, false
		if !w.silent {
			resp.WatchId, resp.Created = -1, true
		}
		b.tellLocked(w, resp)
	default:
		w.id2, w.state = resp.WatchId, remote
		b.active[w.id2] = w
		if w.silent {
			b.since = resp.Header.GetRevision()
		} else {
			resp.WatchId = w.id
			b.tellLocked(w, resp)
		}
	}
	b.createLocked()
}

// tellLocked tells the client of a creation in its order, or of its end if it knows of it.
func (b *below) tellLocked(w *watching, resp *pb.WatchResponse) {
	if w.silent {
		b.s.out = append(b.s.out, resp)
		return
	}
	w.created = resp
	b.s.createdLocked()
}
