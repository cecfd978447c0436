package lease

import (
	"context"
	"errors"
	"io"
	"slices"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/internal/attempt"
	"github.com/getcd/getcd/internal/clock"
	"github.com/getcd/getcd/internal/etcderr"
)

// sendBatch is how many renewals a sender takes at a time. They are stamped
// together, before the first is sent: that errs to the safe side.
const sendBatch = 64

// pending is a renewal that was sent and not answered. A stream has at most one
// per lease, so the server's next answer for that lease belongs to it.
type pending struct {
	e     *entry
	at    time.Time // when it was sent
	order uint64    // on its stream
	// stale has the orders of the earlier renewals of the same lease, by keepers that were closed
	// meanwhile, whose answers are still to come: counting them from the later sending would prove
	// too much.
	stale []uint64
}

// oldest is the order of the first renewal of the lease that is not answered.
func (p *pending) oldest() uint64 {
	if len(p.stale) > 0 {
		return p.stale[0]
	}
	return p.order
}

// stream is one LeaseKeepAlive stream.
type stream struct {
	lane   *lane
	cancel context.CancelFunc
	wake   chan struct{} // capacity 1: lane.waiting has something

	// Guarded by manager.mu.
	endpoint string // once it is open
	sent     map[ID]pending
	orders   uint64
}

// openLocked opens the lane's stream, in the background.
func (m *manager) openLocked(ctx context.Context, l *lane) {
	ctx, cancel := context.WithCancel(ctx)
	st := &stream{lane: l, cancel: cancel, wake: make(chan struct{}, 1), sent: make(map[ID]pending)}
	signal(st.wake)
	l.open(st)
	a := &attempt.Attempt{Avoid: l.avoid, Enlist: m.enlist}
	m.wg.Go(func() {
		defer cancel()
		m.serve(attempt.NewContext(ctx, a), st, a)
	})
}

// serve opens the stream and sends what the lane wants sent, until the stream is
// canceled or fails. It returns when its receiver has.
func (m *manager) serve(ctx context.Context, st *stream, a *attempt.Attempt) {
	rpc, err := m.rpc.LeaseKeepAlive(ctx, m.opts...)
	if err != nil {
		if ctx.Err() == nil && etcderr.Closed(err) {
			m.unplugged(st.lane, err)
		}
		m.lost(st, a.Endpoint(), err)
		return
	}
	m.mu.Lock()
	st.endpoint = a.Endpoint()
	m.mu.Unlock()

	received := make(chan struct{})
	go func() {
		defer close(received)
		defer st.cancel()
		for {
			resp, err := rpc.Recv()
			if err != nil {
				m.lost(st, st.endpoint, err)
				return
			}
			// The deadline depends on when the renewal was sent, and not on this.
			m.answered(st, resp, clock.Recent())
		}
	}()
	m.send(ctx, st, rpc, a)
	// A stream ends for its receiver when its context does, or when the server
	// or the connection ends it; in the latter case the reason is there.
	<-received
}

// send is the sender of a stream. It alone may block in Send, when the member no
// longer reads.
func (m *manager) send(ctx context.Context, st *stream, rpc grpc.BidiStreamingClient[pb.LeaseKeepAliveRequest, pb.LeaseKeepAliveResponse], a *attempt.Attempt) {
	var batch [sendBatch]ID
	for {
		select {
		case <-ctx.Done():
			return
		case <-st.wake:
		}
		for n := m.take(st, batch[:]); n > 0; n = m.take(st, batch[:]) {
			for _, id := range batch[:n] {
				err := rpc.Send(&pb.LeaseKeepAliveRequest{ID: int64(id)})
				if err == nil {
					continue
				}
				if !errors.Is(err, io.EOF) { // EOF: the receiver gets the reason
					m.lost(st, st.endpoint, err)
					st.cancel()
				}
				return
			}
			a.Expect() // what becomes of it counts for all that is on the connection
		}
	}
}

// take moves waiting renewals to the stream and stamps them with the time. It
// returns how many.
func (m *manager) take(st *stream, batch []ID) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := st.lane
	if l.current != st {
		return 0
	}
	now := clock.Now()
	n := 0
	for n < len(batch) {
		e := l.next()
		if e == nil {
			break
		}
		p := pending{e: e, at: now, order: st.orders}
		if old, ok := st.sent[e.id]; ok {
			p.stale = append(old.stale, old.order)
		}
		st.orders++
		st.sent[e.id] = p
		batch[n] = e.id
		n++
	}
	return n
}

// lost takes note that a stream has ended.
func (m *manager) lost(st *stream, endpoint string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := st.lane
	if l.current != st {
		l.forget(st)
		return
	}
	if errors.Is(err, io.EOF) {
		err = errors.New("the server ended the keep-alive stream")
	}
	l.failed(endpoint, err)
	if denied(err) {
		m.deniedLocked(st, err)
		if len(l.due) == 0 {
			return
		}
	}
	if l.refusals >= manyRefusals {
		m.endUnprovenLocked(l, err)
		if len(l.due) == 0 {
			return
		}
	}
	l.retreat(clock.Now())
	signal(m.wake)
}

// unplugged ends the keepers of a lane that wait for a first answer, when the connection has been
// closed: no stream will be opened any more.
func (m *manager) unplugged(l *lane, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.endUnprovenLocked(l, err)
}

// endUnprovenLocked ends the keepers of a lane that wait for a first answer. Other leases are
// proven until their deadlines.
func (m *manager) endUnprovenLocked(l *lane, err error) {
	for _, a := range slices.Clone(l.due) {
		if a.e.deadline.IsZero() {
			m.finishLocked(a.e, err)
		}
	}
}

// deniedLocked ends the lease whose renewal the server refused. It answers in
// order and ends the stream with the refusal, so that is the one unanswered for
// longest; the others of the stream must not suffer for it again and again.
func (m *manager) deniedLocked(st *stream, err error) {
	var oldest *pending
	for _, p := range st.sent {
		if oldest == nil || p.oldest() < oldest.oldest() {
			oldest = &p
		}
	}
	if oldest != nil {
		m.finishLocked(oldest.e, err)
	}
}
