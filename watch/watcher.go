package watch

import (
	"context"
	"fmt"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/internal/ctxerr"
	"github.com/getcd/getcd/kv"
)

// phase is where a watcher stands in its lane.
type phase uint8

const (
	// waiting for a stream to be created on.
	waiting phase = iota
	// creating: asked for, not answered.
	creating
	// active on its lane's stream.
	active
	// riding on its group's carrier, and in no lane.
	riding
	// paused: taken off the stream because its buffer is full.
	paused
	// unverified: off the stream until the cluster's identity is verified.
	unverified
	// ended for good.
	ended
)

// watcher is one watch. Its buffer stands between the machine, which fills it
// and never waits, and the consumer, which may be slow.
type watcher struct {
	m     *manager
	ctx   context.Context //nolint:containedctx // the watch's lifecycle
	op    kv.Op
	out   chan WatchResponse // Watch's channel, of capacity 1; nil for an iterator
	ready chan struct{}      // capacity 1: there is something for an iterator
	made  chan struct{}      // closed when the server has made it, or it has ended
	stop  func() bool        // of the context's AfterFunc

	// Owned by the machine.
	lane     *lane
	index    int // in lane.watchers, or in group.riders
	share    *share
	group    *group // that it rides in, or carries
	late     bool   // riding, with a full buffer
	current  bool   // active, and known not to be replaying history
	phase    phase
	id       int64 // on the stream, while active
	next     int64 // the first revision not taken into the buffer; 0 before the creation of a watch from now
	start    int64 // next, when its creation on the stream was asked for
	partial  []*Event
	pieces   int   // bytes in partial
	rest     batch // has come, and waits for room in the buffer: the stream is held
	seen     identity
	cleared  *stream   // on which the identity was verified
	known    bool      // made is closed
	told     bool      // that it was created
	refusals int       // of tokens, in a row
	since    int64     // the revision that its creation on the stream has told
	asked    int64     // progress requests sent on the stream before its creation
	tooLarge int       // responses, in a row, that came when it was alone on its stream
	strays   int       // cancellations, in a row, for compactions below next
	broken   int       // streams, in a row, that were broken by what was sent for it
	off      time.Time // since when it is not active

	mu         sync.Mutex // guards what follows; a leaf
	queue      []queued
	handed     time.Time // when out was given its response
	events     int       // in queue
	bytes      int       // in queue
	overflowed bool      // the machine has paused the watcher, or is about to
	pumping    bool      // a goroutine moves queue to out
	err        error
}

// queued is a response that waits for the consumer.
type queued struct {
	resp  WatchResponse
	bytes int       // of its events
	at    time.Time // since when
}

func newWatcher(ctx context.Context, m *manager, op kv.Op, out chan WatchResponse) *watcher {
	return &watcher{
		m: m, ctx: ctx, op: op, out: out, next: op.Rev(), off: time.Now(),
		ready: make(chan struct{}, 1), made: make(chan struct{}),
	}
}

// turn changes the phase. current is when the watch was known to have missed nothing.
func (w *watcher) turn(to phase, current time.Time) {
	if w.phase == active {
		w.off = current
	}
	w.phase = to
}

// release lets whoever waits for the watch's creation go on.
func (w *watcher) release() {
	if !w.known {
		w.known = true
		close(w.made)
	}
}

// fragments reports whether the server is to fragment responses. It is always wanted,
// since that keeps messages below gRPC's limits, unless the user has a say in it.
func (w *watcher) fragments() bool { return w.op.IsFragment() || !w.m.cfg.whole }

// request is the creation of the watch where it has to continue.
func (w *watcher) request() *pb.WatchCreateRequest {
	r := &pb.WatchCreateRequest{
		Key:            w.op.KeyBytes(),
		RangeEnd:       w.op.RangeBytes(),
		StartRevision:  w.next,
		ProgressNotify: w.op.IsProgressNotify(),
		PrevKv:         w.op.IsPrevKV(),
		Fragment:       w.fragments(),
	}
	if w.op.IsFilterPut() {
		r.Filters = append(r.Filters, pb.WatchCreateRequest_NOPUT)
	}
	if w.op.IsFilterDelete() {
		r.Filters = append(r.Filters, pb.WatchCreateRequest_NODELETE)
	}
	return r
}

// push takes as many whole revisions of a batch as the buffer has room for, at
// least one when it is empty, and returns how many events that were: all or none
// WithResponses. When it is not all, a cmdDrained will follow.
func (w *watcher) push(b batch) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return len(b.events)
	}
	n, all := w.fitLocked(&b), len(b.events)
	if n > 0 {
		if n < all {
			b = newBatch(b.header, b.events[:n:n])
		}
		if w.group != nil && w.m.cfg.own {
			b = b.own()
		}
		w.putLocked(WatchResponse{Header: b.header, Events: b.events}, b.bytes, n == all)
	}
	w.overflowed = n < all
	return n
}

// notify takes a response without events. One of progress replaces another that
// was not consumed yet, so that they don't add up.
func (w *watcher) notify(resp WatchResponse) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return
	}
	if n := len(w.queue); n > 0 && resp.IsProgressNotify() && w.queue[n-1].resp.IsProgressNotify() {
		w.queue[n-1].resp = resp
		return
	}
	w.putLocked(resp, 0, true)
}

// fitLocked returns how many events of a batch there is room for.
func (w *watcher) fitLocked(b *batch) (n int) {
	events, bytes := b.events, 0
	if w.events+len(events) <= w.m.cfg.maxEvents && w.bytes+b.bytes <= w.m.cfg.maxBytes {
		return len(events)
	}
	for n < len(events) {
		end, size := n, 0
		for rev := events[n].Kv.ModRevision; end < len(events) && (w.m.cfg.whole || events[end].Kv.ModRevision == rev); end++ {
			size += sizeOf(events[end])
		}
		if (w.events+n > 0) && (w.events+end > w.m.cfg.maxEvents || w.bytes+bytes+size > w.m.cfg.maxBytes) {
			break
		}
		n, bytes = end, bytes+size
	}
	return n
}

func sizeOf(e *Event) int {
	return len(e.Kv.Key) + len(e.Kv.Value) + len(e.PrevKv.GetKey()) + len(e.PrevKv.GetValue())
}

// putLocked queues a response. An idle channel takes it at once, unless it has
// to be seen when it is consumed; one that is full gets a goroutine until the
// queue is empty, so that only a watch whose consumer is behind has one.
func (w *watcher) putLocked(resp WatchResponse, bytes int, direct bool) {
	if w.out != nil && direct && !w.pumping {
		select {
		case w.out <- resp:
			w.handed = time.Now()
			return
		default:
		}
	}
	w.queue = append(w.queue, queued{resp, bytes, time.Now()})
	w.events += len(resp.Events)
	w.bytes += bytes
	w.wakeLocked()
}

func (w *watcher) wakeLocked() {
	if w.out == nil {
		signal(w.ready)
		return
	}
	if !w.pumping {
		w.pumping = true
		w.m.wg.Go(w.pump)
	}
}

// finish ends the watch. What is queued still goes to the consumer, unless it
// is to be dropped, as it is when the context has ended or Close was called.
func (w *watcher) finish(cause error, drop bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return
	}
	w.err = cause
	if drop {
		w.queue = nil
	}
	if w.out == nil {
		signal(w.ready)
		return
	}
	if w.pumping {
		return // the pump does the rest
	}
	resp, told := w.m.cfg.last(cause)
	if told {
		select {
		case w.out <- resp:
			close(w.out)
			return
		default:
		}
	}
	if drop || !told {
		close(w.out)
		return
	}
	w.pumping = true
	w.m.wg.Go(w.pump)
}

// pop takes the next response, or says that there is none, in which case the
// pump has to end. final tells that there will be no other.
func (w *watcher) pop() (resp WatchResponse, ok, final bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) == 0 {
		if w.err != nil {
			return last(w.err), true, true
		}
		w.pumping = false
		return WatchResponse{}, false, false
	}
	first := w.queue[0]
	resp = first.resp
	w.queue[0] = queued{}
	if w.queue = w.queue[1:]; len(w.queue) == 0 {
		w.queue = nil
	}
	w.events -= len(resp.Events)
	w.bytes -= first.bytes
	if w.overflowed && w.events <= w.m.cfg.maxEvents/2 && w.bytes <= w.m.cfg.maxBytes/2 {
		w.overflowed = false
		_ = w.m.post(command{kind: cmdDrained, w: w}) // closed: the watch ends anyway
	}
	return resp, true, false
}

// pump moves the queue to the channel. It ends when the queue is empty, or with
// the watch, whose last response it sends.
func (w *watcher) pump() {
	for {
		resp, ok, final := w.pop()
		if !ok {
			return
		}
		if final {
			var told bool
			if resp, told = w.m.cfg.last(resp.err); !told {
				close(w.out)
				return
			}
		}
		select {
		case w.out <- resp:
			if final {
				close(w.out)
				return
			}
			w.handOver()
		case <-w.ctx.Done():
			w.abandon(contextCause(w.ctx))
			return
		case <-w.m.closing:
			w.abandon(ErrClosed)
			return
		}
	}
}

// handOver takes note of when the pump has filled the channel.
func (w *watcher) handOver() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.handed = time.Now()
}

// abandon is the pump's end when nobody may be left to receive. The pump stays
// noted as running, so that nothing is sent any more.
func (w *watcher) abandon(cause error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = cause
	}
	w.queue = nil
	if resp, told := w.m.cfg.last(w.err); told {
		select {
		case w.out <- resp:
		default: // the consumer is behind; it sees the channel close
		}
	}
	close(w.out)
}

// receive is the iterator's side: it waits for the next response, or the cause.
func (w *watcher) receive() (WatchResponse, error) {
	for {
		resp, ok, final := w.pop()
		switch {
		case final:
			return WatchResponse{}, resp.err
		case ok:
			return resp, nil
		}
		select {
		case <-w.ready:
		case <-w.ctx.Done():
			return WatchResponse{}, contextCause(w.ctx)
		}
	}
}

func contextCause(ctx context.Context) error { return fmt.Errorf("watch: %w", ctxerr.Of(ctx)) }
