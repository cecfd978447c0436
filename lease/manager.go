package lease

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/internal/census"
	"github.com/getcd/getcd/internal/clock"
	"github.com/getcd/getcd/internal/ctxerr"
)

// idle is how long the manager sleeps when nothing is due.
const idle = time.Hour

// entry is the renewal schedule of one lease, shared by its keepers. Its fields
// are guarded by manager.mu.
type entry struct {
	id      ID
	lane    *lane
	keepers []*Keeper
	sinks   []chan<- *KeepAliveResponse // the keepers'
	first   chan struct{}               // closed by the first acknowledged renewal; nil after it
	ended   bool

	ttl      time.Duration // zero before the first acknowledged renewal
	deadline time.Time     // zero before the first acknowledged renewal
	acked    time.Time     // when the renewal was sent that ttl and deadline are from
	chance   float32       // from 0 to 1: how much earlier than it has to the next renewal is due
	next     time.Time     // when the next renewal is due, unless one is pending
	pending  bool          // a renewal waits to be sent, or for its answer
	again    bool          // it was sent again since the last answer

	index int // in lane.due
}

// manager renews all leases of one service. One goroutine, run, owns the clock
// and opens the streams; each stream has a sender and a receiver. They meet
// under mu, under which nothing blocks.
type manager struct {
	rpc  pb.LeaseClient
	opts []grpc.CallOption
	wake chan struct{}  // capacity 1: there is something for run to look at
	wg   sync.WaitGroup // run, the streams, the callbacks of contexts

	mu      sync.Mutex
	closed  bool
	running bool
	entries map[ID]*entry
	lanes   []*lane
	asleep  time.Time      // until when run sleeps; zero while it does not
	census  *census.Census // that the leases count in; nil while no stream was opened on a client
}

func newManager(rpc pb.LeaseClient, opts []grpc.CallOption) *manager {
	return &manager{
		rpc:     rpc,
		opts:    opts,
		wake:    make(chan struct{}, 1),
		entries: make(map[ID]*entry),
	}
}

// add starts a keeper. The channel closes with the lease's first acknowledged renewal; it
// is nil when that has been.
func (m *manager) add(ctx context.Context, id ID, sink chan *KeepAliveResponse) (*Keeper, <-chan struct{}, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, nil, ErrClosed
	}
	now := clock.Now()
	e := m.entries[id]
	if e != nil && m.expireLocked(e, now) {
		e = nil
	}
	switch {
	case e == nil:
		e = &entry{id: id, first: make(chan struct{})}
		e.lane = m.laneLocked()
		e.lane.join(e, now)
		m.entries[id] = e
		e.lane.hand(e, now)
		e.lane.rouse()
		if !m.running {
			m.running = true
			m.wg.Go(m.run)
		}
		signal(m.wake)
	case sink != nil && !e.pending:
		// Who receives from it waits for a first answer, and the next renewal may be minutes away.
		e.lane.hand(e, now)
		e.lane.rouse()
		signal(m.wake)
	}
	k := &Keeper{m: m, e: e, done: make(chan struct{}), sink: sink}
	e.keepers = append(e.keepers, k)
	if sink != nil {
		e.sinks = append(e.sinks, sink)
	}
	m.wg.Add(1)
	k.stop = context.AfterFunc(ctx, func() {
		defer m.wg.Done()
		m.release(k, m.contextCause(ctx, k))
	})
	return k, e.first, nil
}

func (m *manager) contextCause(ctx context.Context, k *Keeper) error {
	err := fmt.Errorf("lease %016x: no longer kept: %w", uint64(k.e.id), ctxerr.Of(ctx))
	m.mu.Lock()
	defer m.mu.Unlock()
	if k.e.ttl == 0 {
		return because(err, k.e.lane.last)
	}
	return err
}

// release ends one keeper, and the renewals with the last one.
func (m *manager) release(k *Keeper, cause error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if k.err != nil {
		return
	}
	k.endLocked(cause)
	if k.sink != nil {
		k.e.sinks = slices.DeleteFunc(k.e.sinks, func(o chan<- *KeepAliveResponse) bool { return o == k.sink })
	}
	k.e.keepers = slices.DeleteFunc(k.e.keepers, func(o *Keeper) bool { return o == k })
	if len(k.e.keepers) == 0 {
		m.finishLocked(k.e, cause)
	}
}

// drop ends all keepers of a lease.
func (m *manager) drop(id ID, cause error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e := m.entries[id]; e != nil {
		m.finishLocked(e, cause)
	}
}

func (m *manager) close() {
	m.mu.Lock()
	m.closed = true
	for _, e := range m.entries {
		m.finishLocked(e, ErrClosed)
	}
	m.mu.Unlock()
	m.wg.Wait()
}

// finishLocked ends all keepers of a lease and forgets it.
func (m *manager) finishLocked(e *entry, cause error) {
	if e.ended {
		return
	}
	e.ended = true
	if m.census != nil && (errors.Is(cause, ErrExpired) || errors.Is(cause, rpctypes.ErrLeaseNotFound)) {
		m.census.Lost.Add(1)
	}
	for _, k := range e.keepers {
		k.endLocked(cause)
	}
	e.keepers, e.sinks = nil, nil
	e.answered()
	delete(m.entries, e.id)
	if e.lane.part(e) {
		m.dropLaneLocked(e.lane)
	}
	if len(m.entries) == 0 {
		signal(m.wake) // run ends
	}
}

// expireLocked ends the keepers of a lease that is past its deadline, and
// reports whether it has ended.
func (m *manager) expireLocked(e *entry, now time.Time) bool {
	if !e.ended && !e.deadline.IsZero() && !now.Before(e.deadline) {
		m.finishLocked(e, because(fmt.Errorf("lease %016x, TTL %v: %w", uint64(e.id), e.ttl, ErrExpired), e.lane.last))
	}
	return e.ended
}

// run is the manager's loop: it does what is due, opens the streams that are
// needed, and sleeps until the next moment that matters. It ends when no lease
// is left to keep, and the streams with it.
func (m *manager) run() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		m.mu.Lock()
		if len(m.entries) == 0 {
			m.running = false
			if m.census != nil {
				m.census.Leave(m)
				m.census = nil
			}
			m.mu.Unlock()
			return
		}
		m.asleep = time.Time{}
		next := m.tickLocked(ctx, clock.Now())
		m.asleep = next
		m.mu.Unlock()

		d := min(clock.Until(next), clock.Nap)
		if d <= 0 {
			continue
		}
		timer.Reset(d)
		select {
		case <-timer.C:
		case <-m.wake:
		}
	}
}

// tickLocked does everything that is due and returns when to look again.
func (m *manager) tickLocked(ctx context.Context, now time.Time) time.Time {
	round := slices.ContainsFunc(m.lanes, func(l *lane) bool { return l.dueAt(now) })
	next := now.Add(idle)
	for _, l := range slices.Clone(m.lanes) { // one whose last lease ends leaves them
		m.renewLocked(l, now, round)
		if len(l.due) > 0 && l.due[0].at.Before(next) {
			next = l.due[0].at
		}
		if at := m.tendLocked(ctx, l, now); !at.IsZero() && at.Before(next) {
			next = at
		}
	}
	return next
}

// answered takes note that no renewal is pending any more.
func (e *entry) answered() {
	if e.pending {
		e.pending = false
		e.lane.relieve()
	}
}

// scheduleLocked sees to it that the lease is looked at when it has to be. One that is
// looked at too early gets a later appointment then.
func (m *manager) scheduleLocked(e *entry, now time.Time) {
	at := e.appointment(now)
	if !at.Before(e.lane.due[e.index].at) {
		return
	}
	e.lane.due.move(e, at)
	if at.Before(m.asleep) {
		signal(m.wake)
	}
}

// answered takes one answer of a stream.
func (m *manager) answered(st *stream, resp *pb.LeaseKeepAliveResponse, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	st.lane.heard(st, now)
	p, ok := st.sent[ID(resp.ID)]
	if !ok {
		return // nobody asked, or nobody waits any more
	}
	if len(p.stale) > 0 {
		p.stale = p.stale[1:]
		st.sent[ID(resp.ID)] = p
		return
	}
	delete(st.sent, ID(resp.ID))
	e, l := p.e, st.lane
	l.timed(now.Sub(p.at))
	if st != l.current && len(st.sent) == 0 {
		l.cancelRetired(st)
	}
	if e.ended || m.expireLocked(e, now) {
		return
	}
	if resp.TTL <= 0 {
		m.finishLocked(e, errNotFound(e.id))
		return
	}
	// A later renewal may be answered already, on another stream: then this one says nothing new. The
	// latest counts, even if the deadline comes nearer: the TTL may be shorter than it was.
	ttl := seconds(resp.TTL)
	if deadline := p.at.Add(ttl - Margin(ttl)); !p.at.Before(e.acked) && (e.ttl != 0 || deadline.After(now)) {
		if e.first != nil {
			close(e.first)
			e.first = nil
		}
		e.ttl, e.deadline, e.acked = ttl, deadline, p.at
		l.granted(ttl)
		e.tell(resp)
	}
	if st == l.current {
		e.next = p.at.Add(interval(ttl, e.again || e.next.IsZero(), e.chance))
		e.answered()
		l.forgetRetired(e)
	}
	// Otherwise the later sending, on the current stream, is still pending.
	m.scheduleLocked(e, now)
}

// tell sends an answer to the channels of KeepAlive.
func (e *entry) tell(resp *pb.LeaseKeepAliveResponse) {
	for _, sink := range e.sinks {
		select {
		case sink <- &KeepAliveResponse{ResponseHeader: resp.Header, ID: e.id, TTL: resp.TTL}:
		default: // full: dropped, as documented
		}
	}
}

//go:noinline
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
