package lease

import (
	"context"
	"errors"
	"io"
	"slices"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/balancer"
)

const (
	// leasesPerLane and maxLanes: a follower forwards each renewal to the leader
	// over HTTP before it reads the next one of the same stream, so one stream
	// carries on the order of a thousand renewals a second.
	leasesPerLane = 1000
	maxLanes      = 8
	// maxRetired is how many silent streams per lane may still answer: with
	// patience as it is, no more than these can be given up before the leases
	// that wait for them have run out.
	maxRetired = 3
	// sendBatch is how many renewals a sender takes at a time. They are stamped
	// together, before the first is sent: that errs to the safe side.
	sendBatch = 64
)

// lane is a share of the leases and the stream that renews them. Its fields are
// guarded by manager.mu.
type lane struct {
	n        int      // leases
	waiting  []*entry // renewals to be sent; also those of leases that have ended
	current  *stream  // nil while none is open or opening
	retired  []*stream
	avoid    avoidance // endpoints that were silent or failed since the last answer
	failures int       // streams lost since the last answer
	reopen   time.Time // not before
	last     error     // why the last stream was lost; nil after an answer
}

// pending is a renewal that was sent and not answered. A stream has at most one
// per lease, so the server's next answer for that lease belongs to it.
type pending struct {
	e     *entry
	at    time.Time // when it was sent
	order uint64    // on its stream
	// stale counts the answers still to come to earlier renewals of the same
	// lease, by keepers that were closed meanwhile: counting them from the
	// later sending would prove too much.
	stale int
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

// avoidance collects the endpoints to avoid. When one of them was picked all
// the same, all members have had their turn, and it starts over.
type avoidance struct{ list []string }

func (a *avoidance) add(endpoint string) {
	switch {
	case endpoint == "":
	case slices.Contains(a.list, endpoint):
		a.list = []string{endpoint}
	default:
		a.list = append(slices.Clip(a.list), endpoint)
	}
}

// laneLocked chooses the lane of a new lease: the emptiest one, or a further one
// when all are full and there may be more.
func (m *manager) laneLocked() *lane {
	var best *lane
	for _, l := range m.lanes {
		if best == nil || l.n < best.n {
			best = l
		}
	}
	if best == nil || best.n >= leasesPerLane && len(m.lanes) < maxLanes {
		best = &lane{}
		m.lanes = append(m.lanes, best)
	}
	return best
}

func (m *manager) dropLaneLocked(l *lane) {
	for _, st := range l.retired {
		st.cancel()
	}
	if l.current != nil {
		l.current.cancel()
	}
	l.current, l.retired, l.waiting = nil, nil, nil
	m.lanes = slices.DeleteFunc(m.lanes, func(o *lane) bool { return o == l })
}

func (l *lane) signal() {
	if l.current != nil {
		signal(l.current.wake)
	}
}

// cancelRetired closes a stream from which nothing more is expected.
func (l *lane) cancelRetired(st *stream) {
	st.cancel()
	l.retired = slices.DeleteFunc(l.retired, func(o *stream) bool { return o == st })
}

// forgetRetired drops what silent streams owe to a lease that another stream has
// renewed since.
func (l *lane) forgetRetired(e *entry) {
	for _, st := range slices.Clone(l.retired) {
		if p, ok := st.sent[e.id]; ok && p.e == e {
			delete(st.sent, e.id)
			if len(st.sent) == 0 {
				l.cancelRetired(st)
			}
		}
	}
}

// openLocked opens the lane's stream, in the background.
func (m *manager) openLocked(ctx context.Context, l *lane) {
	ctx, cancel := context.WithCancel(ctx)
	st := &stream{lane: l, cancel: cancel, wake: make(chan struct{}, 1), sent: make(map[ID]pending)}
	signal(st.wake)
	l.current = st
	attempt := &balancer.Attempt{Avoid: l.avoid.list}
	m.wg.Go(func() {
		defer cancel()
		m.serve(balancer.NewContext(ctx, attempt), st, attempt)
	})
}

// serve opens the stream and sends what the lane wants sent, until the stream is
// cancelled or fails. It returns when its receiver has.
func (m *manager) serve(ctx context.Context, st *stream, attempt *balancer.Attempt) {
	rpc, err := m.rpc.LeaseKeepAlive(ctx, m.opts...)
	if err != nil {
		m.lost(st, attempt.Endpoint(), err)
		return
	}
	m.mu.Lock()
	st.endpoint = attempt.Endpoint()
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
			m.answered(st, resp, time.Now())
		}
	}()
	m.send(ctx, st, rpc)
	// A stream ends for its receiver when its context does, or when the server
	// or the connection ends it; in the latter case the reason is there.
	<-received
}

// send is the sender of a stream. It alone may block in Send, when the member no
// longer reads.
func (m *manager) send(ctx context.Context, st *stream, rpc grpc.BidiStreamingClient[pb.LeaseKeepAliveRequest, pb.LeaseKeepAliveResponse]) {
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
	now := time.Now()
	n, taken := 0, 0
	for _, e := range l.waiting {
		if n == len(batch) {
			break
		}
		taken++
		if e.ended {
			continue
		}
		p := pending{e: e, at: now, order: st.orders}
		if old, ok := st.sent[e.id]; ok {
			p.stale = old.stale + 1
		}
		st.orders++
		st.sent[e.id] = p
		batch[n] = e.id
		n++
	}
	l.waiting = slices.Delete(l.waiting, 0, taken)
	return n
}

// moveLocked gives up a silent stream and has another one opened, on another
// member if there is one. What the silent one still answers counts.
func (m *manager) moveLocked(l *lane, now time.Time) {
	st := l.current
	if st != nil {
		l.avoid.add(st.endpoint)
		m.requeueLocked(l, st)
		l.current = nil
		if len(st.sent) == 0 {
			st.cancel() // not even open
		} else {
			l.retired = append(l.retired, st)
		}
		if len(l.retired) > maxRetired {
			l.cancelRetired(l.retired[0])
		}
	}
	for _, e := range l.waiting {
		if !e.ended {
			e.moves++
			e.again = true
			m.pendLocked(e, now)
		}
	}
}

// lost takes note that a stream has ended.
func (m *manager) lost(st *stream, endpoint string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := st.lane
	if l.current != st {
		l.retired = slices.DeleteFunc(l.retired, func(o *stream) bool { return o == st })
		return
	}
	if errors.Is(err, io.EOF) {
		err = errors.New("the server ended the keep-alive stream")
	}
	l.last = err
	l.avoid.add(endpoint)
	if denied(err) {
		m.deniedLocked(st, err)
		if l.n == 0 {
			return
		}
	}
	m.requeueLocked(l, st)
	now := time.Now()
	for _, e := range l.waiting {
		if !e.ended {
			e.again = true
			m.pendLocked(e, now)
		}
	}
	l.current = nil
	l.reopen = now.Add(backoff(l.failures))
	l.failures++
	signal(m.wake)
}

// requeueLocked makes what is outstanding on a stream wait for the next one,
// most urgent first.
func (m *manager) requeueLocked(l *lane, st *stream) {
	for _, p := range st.sent {
		if !p.e.ended {
			l.waiting = append(l.waiting, p.e)
		}
	}
	slices.SortFunc(l.waiting, byUrgency)
}

// deniedLocked ends the lease whose renewal the server refused. It answers in
// order and ends the stream with the refusal, so that is the one unanswered for
// longest; the others of the stream must not suffer for it again and again.
func (m *manager) deniedLocked(st *stream, err error) {
	var oldest *pending
	for _, p := range st.sent {
		if oldest == nil || p.order < oldest.order {
			oldest = &p
		}
	}
	if oldest != nil {
		m.finishLocked(oldest.e, err)
	}
}
