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

// Client is a client of one etcd cluster. Its methods are those of the services
// that it embeds; services that it does not embed (lock, election) are made on its
// Conn. It is
// safe for concurrent use.
type Client struct {
	kv.KV
	lease.Lease
	watch.Watcher
	auth.Auth
	cluster.Cluster
	maintenance.Maintenance

	cfg     Config
	conn    *Conn
	above   grpc.ClientConnInterface // conn with the middleware on it
	single  endpointConns
	closing sync.Once
}

// New returns a client for the cluster that cfg describes. It does not block:
// the client finds and connects to the members in the background, and requests
// wait until it has. WaitReady tells when it has, and why not. An error means
// that cfg can't be right, and names what is wrong. Close must be called.
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
		KV: kv.New(cc), Lease: lease.New(cc), Watcher: watch.New(cc), Auth: auth.New(cc), Cluster: cluster.New(cc),
		cfg: cfg, conn: conn, above: cc,
	}
	c.Maintenance = maintenance.New(cc, maintenance.WithEndpointDialer(c.dialEndpoint))
	return c, nil
}

// Dial is New followed by WaitReady: it returns a client that is connected, or
// an error that says why there is none, at the latest when ctx ends.
func Dial(ctx context.Context, cfg Config) (*Client, error) {
	c, err := New(cfg)
	if err != nil {
		return nil, err
	}
	if err := c.WaitReady(ctx); err != nil {
		_ = c.Close() // the first error is the one that tells
		return nil, err
	}
	return c, nil
}

// Conn returns the connection on which all services work: getcd's own, such as
// lock.New(c.Conn(), …), and etcd's generated stubs. It is a *Conn with
// Config.Middleware on it.
func (c *Client) Conn() grpc.ClientConnInterface { return c.above }

// WaitReady waits until a member is connected and, when a user is configured,
// has authenticated it. It returns an *Error that names each endpoint and what
// is wrong with it when ctx ends first, or when the user is refused.
func (c *Client) WaitReady(ctx context.Context) error { return c.conn.WaitReady(ctx) }

// Endpoints returns what the client knows of each endpoint, in the order in
// which it would try them.
func (c *Client) Endpoints() []balancer.Status { return c.conn.table.Snapshot() }

// EndpointsChanged returns a channel that is closed when the list of endpoints,
// or the role or state of one of them, changes next. To miss no change get the
// channel before Endpoints.
func (c *Client) EndpointsChanged() <-chan struct{} { return c.conn.table.Changed() }

// SetEndpoints replaces the configured endpoints. An error says what is wrong with
// the new ones, and changes nothing. It does not wait until they are resolved, and
// calls under way are not disturbed: members that are no longer among the addresses
// serve until another one is connected. A closed client returns ErrClosed.
func (c *Client) SetEndpoints(endpoints ...string) error {
	if c.conn.closed.Load() {
		return ErrClosed
	}
	return c.conn.resolver.SetEndpoints(endpoints)
}

// Counters returns what the client has done so far.
func (c *Client) Counters() Counters { return c.conn.Counters() }

// ResolverErrors returns what is wrong now with each of the configured endpoints
// that can't be resolved, as *resolver.EndpointError; nothing when all is well.
// The addresses that such an endpoint had before stay in use.
func (c *Client) ResolverErrors() []error { return c.conn.resolver.Errors() }

// Close ends all requests, streams, watches and keepers, those that name an endpoint
// included, closes the connections, and
// returns when all the client's goroutines have ended. Requests under way return
// ErrClosed. Leases are not revoked. Closing again does nothing but wait for the
// same. It waits at most 1 s for the Logger to take its last records, and 1 s for the
// trace to be written. Its error is always nil.
func (c *Client) Close() error {
	c.conn.closed.Store(true) // before the services, whose streams tell it as their reason
	c.closing.Do(func() {
		_ = c.Lease.Close() // they have no way to fail but to be closed already
		_ = c.Watcher.Close()
		c.single.close()
		c.conn.close()
		if c.cfg.Trace != nil {
			c.cfg.Trace.Flush(tracePatience)
		}
	})
	drain(c.cfg.Logger, logPatience) // outside of Do: the handler may call Close, and would wait for the end of Do
	return nil
}

// tracePatience is how long Close waits for the trace's writer.
const tracePatience = time.Second
