package clientv3

import (
	"context"
	"errors"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/clientv3/internal/bare"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/watch"
)

// What follows is package watch's; see there.
type (
	// Event is one change of a key.
	Event = watch.Event
	// WatchChan is what Watch returns.
	WatchChan = watch.WatchChan
	// WatchResponse is what a watch has to say.
	WatchResponse = watch.WatchResponse
)

// Kinds of events.
const (
	EventTypeDelete = watch.EventTypeDelete
	EventTypePut    = watch.EventTypePut
)

// IDs of watches in the protocol, for programs that speak it.
const (
	// AutoWatchID has the server choose.
	AutoWatchID = 0
	// InvalidWatchID is no watch's.
	InvalidWatchID = -1
)

// Watcher is etcd's watch service.
type Watcher interface {
	// Watch watches a key or a range until ctx ends. It returns when the server has
	// made the watch, so that each change made afterwards is seen, or when ctx has
	// ended. The channel closes with ctx, or after a last response with Canceled set
	// and the cause in Err.
	Watch(ctx context.Context, key string, opts ...OpOption) WatchChan

	// RequestProgress asks the server for a progress notification.
	RequestProgress(ctx context.Context) error

	// Close ends all watches.
	Close() error
}

// WithWatchBufLog is accepted, and changes nothing: a watch's buffer is bounded, so
// that there is nothing to report of it.
func WithWatchBufLog() OpOption { return func(*Op) {} }

// NewWatcher returns the watch service on the client's connection. The client does
// not close it.
func NewWatcher(c *Client) Watcher {
	if c == nil || c.native == nil {
		return newWatcher(unconnected{}, guard{})
	}
	return newWatcher(c.guard(), c.guard())
}

func newWatcher(cc grpc.ClientConnInterface, g guard) Watcher {
	return watcher{watch.New(cc, watch.WithWait(), watch.WithCauses(lastWord)), g}
}

// lastWord is what a watch's last response has to say of its end; nil for nothing,
// since the end of its context or of the service closes the channel without a word.
func lastWord(err error) error {
	if r, ok := errors.AsType[refusal](err); ok {
		return r.error
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, watch.ErrClosed) {
		return nil
	}
	if u, ok := errors.AsType[*kv.UsageError](err); ok && u.Option == "WithRev" {
		return rpctypes.ErrCompacted // the server's answer to a revision below 0 (v3rpc/watch.go)
	}
	cause := bare.Error(err)
	if c, ok := errors.AsType[*watch.CanceledError](cause); ok { // etcd has no such error
		if c.Reason == "" {
			return rpctypes.ErrFutureRev
		}
		return status.Error(codes.FailedPrecondition, c.Reason)
	}
	if large, ok := errors.AsType[*watch.TooLargeError](cause); ok {
		return bare.Error(large.Err)
	}
	return cause
}

// watcher ends a watch whose context has ended before anything is sent, and one that
// requires a leader where there is none.
type watcher struct {
	watch.Watcher

	guard guard
}

func (w watcher) Watch(ctx context.Context, key string, opts ...OpOption) WatchChan {
	if ctx.Err() != nil {
		closed := make(chan WatchResponse)
		close(closed)
		return closed
	}
	guarded, stop := w.guard.watchOver(ctx, false)
	events := w.Watcher.Watch(guarded, key, opts...) // until it is made
	if w.guard.client != nil && guarded.Err() == nil {
		w.guard.voter.Store(true) // learners watch nothing
	}
	context.AfterFunc(ctx, stop)
	return events
}

// NewWatchFromWatchClient returns the watch service on a generated stub. The client
// is not used, and may be nil.
func NewWatchFromWatchClient(wc pb.WatchClient, _ *Client) Watcher {
	return newWatcher(stub{watch: wc}, guard{})
}
