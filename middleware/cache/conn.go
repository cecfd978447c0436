package cache

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/internal/attempt"
	"github.com/getcd/getcd/internal/closed"
	"github.com/getcd/getcd/internal/ctxerr"
	"github.com/getcd/getcd/internal/misuse"
	"github.com/getcd/getcd/watch"
)

// What NewConn takes without options.
const (
	// DefaultEvents and DefaultBytes are how many changes of each prefix are kept, unless
	// WithWindow gives other numbers.
	DefaultEvents = 10_000
	DefaultBytes  = 16 << 20
)

// Option is an option of NewConn and Of.
type Option func(*config)

type config struct{ events, bytes int }

// WithWindow bounds what is kept of the past of each prefix: that many changes, and that many
// bytes of keys and values, old and new. Revisions that are as recent can be read and watched
// from memory. Both must be positive. A revision that exceeds them alone is not kept.
func WithWindow(events, bytes int) Option {
	return func(c *config) { c.events, c.bytes = events, bytes }
}

// Of returns NewConn as a function for client.Config.Middleware. The client closes the Conn. A
// program that wants WaitReady or Stats keeps what NewConn returns:
//
//	var cached *cache.Conn
//	c, err := client.New(client.Config{
//		Endpoints: endpoints,
//		Middleware: []client.Middleware{func(cc grpc.ClientConnInterface) grpc.ClientConnInterface {
//			cached = cache.NewConn(cc, []string{"config/"})
//			return cached
//		}},
//	})
func Of(prefixes []string, opts ...Option) func(grpc.ClientConnInterface) grpc.ClientConnInterface {
	return func(cc grpc.ClientConnInterface) grpc.ClientConnInterface { return NewConn(cc, prefixes, opts...) }
}

// Conn is a connection with a cache. Make one with NewConn. It is safe for concurrent use.
type Conn struct {
	cc       grpc.ClientConnInterface
	cfg      config
	misused  error // by NewConn's caller
	born     time.Time
	watcher  watch.Watcher
	prefixes []*prefix

	ctx    context.Context //nolint:containedctx // the life of the goroutines
	cancel context.CancelFunc
	start  sync.Once

	mu      sync.Mutex // guards closed, and the adding to running
	closed  bool
	running sync.WaitGroup
}

var _ grpc.ClientConnInterface = (*Conn)(nil)

var errClosed = closed.New("cache: closed")

// NewConn returns cc with a cache of the keys that begin with the prefixes; "" is for all keys. A
// prefix that begins with another one needs no cache of its own, and gets none.
//
// The first read or watch of a key of theirs, or WaitReady, begins to fill the cache, and is
// passed on, as are all until it is filled. Close ends the Conn, but not cc.
//
// No prefix, or an option that is wrong, makes an error of all calls of Range, Txn and Watch.
func NewConn(cc grpc.ClientConnInterface, prefixes []string, opts ...Option) *Conn {
	c := &Conn{cc: misuse.Conn("cache", cc), cfg: config{events: DefaultEvents, bytes: DefaultBytes}, born: time.Now()}
	for _, opt := range opts {
		if opt != nil {
			opt(&c.cfg)
		}
	}
	c.misused = cmp.Or(misuse.Options("cache: NewConn", opts), c.cfg.validate(prefixes))
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.watcher = watch.New(c.cc, watch.WithParts())
	for _, from := range slices.Sorted(slices.Values(prefixes)) {
		if n := len(c.prefixes); n > 0 && strings.HasPrefix(from, c.prefixes[n-1].from) {
			continue
		}
		p := &prefix{c: c, from: from, end: prefixEnd(from), why: errNotReady, comparing: make(chan struct{}, 1)}
		p.question = p.newQuestion()
		c.prefixes = append(c.prefixes, p)
	}
	return c
}

func (c config) validate(prefixes []string) error {
	switch {
	case len(prefixes) == 0:
		return misuse.Error(`cache: NewConn: there is no prefix; name what is to be cached, or "" for all keys`)
	case c.events <= 0 || c.bytes <= 0:
		return misuse.Error(fmt.Sprintf("cache: WithWindow is given %d changes and %d bytes: each must be positive", c.events, c.bytes))
	}
	return nil
}

// Close ends the cache's watches and everything that runs here, and waits for it. Calls are
// passed on from then on, and streams of watches from memory fail. It always returns nil.
func (c *Conn) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.cancel()
	err := c.watcher.Close()
	c.running.Wait()
	return err
}

// spawn runs f until it returns. It reports false when the Conn is closed.
func (c *Conn) spawn(f func(ctx context.Context)) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.running.Go(func() { f(c.ctx) })
	return true
}

// begin fills the cache, once.
func (c *Conn) begin() {
	c.start.Do(func() {
		for _, p := range c.prefixes {
			c.spawn(p.run)
			c.spawn(p.check)
		}
	})
}

// WaitReady waits until all prefixes are cached. It returns ctx's cause when that ends first,
// with why one of them is not.
func (c *Conn) WaitReady(ctx context.Context) error {
	if err := cmp.Or(misuse.Context(ctx, "cache: WaitReady"), c.misused); err != nil {
		return err
	}
	c.begin()
	for _, p := range c.prefixes {
		for {
			moved := p.waiting()
			if p.state.Load() != nil {
				break
			}
			select {
			case <-moved:
			case <-c.ctx.Done():
				return errClosed
			case <-ctx.Done():
				p.mu.Lock()
				why := p.why
				p.mu.Unlock()
				return fmt.Errorf("cache: %q is not cached: %w (%w)", p.from, ctxerr.Of(ctx), why)
			}
		}
	}
	return nil
}

// Invoke implements grpc.ClientConnInterface.
func (c *Conn) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	switch req := args.(type) {
	case *pb.RangeRequest:
		if out, ok := reply.(*pb.RangeResponse); ok && req != nil && out != nil && method == pb.KV_Range_FullMethodName {
			if c.misused != nil {
				return c.misused
			}
			if c.readRange(ctx, req, out, opts) {
				return nil
			}
		}
	case *pb.TxnRequest:
		if out, ok := reply.(*pb.TxnResponse); ok && req != nil && out != nil && method == pb.KV_Txn_FullMethodName {
			if c.misused != nil {
				return c.misused
			}
			if c.readTxn(ctx, req, out, opts) {
				return nil
			}
		}
	}
	return c.cc.Invoke(ctx, method, args, reply, opts...)
}

// of returns the prefix that has all keys of a range, or nil.
func (c *Conn) of(key, end []byte) *prefix {
	for _, p := range c.prefixes {
		if within(key, end, p.from, p.end) {
			return p
		}
	}
	return nil
}

// readRange answers from memory, if it can.
func (c *Conn) readRange(ctx context.Context, r *pb.RangeRequest, out *pb.RangeResponse, opts []grpc.CallOption) bool {
	p := c.of(r.Key, r.RangeEnd)
	if p == nil || !answerable(r) || private(ctx, opts) {
		return false
	}
	c.begin()
	st, ok := p.fresh(ctx, r.Serializable)
	if ok {
		out.Reset()
		ok = st.answer(r, out)
	}
	if !ok {
		out.Reset()
		p.stats.misses.Add(1)
		return false
	}
	if out.Header == nil {
		out.Header = &pb.ResponseHeader{}
	}
	p.fillHeader(out.Header, st.rev)
	p.stats.hits.Add(1)
	return true
}

// fresh returns the state to answer from.
func (p *prefix) fresh(ctx context.Context, serializable bool) (*state, bool) {
	if ctx == nil || ctx.Err() != nil {
		return nil, false
	}
	if serializable {
		if !p.used.Load() { // most often it is set, and then nobody writes to it
			p.used.Store(true)
		}
		st := p.state.Load()
		return st, st != nil
	}
	if p.state.Load() == nil {
		return nil, false
	}
	st, err := p.confirm(ctx)
	return st, err == nil
}

// headerAt is the header of an answer at the cache's revision. The rest is what the member has
// said that has answered last.
func (p *prefix) headerAt(rev int64) *pb.ResponseHeader {
	h := &pb.ResponseHeader{}
	p.fillHeader(h, rev)
	return h
}

func (p *prefix) fillHeader(h *pb.ResponseHeader, rev int64) {
	last := p.header.Load()
	h.ClusterId, h.MemberId, h.Revision, h.RaftTerm = last.GetClusterId(), last.GetMemberId(), rev, last.GetRaftTerm()
}

// private reports whether a call wants something for its own RPC: to see its headers, or to be
// another user's.
func private(ctx context.Context, opts []grpc.CallOption) bool {
	return ctx == nil || attempt.FromContext(ctx) != nil || special(ctx, opts)
}
