package clientv3

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/getcd/getcd/clientv3/internal/bare"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/watch"
)

// These types are package watch's; see there.
type (
	// Event is one change of a key.
	Event = watch.Event
	// WatchChan is what Watch returns.
	WatchChan = watch.WatchChan
	// WatchResponse is one response of a watch.
	WatchResponse = watch.WatchResponse
)

// Kinds of events.
const (
	EventTypeDelete = watch.EventTypeDelete
	EventTypePut    = watch.EventTypePut
)

// IDs of watches in the protocol, for programs that use it directly.
const (
	// AutoWatchID makes the server choose the ID.
	AutoWatchID = 0
	// InvalidWatchID is never the ID of a watch.
	InvalidWatchID = -1
)

// Watcher is etcd's watch service.
type Watcher interface {
	// Watch watches a key or a range until ctx ends. It returns when the server
	// has created the watch, so that the watch sees every later change, or when
	// ctx has ended. The channel closes with ctx, or after a last response with
	// Canceled set and the cause in Err. Watches whose contexts have the same
	// outgoing metadata share streams. The server receives that metadata.
	Watch(ctx context.Context, key string, opts ...OpOption) WatchChan

	// RequestProgress asks the server for a progress notification of the watches
	// whose contexts have the same metadata as ctx.
	RequestProgress(ctx context.Context) error

	// Close ends all watches.
	Close() error
}

// WithWatchBufLog is accepted but has no effect: a watch's buffer is bounded, so
// there is nothing to report.
func WithWatchBufLog() OpOption { return func(*Op) {} }

// NewWatcher returns the watch service on the client's connection. The caller
// must close it; the client does not.
func NewWatcher(c *Client) Watcher {
	if c == nil || c.native == nil {
		return newWatcher(unconnected{}, guard{})
	}
	return newWatcher(c.guard(), c.guard())
}

// NewWatchFromWatchClient returns the watch service on a generated stub. With a
// client, which may be nil, streams wait for a member as its own do.
func NewWatchFromWatchClient(wc pb.WatchClient, c *Client) Watcher {
	return newWatcher(stub{watch: wc, client: c}, guard{})
}

func newWatcher(cc grpc.ClientConnInterface, g guard) *watcher {
	return &watcher{Watcher: watch.New(cc, watch.WithOwnEvents()), cc: cc, guard: g, kinds: make(map[string]*kind)}
}

// finalError returns the error of a watch's last response. It is nil if the
// watch's context or the service has ended, since the channel then closes without
// such a response.
func finalError(err error) error {
	if r, ok := errors.AsType[refusal](err); ok {
		return r.error
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, watch.ErrClosed) {
		return nil
	}
	if u, ok := errors.AsType[*kv.UsageError](err); ok && u.Option == "WithRev" {
		return rpctypes.ErrCompacted // the server's response to a negative revision (v3rpc/watch.go)
	}
	if c, ok := errors.AsType[*watch.CanceledError](err); ok {
		return told(c)
	}
	cause := bare.Error(err)
	if large, ok := errors.AsType[*watch.TooLargeError](cause); ok && large.Err != nil {
		return bare.Error(large.Err)
	}
	return cause
}

// told returns the error of a watch that the server has refused. clientv3 takes the
// server's reason for the error's text, whatever it is. Only a text that etcd's errors
// have makes it one of them, and a refusal of authentication or of a permission is none:
// it begins with "rpc error: code = " (v3rpc/watch.go). errors.Is finds that one, too.
func told(c *watch.CanceledError) error {
	if c.Reason == "" {
		return rpctypes.ErrFutureRev
	}
	err := rpctypes.Error(errors.New(c.Reason))
	if _, ok := errors.AsType[rpctypes.EtcdError](err); ok {
		return err
	}
	return reason{c.Reason, c.Err}
}

// reason is a server's text, and what it stands for.
type reason struct {
	text  string
	cause error
}

func (r reason) Error() string { return r.text }
func (r reason) Unwrap() error { return r.cause }

// watcher keeps the watches of each kind separate. Its iterators are package
// watch's.
type watcher struct {
	watch.Watcher

	cc    grpc.ClientConnInterface
	guard guard
	wg    sync.WaitGroup // kinds that are being closed

	mu    sync.Mutex       // guards the fields below
	kinds map[string]*kind // nil: closed
}

// kind is the set of watches whose contexts have the same metadata. They share
// streams, which carry that metadata.
type kind struct {
	watch.Watcher

	contexts map[<-chan struct{}]struct{} // of its watches, by their Done, until they end
}

// errNoStream is clientv3's error for a service that is closed.
var errNoStream = errors.New("no stream found for context")

// join returns the kind of ctx, which stays until ctx ends. It returns nil if the
// service is closed.
func (w *watcher) join(ctx context.Context) *kind {
	md, key := kindOf(ctx)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.kinds == nil {
		return nil
	}
	k := w.kinds[key]
	if k == nil {
		cc := &watchConn{ClientConnInterface: w.cc, md: md, guard: w.guard}
		k = &kind{contexts: make(map[<-chan struct{}]struct{}), Watcher: watch.New(cc, watch.WithWait(), watch.WithResponses(), watch.WithOwnEvents(), watch.WithCauses(finalError), watch.WithFinal(isRefusal))}
		w.kinds[key] = k
	}
	// There may be any number of other kinds, and any number of watches with one context.
	if done := ctx.Done(); key != "" {
		if _, known := k.contexts[done]; !known {
			k.contexts[done] = struct{}{}
			context.AfterFunc(ctx, func() { w.leave(key, k, done) })
		}
	}
	return k
}

func (w *watcher) leave(key string, k *kind, ended <-chan struct{}) {
	w.mu.Lock()
	delete(k.contexts, ended)
	done := len(k.contexts) == 0 && w.kinds[key] == k
	if done {
		delete(w.kinds, key)
		w.wg.Add(1)
	}
	w.mu.Unlock()
	if done {
		_ = k.Close() // Close never fails
		w.wg.Done()
	}
}

// kindOf returns the outgoing metadata of a context, also as a string, which is
// empty if there is none.
func kindOf(ctx context.Context) (metadata.MD, string) {
	md, ok := metadata.FromOutgoingContext(ctx)
	if !ok || len(md) == 0 {
		return nil, ""
	}
	return md, fmt.Sprintf("%q", map[string][]string(md)) // MD's own String hides secrets
}

func (w *watcher) Watch(ctx context.Context, key string, opts ...OpOption) WatchChan {
	if ctx == nil {
		return w.Watcher.Watch(ctx, key, opts...) // which returns the error
	}
	var k *kind
	if ctx.Err() == nil {
		k = w.join(ctx)
	}
	if k == nil {
		closed := make(chan WatchResponse)
		close(closed)
		return closed
	}
	return k.Watch(ctx, key, append(slices.Clip(opts), firstKey)...)
}

// firstKey is the last option of each watch. The server takes an empty key for the
// first one (v3rpc/watch.go), and package watch refuses it.
func firstKey(op *Op) {
	if len(op.KeyBytes()) == 0 {
		op.WithKeyBytes([]byte{0})
	}
}

func (w *watcher) RequestProgress(ctx context.Context) error {
	if ctx == nil {
		return w.Watcher.RequestProgress(ctx) // which returns the error
	}
	_, key := kindOf(ctx)
	w.mu.Lock()
	k, closed := w.kinds[key], w.kinds == nil
	w.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case closed:
		return errNoStream
	case k == nil:
		return nil // there is no watch to notify
	}
	err := k.RequestProgress(ctx)
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, watch.ErrClosed) {
		return nil // clientv3 does not know such servers; its last watch has just ended
	}
	return err
}

func (w *watcher) Close() error {
	w.mu.Lock()
	kinds := w.kinds
	w.kinds = nil
	w.mu.Unlock()
	for _, k := range kinds {
		_ = k.Close() // Close never fails
	}
	_ = w.Watcher.Close() // likewise
	w.wg.Wait()
	return nil
}
