package cache

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"

	"github.com/getcd/getcd/internal/backoff"
	"github.com/getcd/getcd/internal/etcderr"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/watch"
)

// prefix is a cached prefix: what is known of its keys, and how more is learned.
type prefix struct {
	c         *Conn
	from      string
	end       []byte // of the range, as the protocol writes it
	question  *pb.TxnRequest
	comparing chan struct{} // capacity 1: taken by a comparison

	state   atomic.Pointer[state]             // nil while there is none that may be used
	header  atomic.Pointer[pb.ResponseHeader] // the last one that was seen
	used    atomic.Bool                       // a reader was answered since the last look
	asked   atomic.Int64                      // when the last confirmation came, in nanoseconds of the Conn's clock
	seen    atomic.Int64                      // the highest revision of the cluster that is known
	held    atomic.Int64                      // bytes of the records
	history atomic.Int64                      // counts the histories, of which one is not the continuation of the other
	stats   counters

	mu        sync.Mutex    // guards what follows
	next      *round        // that waits to be sent
	asking    bool          // a goroutine sends rounds
	moved     chan struct{} // closed when the state changes; nil if nobody waits for that
	listeners map[chan struct{}]struct{}
	restart   context.CancelCauseFunc // of the present following
	broken    bool                    // it has been ended
	mute      int                     // rounds in a row that have asked for progress in vain
	lastAsk   time.Time               // for progress
	why       error                   // there is no state

	// The follower's alone:
	edit    editor
	window  []event
	bytes   int     // of the window
	loading *editor // a snapshot's, of which some parts are in
	loaded  int64   // bytes of these
}

// waiting returns a channel that is closed when the state has changed. To miss nothing, the
// caller looks at the state after that.
func (p *prefix) waiting() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.moved == nil {
		p.moved = make(chan struct{})
	}
	return p.moved
}

// publish makes st what readers see, unless the following has been ended that it is from.
func (p *prefix) publish(st *state) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.broken {
		p.storeLocked(st, nil)
	}
}

// withdraw leaves readers with nothing.
func (p *prefix) withdraw(why error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.storeLocked(nil, why)
}

func (p *prefix) storeLocked(st *state, why error) {
	p.state.Store(st)
	p.why = why
	if p.moved != nil {
		close(p.moved)
		p.moved = nil
	}
	for ch := range p.listeners {
		signal(ch)
	}
}

// listen has ch signaled whenever the state changes, until unlisten.
func (p *prefix) listen(ch chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listeners == nil {
		p.listeners = make(map[chan struct{}]struct{})
	}
	p.listeners[ch] = struct{}{}
}

func (p *prefix) unlisten(ch chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.listeners, ch)
}

// Why a prefix is followed anew.
var (
	errDenied   = errors.New("cache: the user may not read the prefix any more")
	errHistory  = errors.New("cache: the cluster's history is another one")
	errNotReady = errors.New("cache: the first snapshot is not complete")
)

// run follows the prefix until the Conn is closed. What the watch can't mend by itself may be
// mended by somebody: a permission that comes back, say.
func (p *prefix) run(ctx context.Context) {
	pause := backoff.Exponential{First: 100 * time.Millisecond, Max: 5 * time.Second}
	for try := 0; ; try++ {
		began := time.Now()
		err := p.follow(ctx)
		if ctx.Err() != nil {
			p.withdraw(errClosed)
			return
		}
		p.edit, p.loading = editor{gen: p.edit.gen + 1}, nil
		p.stats.resyncs.Add(1)
		p.held.Store(0)
		p.withdraw(err)
		if time.Since(began) > pause.Max {
			try = 0
		}
		backoff.Sleep(ctx, pause.Pause(try))
	}
}

// follow applies the history until it ends, and returns why.
func (p *prefix) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	p.mu.Lock()
	p.restart, p.broken = cancel, false
	p.mu.Unlock()
	for u, err := range p.c.watcher.Follow(ctx, p.from, kv.WithPrefix()) {
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		if err != nil {
			return err
		}
		p.apply(u)
	}
	return context.Cause(ctx)
}

// again ends the present following, and what is known with it. A new one begins.
func (p *prefix) again(why error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if errors.Is(why, errHistory) {
		p.history.Add(1)
	}
	p.storeLocked(nil, why)
	p.broken = true
	if p.restart != nil {
		p.restart(why)
	}
}

func (p *prefix) apply(u watch.Update) {
	if u.Snapshot != nil {
		p.load(u.Snapshot)
		return
	}
	for _, e := range u.Events {
		p.change(e)
	}
	p.commit(u.Revision)
}

// load takes a part of a snapshot.
func (p *prefix) load(s *watch.Snapshot) {
	if s.Part == 0 {
		if errors.Is(s.Cause, watch.ErrClusterChanged) || errors.Is(s.Cause, watch.ErrRevisionRegressed) {
			p.edit = editor{gen: p.edit.gen + 1} // nothing that was known is worth anything
			p.header.Store(nil)
			p.history.Add(1)
			p.withdraw(errHistory)
		}
		if s.Cause != nil {
			p.stats.resyncs.Add(1)
		}
		p.loading = &editor{gen: p.edit.gen + 1}
		p.loaded = 0
	}
	for _, kv := range s.KVs {
		rec, known := p.edit.root.get(string(kv.Key))
		if !known || parse(rec).mod != kv.ModRevision {
			rec = newRecord(kv)
		}
		p.loading.put(rec)
		p.loaded += int64(len(rec))
	}
	if s.More {
		return
	}
	p.edit, p.loading = *p.loading, nil
	p.window, p.bytes = nil, 0
	p.held.Store(p.loaded)
	p.header.Store(s.Header)
	rev := s.Header.GetRevision()
	p.seen.Store(rev)
	p.asked.Store(int64(time.Since(p.c.born))) // the snapshot was a linearizable read of all the keys
	p.edit.begin()
	p.publish(&state{rev: rev, floor: rev, root: p.edit.root})
}

// change applies an event.
func (p *prefix) change(e *watch.Event) {
	ev := event{rev: e.Kv.ModRevision, rec: newRecord(e.Kv)}
	if e.Type == watch.EventTypeDelete {
		ev.del = true
		ev.prev = p.edit.remove(string(e.Kv.Key))
	} else {
		ev.prev = p.edit.put(ev.rec)
		p.held.Add(int64(len(ev.rec)))
	}
	p.held.Add(-int64(len(ev.prev)))
	p.window = append(p.window, ev)
	p.bytes += ev.bytes()
}

func (e *event) bytes() int { return len(e.rec) + len(e.prev) }

// commit publishes the changes up to a revision, and forgets the oldest ones.
func (p *prefix) commit(rev int64) {
	old := p.state.Load()
	if old == nil {
		return
	}
	st := &state{rev: max(rev, old.rev), floor: old.floor, root: p.edit.root}
	drop := 0
	for n := len(p.window); drop < n; {
		if n-drop <= p.c.cfg.events && p.bytes <= p.c.cfg.bytes {
			break
		}
		// A revision goes as a whole.
		st.floor = p.window[drop].rev
		for drop < n && p.window[drop].rev == st.floor {
			p.bytes -= p.window[drop].bytes()
			drop++
		}
	}
	p.window = p.window[drop:] // the rest is copied, and these let go, when append needs room
	st.events = slices.Clip(p.window)
	p.edit.begin()
	p.see(st.rev)
	p.publish(st)
}

// see notes a revision of the cluster.
func (p *prefix) see(rev int64) {
	for {
		old := p.seen.Load()
		if rev <= old || p.seen.CompareAndSwap(old, rev) {
			return
		}
	}
}

// denied reports an error that says that the user may not read, or is not one any more.
func denied(err error) bool {
	if code := etcderr.Code(err); code == codes.PermissionDenied || code == codes.Unauthenticated {
		return true
	}
	err = rpctypes.Error(err)
	return errors.Is(err, rpctypes.ErrUserEmpty) || errors.Is(err, rpctypes.ErrUserNotFound) || errors.Is(err, rpctypes.ErrAuthFailed)
}
