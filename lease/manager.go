package lease

import (
	"cmp"
	"container/heap"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
)

// firstPatience is how long the first renewal, when the TTL is not known yet,
// may stay unanswered before another member is asked.
const firstPatience = time.Second

// entry is the renewal schedule of one lease, shared by its keepers. Its fields
// are guarded by manager.mu.
type entry struct {
	id      ID
	lane    *lane
	keepers []*Keeper
	first   chan struct{} // closed by the first acknowledged renewal
	ended   bool

	ttl      time.Duration // zero before the first acknowledged renewal
	deadline time.Time     // zero before the first acknowledged renewal
	next     time.Time     // when the next renewal is due, unless one is pending
	pending  bool          // a renewal waits to be sent, or for its answer
	since    time.Time     // since when it is pending on the lane's current stream
	moves    int           // how many members in a row were silent about it
	again    bool          // it was sent again since the last answer

	at    time.Time // when the manager has to look at it
	index int       // in the heap
}

// patience is how long a renewal may stay unanswered before it is sent to
// another member: a third of the TTL. When one member was silent for so long
// there is time for one more such wait and not for two, but the next member may
// be the very one whose silence the first was waiting for (a follower passes
// renewals on to the leader), so from then on it is a third of that. Without a
// TTL it grows with each try.
func patience(ttl time.Duration, moves int) time.Duration {
	switch {
	case ttl == 0:
		return firstPatience << min(moves, 5)
	case moves == 0:
		return ttl / 3
	default:
		return ttl / 9
	}
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
	due     dueHeap
	lanes   []*lane
	asleep  time.Time // until when run sleeps; zero while it does not
}

func newManager(rpc pb.LeaseClient, opts []grpc.CallOption) *manager {
	return &manager{
		rpc:     rpc,
		opts:    opts,
		wake:    make(chan struct{}, 1),
		entries: make(map[ID]*entry),
	}
}

// add starts a keeper. The channel closes with the lease's first acknowledged
// renewal, which for a lease that is kept already may have been long ago.
func (m *manager) add(ctx context.Context, id ID, sink chan *KeepAliveResponse) (*Keeper, <-chan struct{}, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, nil, ErrClosed
	}
	now := time.Now()
	e := m.entries[id]
	if e != nil && m.expireLocked(e, now) {
		e = nil
	}
	if e == nil {
		e = &entry{id: id, first: make(chan struct{})}
		e.lane = m.laneLocked()
		e.lane.n++
		m.entries[id] = e
		heap.Push(&m.due, e)
		m.dueLocked(e, now)
		if !m.running {
			m.running = true
			m.wg.Go(m.run)
		}
		signal(m.wake)
	}
	k := &Keeper{m: m, e: e, done: make(chan struct{}), sink: sink}
	e.keepers = append(e.keepers, k)
	m.wg.Add(1)
	k.stop = context.AfterFunc(ctx, func() {
		defer m.wg.Done()
		m.release(k, m.contextCause(ctx, k))
	})
	return k, e.first, nil
}

func (m *manager) contextCause(ctx context.Context, k *Keeper) error {
	err := fmt.Errorf("lease %016x: no longer kept: %w", uint64(k.e.id), ctx.Err())
	if cause := context.Cause(ctx); cause != ctx.Err() { //nolint:errorlint // identity is meant: is there a cause besides
		err = fmt.Errorf("%w: %w", err, cause)
	}
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
	for _, k := range e.keepers {
		k.endLocked(cause)
	}
	e.keepers = nil
	delete(m.entries, e.id)
	heap.Remove(&m.due, e.index)
	e.lane.n--
	if e.lane.n == 0 {
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
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		m.mu.Lock()
		if len(m.entries) == 0 {
			m.running = false
			m.mu.Unlock()
			return
		}
		m.asleep = time.Time{}
		next := m.tickLocked(ctx, time.Now())
		m.asleep = next
		m.mu.Unlock()

		d := time.Until(next)
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
	for len(m.due) > 0 && !m.due[0].at.After(now) {
		e := m.due[0]
		switch {
		case m.expireLocked(e, now):
		case e.pending:
			m.moveLocked(e.lane, now)
		default:
			m.dueLocked(e, now)
		}
	}
	next := now.Add(time.Hour)
	if len(m.due) > 0 {
		next = m.due[0].at
	}
	for _, l := range m.lanes {
		if l.current != nil || len(l.waiting) == 0 {
			continue
		}
		if l.reopen.After(now) {
			if l.reopen.Before(next) {
				next = l.reopen
			}
			continue
		}
		m.openLocked(ctx, l)
	}
	return next
}

// dueLocked hands a renewal to the lease's lane.
func (m *manager) dueLocked(e *entry, now time.Time) {
	e.pending, e.moves, e.again = true, 0, false
	e.lane.waiting = append(e.lane.waiting, e)
	m.pendLocked(e, now)
	e.lane.signal()
}

// pendLocked starts the patience with a pending renewal.
func (m *manager) pendLocked(e *entry, now time.Time) {
	e.since = now
	m.scheduleLocked(e)
}

// scheduleLocked puts the lease where it belongs in the heap.
func (m *manager) scheduleLocked(e *entry) {
	e.at = e.next
	if e.pending {
		e.at = e.since.Add(patience(e.ttl, e.moves))
	}
	if !e.deadline.IsZero() && e.deadline.Before(e.at) {
		e.at = e.deadline
	}
	heap.Fix(&m.due, e.index)
	if e.at.Before(m.asleep) {
		signal(m.wake)
	}
}

// answered takes one answer of a stream.
func (m *manager) answered(st *stream, resp *pb.LeaseKeepAliveResponse, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, ok := st.sent[ID(resp.ID)]
	if !ok {
		return // nobody asked, or nobody waits any more
	}
	if p.stale > 0 {
		p.stale--
		st.sent[ID(resp.ID)] = p
		return
	}
	delete(st.sent, ID(resp.ID))
	e, l := p.e, st.lane
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
	ttl := seconds(resp.TTL)
	if deadline := p.at.Add(ttl - Margin(ttl)); deadline.After(e.deadline) && deadline.After(now) {
		if e.ttl == 0 {
			close(e.first)
		}
		e.ttl, e.deadline = ttl, deadline
		for _, k := range e.keepers {
			if k.sink == nil {
				continue
			}
			select {
			case k.sink <- &KeepAliveResponse{ResponseHeader: resp.Header, ID: e.id, TTL: resp.TTL}:
			default: // full: dropped, as documented
			}
		}
	}
	if st != l.current {
		// It was the answer to an earlier sending, on a stream that was given up
		// for silent. The later sending is still pending, but members are slow
		// rather than dead, and more of them would not help.
		e.moves, e.since = 0, now
	} else {
		l.last, l.failures, l.avoid.list = nil, 0, nil
		e.next = p.at.Add(interval(ttl, e.again || e.next.IsZero()))
		e.pending = false
		l.forgetRetired(e)
	}
	m.scheduleLocked(e)
}

// interval is the time from one renewal to the next: a third of the TTL, a
// little less by chance, so that leases that were granted together drift apart.
// After the first renewal, and after one that was sent again, when many are in
// step, it is spread over half of it.
func interval(ttl time.Duration, inStep bool) time.Duration {
	third := ttl / 3
	spread := third / 10
	if inStep {
		spread = third / 2
	}
	return third - rand.N(spread+1)
}

// dueHeap orders the leases by when they need attention.
type dueHeap []*entry

// Len, Less, Swap, Push and Pop make it a heap.Interface.
func (h *dueHeap) Len() int           { return len(*h) }
func (h *dueHeap) Less(i, j int) bool { return (*h)[i].at.Before((*h)[j].at) }

// Swap keeps the indexes.
func (h *dueHeap) Swap(i, j int) {
	q := *h
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

// Push adds a last element.
func (h *dueHeap) Push(x any) {
	e := x.(*entry)
	e.index = len(*h)
	*h = append(*h, e)
}

// Pop removes the last element.
func (h *dueHeap) Pop() any {
	old := *h
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return e
}

func byUrgency(a, b *entry) int {
	return cmp.Or(a.deadline.Compare(b.deadline), cmp.Compare(a.id, b.id))
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
