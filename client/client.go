package client

import (
	"context"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/getcd/getcd/auth"
	"github.com/getcd/getcd/balancer"
	"github.com/getcd/getcd/cluster"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lease"
	"github.com/getcd/getcd/maintenance"
	"github.com/getcd/getcd/watch"
)

// Client is a client of one etcd cluster. It embeds most services; make the others (lock,
// election) on its Conn. It is safe for concurrent use.
type Client struct {
	kv.KV
	kv.Streamer
	lease.Lease
	watch.Watcher
	auth.Auth
	cluster.Cluster
	maintenance.Maintenance

	cfg     Config
	conn    *Conn
	above   grpc.ClientConnInterface // conn with the middleware on it
	single  endpointConns
	members *membership
	closing sync.Once
}

// New returns a client for the cluster that cfg describes. It does not block: the client
// finds the members and connects to them in the background, and requests wait until it has.
// WaitReady waits for that, and its error says why it has not happened. New's error says
// what is wrong with cfg. Close must be called.
func New(cfg Config) (*Client, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	var err error
	if cfg.certificates, err = newCertificates(cfg.TLSFiles, cfg.Logger); err != nil {
		return nil, err
	}
	conn, err := newConn(cfg)
	if err != nil {
		return nil, err
	}
	cc, err := cfg.wrap(conn)
	if err != nil {
		conn.close()
		return nil, err
	}
	c := &Client{
		KV: kv.New(cc), Streamer: kv.NewStreamer(cc, cfg.parts()...), Lease: lease.New(cc), Watcher: watch.New(cc), Auth: auth.New(cc), Cluster: cluster.New(cc),
		cfg: cfg, conn: conn, above: cc, members: newMembership(cfg.Endpoints),
	}
	c.Maintenance = maintenance.New(cc, maintenance.WithEndpointDialer(c.dialEndpoint))
	for _, o := range cfg.Observers {
		o.ClientOpened(c)
	}
	if cfg.AutoSyncInterval > 0 {
		c.members.loop.Go(c.autoSync)
	}
	return c, nil
}

// Dial is New followed by WaitReady: it returns a connected client, or an error that says why
// it could not connect, at the latest when ctx ends.
func Dial(ctx context.Context, cfg Config) (*Client, error) {
	c, err := New(cfg)
	if err != nil {
		return nil, err
	}
	if err := c.WaitReady(ctx); err != nil {
		_ = c.Close() // the first error is the useful one
		return nil, err
	}
	return c, nil
}

// Conn returns the connection on which all services work: getcd's own, such as
// lock.New(c.Conn(), …), and etcd's generated stubs. It is a *Conn with
// Config.Middleware on it.
func (c *Client) Conn() grpc.ClientConnInterface { return c.above }

// WaitReady waits until a member is connected and, if a user is configured, has authenticated
// the user. If ctx ends first or the user is refused, it returns an *Error that names each
// endpoint and what is wrong with it.
func (c *Client) WaitReady(ctx context.Context) error { return c.conn.WaitReady(ctx) }

// Endpoints returns what the client knows about each endpoint, in the order in which it would
// try them.
func (c *Client) Endpoints() []balancer.Status { return c.conn.table.Snapshot() }

// EndpointsChanged returns a channel that is closed when the list of endpoints, or the role or
// state of an endpoint, changes next. To miss no change, get the channel before you call
// Endpoints.
func (c *Client) EndpointsChanged() <-chan struct{} { return c.conn.table.Changed() }

// Counters returns what the client has done so far.
func (c *Client) Counters() Counters { return c.conn.Counters() }

// ResolverErrors returns a *resolver.EndpointError for each configured endpoint that can't be
// resolved at present. The addresses that such an endpoint had before stay in use.
func (c *Client) ResolverErrors() []error { return c.conn.resolver.Errors() }

// Close ends all requests, including those that name an endpoint, all streams, watches and
// keepers, and closes the connections. Requests in flight return ErrClosed. Leases are not
// revoked, except those that middleware has for itself. A second Close only waits for the
// first. Its error is always nil.
//
// Close waits for the client's goroutines. There are three exceptions. It waits at most 1 s
// for the Logger to take its last records, and at most 1 s for the trace to be written: if
// the Logger's handler or the trace's writer blocks, the goroutine that runs it stays until
// it returns. And the function of a timer or of a context that has just ended may run a
// moment later. It finds that there is nothing left to do (DESIGN.md lists these functions).
func (c *Client) Close() error {
	c.conn.closed.Store(true) // first, so that the services' streams return ErrClosed
	c.closing.Do(func() {
		c.members.cancel()
		_ = c.Lease.Close() // these fail only if they are closed already
		_ = c.Watcher.Close()
		c.single.close()
		c.conn.close()
		c.members.loop.Wait()
		if c.cfg.Trace != nil {
			c.cfg.Trace.Flush(tracePatience)
		}
		for _, o := range c.cfg.Observers {
			o.ClientClosed(c)
		}
	})
	drain(c.cfg.Logger, logPatience) // outside of Do, since the handler may call Close, which would wait for Do
	return nil
}

// tracePatience is how long Close waits for the trace's writer.
const tracePatience = time.Second
