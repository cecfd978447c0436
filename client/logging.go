package client

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	// maxRecords bounds the records that wait for a slow handler. The client makes
	// a handful for each change of its connections.
	maxRecords = 1024
	// logPatience is how long Close waits for the handler.
	logPatience = time.Second
)

// handover is a slog.Handler that never calls the user's handler on the goroutine
// that logs: the policy logs under its mutex, and a handler may block, or call the
// client. Records are delivered in their order by one goroutine, which exists while
// there are any. What finds the queue full is dropped, and counted in a record of
// its own.
type handover struct {
	*recordQueue

	next slog.Handler // the user's; called by the delivery only, With apart
}

type recordQueue struct {
	root slog.Handler // gets the count of what was dropped

	mu      sync.Mutex    // leaf: nothing is called while it is held
	waiting []delivery    // guarded by mu
	dropped int           // guarded by mu: since the last of waiting
	idle    chan struct{} // guarded by mu: closed when the delivery ends; nil: none runs
	drained bool          // guarded by mu: drain was called
}

type delivery struct {
	ctx    context.Context //nolint:containedctx // handlers take values from it, such as the trace
	next   slog.Handler
	record slog.Record
}

// handOver returns a logger that hands its records to l's handler. Nil means
// silence; what handOver has returned stays as it is.
func handOver(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.New(slog.DiscardHandler)
	}
	if _, ok := l.Handler().(handover); ok || l.Handler() == slog.DiscardHandler {
		return l
	}
	return slog.New(handover{&recordQueue{root: l.Handler()}, l.Handler()})
}

// drain waits until l has delivered everything, or until the time is over. Only the
// first call waits: a later one may be the handler's.
func drain(l *slog.Logger, limit time.Duration) {
	h, ok := l.Handler().(handover)
	if !ok {
		return
	}
	h.mu.Lock()
	idle, again := h.idle, h.drained
	h.drained = true
	h.mu.Unlock()
	if idle == nil || again {
		return
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-idle:
	case <-timer.C:
	}
}

// Enabled implements slog.Handler. The user's Enabled is called with the record.
func (h handover) Enabled(context.Context, slog.Level) bool { return true }

// WithAttrs implements slog.Handler.
func (h handover) WithAttrs(attrs []slog.Attr) slog.Handler {
	return handover{h.recordQueue, h.next.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h handover) WithGroup(name string) slog.Handler {
	return handover{h.recordQueue, h.next.WithGroup(name)}
}

// Handle implements slog.Handler. It never blocks.
func (h handover) Handle(ctx context.Context, r slog.Record) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.waiting) >= maxRecords {
		h.dropped++
		return nil
	}
	if h.dropped > 0 {
		h.waiting = append(h.waiting, h.lossLocked())
	}
	h.waiting = append(h.waiting, delivery{ctx, h.next, r.Clone()})
	if h.idle == nil {
		h.idle = make(chan struct{})
		go h.deliver()
	}
	return nil
}

// lossLocked is the record of what was dropped.
func (q *recordQueue) lossLocked() delivery {
	r := slog.NewRecord(time.Now(), slog.LevelWarn, "etcd: log records dropped", 0)
	r.Add("records", q.dropped)
	q.dropped = 0
	return delivery{context.Background(), q.root, r}
}

func (q *recordQueue) deliver() {
	defer func() { // a handler may end the goroutine: runtime.Goexit
		q.mu.Lock()
		defer q.mu.Unlock()
		close(q.idle)
		q.idle = nil
		if len(q.waiting) > 0 {
			q.idle = make(chan struct{})
			go q.deliver()
		}
	}()
	for d, ok := q.take(); ok; d, ok = q.take() {
		if d.next.Enabled(d.ctx, d.record.Level) {
			_ = d.next.Handle(d.ctx, d.record) // slog.Logger drops its error, too
		}
	}
}

func (q *recordQueue) take() (delivery, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 && q.dropped > 0 {
		return q.lossLocked(), true
	}
	if len(q.waiting) == 0 {
		q.waiting = nil
		return delivery{}, false
	}
	d := q.waiting[0]
	q.waiting[0] = delivery{}
	q.waiting = q.waiting[1:]
	return d, true
}
