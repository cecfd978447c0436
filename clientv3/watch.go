package clientv3

import (
	"context"
	"errors"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/client"
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
func NewWatcher(c *Client) Watcher { return newWatcher(c.conn()) }

func newWatcher(cc grpc.ClientConnInterface) Watcher {
	return watch.New(cc, watch.WithWait(), watch.WithCauses(func(err error) error {
		// The end of the context, or of the client, closes the channel without a word.
		for _, silent := range []error{context.Canceled, context.DeadlineExceeded, watch.ErrClosed, client.ErrClosed} {
			if errors.Is(err, silent) {
				return nil
			}
		}
		return plain(err)
	}))
}

// NewWatchFromWatchClient returns the watch service on a generated stub. The client
// is not used, and may be nil.
func NewWatchFromWatchClient(wc pb.WatchClient, _ *Client) Watcher {
	return newWatcher(stub{watch: wc})
}
