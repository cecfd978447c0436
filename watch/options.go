package watch

import (
	"fmt"
	"time"

	"google.golang.org/grpc"
)

// Option is an option of New.
type Option func(*config)

// config is read-only after New.
type config struct {
	calls     []grpc.CallOption
	maxEvents int
	maxBytes  int
	silence   time.Duration
	patience  time.Duration
	causes    func(error) error // nil: they stay as they are
	final     func(error) bool  // nil: none but those of package watch
	wait      bool
	whole     bool
	parts     bool
	own       bool
	err       error
}

func defaults() config {
	return config{
		maxEvents: 16 << 10,
		maxBytes:  4 << 20,
		silence:   5 * time.Second,
		patience:  3 * time.Second,
	}
}

// WithCallOptions adds gRPC call options to every RPC.
func WithCallOptions(opts ...grpc.CallOption) Option {
	return func(c *config) {
		for i, opt := range opts {
			if opt == nil {
				c.fail(fmt.Errorf("watch: WithCallOptions: option %d is nil; leave it out", i+1))
				return
			}
		}
		c.calls = append(c.calls, opts...)
	}
}

// WithBuffer bounds what waits for the consumer of each watch: that many events,
// and that many bytes of keys and values. A watch that reaches a bound is taken
// off its stream, and resumed on one of its own when half of it was consumed. This stream
// is not read while the buffer is full again, for 10 s at most, and one response waits. When
// the consumer has kept up for a while the watch shares a stream with others again. Watches
// that share one watch on the server keep a buffer for each that is behind, and eight for
// all, before one of them is taken off. One revision is
// never split, so a single one may exceed the bounds; one that comes in fragments
// may take 64 times as many bytes, and 16 MiB at least, and ends the watch with a
// *TooLargeError beyond. Each must be 1 or more; the defaults are 16,384 events, which
// take about 4 MiB besides their keys and values, and 4 MiB, which makes 256 MiB for the
// fragments.
//
// A consumer that is far behind costs the server more when the buffer is small. A server
// sends what a watch has missed in parts of up to 1,000 revisions. What is sent on a stream
// that other watches share, and the buffer has no room for, is sent again when the watch is
// resumed.
func WithBuffer(events, bytes int) Option {
	return func(c *config) {
		if events < 1 || bytes < 1 {
			c.fail(fmt.Errorf("watch: WithBuffer: %d events and %d bytes; each must be 1 or more", events, bytes))
			return
		}
		c.maxEvents, c.maxBytes = events, bytes
	}
}

// WithHeartbeat sets after how much silence a stream is asked for its progress,
// and for how long it may leave a request unanswered before it is given up and
// another one is opened, on another member if there is one. Both must be above
// 0; the defaults are 5 s and 3 s.
func WithHeartbeat(silence, patience time.Duration) Option {
	return func(c *config) {
		if silence <= 0 || patience <= 0 {
			c.fail(fmt.Errorf("watch: WithHeartbeat: %v and %v; both must be above 0", silence, patience))
			return
		}
		c.silence, c.patience = silence, patience
	}
}

// WithCauses has f say what Err returns of the last response on the channels that
// Watch returns: f is given the cause, and nil means that the channel closes without
// a last response. f must not block. Iterators end with the cause as it is.
func WithCauses(f func(error) error) Option {
	return func(c *config) { c.causes = f }
}

// WithWait makes Watch wait until the server has made the watch, so that each change
// made after Watch has returned is seen without WithRev too. It returns earlier when
// the watch has ended, with its ctx or for another cause; while no member can be
// reached that is not before ctx ends. Iterators begin with their loop as ever.
func WithWait() Option {
	return func(c *config) { c.wait = true }
}

// WithResponses makes events come in responses as the server has made them, where
// otherwise a revision is the unit: a response that was cut into fragments is put
// together again, and none is divided. Only watches WithFragment have fragments then, so
// that a response larger than the connection accepts ends a watch without. The bounds
// of WithBuffer are for whole responses, except that what the fragments of one exceed
// them by is delivered before the rest has come.
func WithResponses() Option {
	return func(c *config) { c.whole = true }
}

// WithParts makes Follow yield its snapshots in parts of about a megabyte, each an Update
// with a Snapshot of the same revision, so that the keys need not be in memory twice: see
// Snapshot.Part.
func WithParts() Option {
	return func(c *config) { c.parts = true }
}

// WithOwnEvents gives each watch events of its own, for consumers that modify them: the
// header, the events, their keys and their values. Without it, watches that share are given
// the same ones, which costs less.
func WithOwnEvents() Option {
	return func(c *config) { c.own = true }
}

// WithFinal has f say which errors of streams end their watches, besides those that
// retrying cannot fix. f must not block.
func WithFinal(f func(error) bool) Option {
	return func(c *config) { c.final = f }
}

// last is a channel's last response, and whether there is to be one.
func (c *config) last(cause error) (WatchResponse, bool) {
	resp := last(cause)
	if c.causes != nil {
		resp.err = c.causes(cause)
	}
	return resp, resp.err != nil
}

// fail keeps the first mistake, which every call then returns.
func (c *config) fail(err error) {
	if c.err == nil {
		c.err = err
	}
}
