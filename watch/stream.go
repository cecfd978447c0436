package watch

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/internal/attempt"
)

var (
	errSilent = errors.New("watch: the server left the stream's requests unanswered")
	errEnded  = errors.New("watch: the server ended the stream")
)

// stream is one Watch stream. It has two goroutines: one receives and hands over
// to the machine, one sends what the machine has left in the outbox and is the
// only one that may block in Send, when the member no longer reads.
type stream struct {
	lane    *lane
	ctx     context.Context //nolint:containedctx // the stream's lifecycle
	cancel  context.CancelFunc
	attempt *attempt.Attempt
	wake    chan struct{} // capacity 1: the outbox has something
	more    chan struct{} // capacity 1: the next message may be read; nil if there is no need to ask

	// Owned by the machine.
	opened   bool
	since    time.Time // opened
	held     time.Time // when reading was stopped last
	released time.Time // when it was gone on with
	heard    time.Time // when it last said something, or began to be waited for
	arriving time.Time // since when bytes are waited for that may be a message's
	term     uint64    // of its member's first announcement; 0 if that proves none
	names    names
	queue    []*watcher // that wait for their turn to be created
	creating []request  // under way, in the order of sending
	active   map[int64]*watcher
	checking bool // the cluster's identity is being read
	progress progress

	mu     sync.Mutex // a leaf
	outbox []*pb.WatchRequest
}

// newStream makes a stream of a lane; plain leaves watch IDs to its server.
func (x *machine) newStream(l *lane, plain bool) *stream {
	st := &stream{
		lane: l, attempt: &attempt.Attempt{Avoid: l.avoid, Enlist: x.m.enlist}, wake: make(chan struct{}, 1),
		names: newNames(plain), active: make(map[int64]*watcher),
	}
	if l.alone {
		st.more = make(chan struct{}, 1)
	}
	st.ctx, st.cancel = context.WithCancel(x.ctx)
	return st
}

// waiting reports whether the server owes an answer.
func (st *stream) waiting() bool { return len(st.creating) > 0 }

// send leaves a request to the sender. The outbox is bounded by what the
// machine wants: at most a creation and a cancellation for each answer.
func (st *stream) send(r *pb.WatchRequest) {
	st.mu.Lock()
	st.outbox = append(st.outbox, r)
	st.mu.Unlock()
	signal(st.wake)
}

func (st *stream) take() []*pb.WatchRequest {
	st.mu.Lock()
	defer st.mu.Unlock()
	out := st.outbox
	st.outbox = nil
	return out
}

// tell hands a message to the machine, unless it has given up the stream.
func (st *stream) tell(x *machine, msg message) bool {
	msg.st = st
	select {
	case x.messages <- msg:
		return true
	case <-st.ctx.Done():
		return false
	}
}

// goOn waits until the next message may be read. It reports whether the stream is still
// wanted.
func (st *stream) goOn() bool {
	if st.more == nil {
		return true
	}
	select {
	case <-st.more:
		return true
	case <-st.ctx.Done():
		return false
	}
}

// serve opens the stream and sends, until the stream ends. It returns when its
// receiver has.
func (st *stream) serve(x *machine) {
	defer st.cancel()
	rpc, err := x.m.watch.Watch(attempt.NewContext(st.ctx, st.attempt), x.cfg.calls...)
	if err != nil {
		st.tell(x, message{kind: msgLost, err: err})
		return
	}
	received := make(chan struct{})
	go func() {
		defer close(received)
		defer st.cancel() // ends the sender
		if !st.tell(x, message{kind: msgOpened}) {
			return
		}
		for {
			resp, err := rpc.Recv()
			if errors.Is(err, io.EOF) {
				err = errEnded
			}
			if err != nil {
				st.tell(x, message{kind: msgLost, err: err})
				return
			}
			if !st.tell(x, message{kind: msgResponse, resp: resp}) || !st.goOn() {
				return
			}
		}
	}()
	for {
		select {
		case <-st.wake:
			for _, r := range st.take() {
				if rpc.Send(r) != nil { // the receiver gets the reason
					<-received
					return
				}
			}
		case <-st.ctx.Done():
			<-received
			return
		}
	}
}

func cancelRequest(id int64) *pb.WatchRequest {
	return &pb.WatchRequest{RequestUnion: &pb.WatchRequest_CancelRequest{
		CancelRequest: &pb.WatchCancelRequest{WatchId: id},
	}}
}
