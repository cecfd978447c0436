package namespace

import (
	"context"
	"iter"
	"slices"
	"sync"

	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/watch"
)

// NewWatcher returns the part of w that watches keys that begin with prefix. A
// channel that Watch returns has a goroutine, which ends when the watch does; the
// iterators have none. Close closes w, and waits for those goroutines.
func NewWatcher(w watch.Watcher, prefix string) watch.Watcher {
	if w == nil {
		w = watch.New(nil) // whose calls say so
	}
	return &watcher{Watcher: w, p: space(prefix), closing: make(chan struct{})}
}

type watcher struct {
	watch.Watcher // for RequestProgress
	p             space

	mu      sync.Mutex // guards closed, and the adding to pumps
	closed  bool
	closing chan struct{} // closed by Close
	pumps   sync.WaitGroup
}

// options are opts, and one that takes the finished operation into the namespace.
// One that is wrong stays as it is.
func (w *watcher) options(opts []kv.OpOption) []kv.OpOption {
	return append(slices.Clip(opts), func(op *kv.Op) { *op = w.p.op(*op) })
}

func (w *watcher) Watch(ctx context.Context, key string, opts ...kv.OpOption) watch.WatchChan {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		_ = w.Watcher.Close() // Close may not have come so far
		return w.Watcher.Watch(ctx, key, w.options(opts)...)
	}
	w.pumps.Add(1)
	w.mu.Unlock()
	// It may wait for the server (watch.WithWait); Close of what is below ends that.
	in := w.Watcher.Watch(ctx, key, w.options(opts)...)
	out := make(chan watch.WatchResponse, 1)
	go func() {
		defer w.pumps.Done()
		w.pump(ctx, in, out)
	}()
	return out
}

// pump hands on what a watch has to say. When the watch is ended by its context or
// by Close, nobody may be receiving any more: what there is no room for is dropped.
func (w *watcher) pump(ctx context.Context, in watch.WatchChan, out chan<- watch.WatchResponse) {
	defer close(out)
	for resp := range in {
		resp.Events = w.p.stripped(resp.Events)
		select {
		case out <- resp:
			continue
		default:
		}
		select {
		case out <- resp:
		case <-ctx.Done():
		case <-w.closing:
		}
	}
}

func (w *watcher) Responses(ctx context.Context, key string, opts ...kv.OpOption) iter.Seq2[watch.WatchResponse, error] {
	return func(yield func(watch.WatchResponse, error) bool) {
		for resp, err := range w.Watcher.Responses(ctx, key, w.options(opts)...) {
			resp.Events = w.p.stripped(resp.Events)
			if !yield(resp, err) {
				return
			}
		}
	}
}

func (w *watcher) Events(ctx context.Context, key string, opts ...kv.OpOption) iter.Seq2[*watch.Event, error] {
	return func(yield func(*watch.Event, error) bool) {
		for e, err := range w.Watcher.Events(ctx, key, w.options(opts)...) {
			if e != nil {
				e = w.p.strippedEvent(e)
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

func (w *watcher) Follow(ctx context.Context, key string, opts ...kv.OpOption) iter.Seq2[watch.Update, error] {
	return func(yield func(watch.Update, error) bool) {
		for u, err := range w.Watcher.Follow(ctx, key, w.options(opts)...) {
			u.Events = w.p.stripped(u.Events)
			if u.Snapshot != nil {
				w.p.stripKVs(u.Snapshot.KVs)
			}
			if !yield(u, err) {
				return
			}
		}
	}
}

func (w *watcher) Close() error {
	w.mu.Lock()
	if !w.closed {
		w.closed = true
		close(w.closing)
	}
	w.mu.Unlock()
	err := w.Watcher.Close()
	w.pumps.Wait()
	return err
}
