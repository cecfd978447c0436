package clientv3

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/internal/endpoint"
)

// Client is a client of one etcd cluster. Its services are interfaces, so that a
// program can put others in their place (package namespace does). It is safe for
// concurrent use; its fields must not be changed meanwhile.
type Client struct {
	Cluster
	KV
	Lease
	Watcher
	Auth
	Maintenance

	// Username is the configured user. To change it changes nothing.
	Username string
	// Password is the user's.
	Password string
	// Token is the configured token.
	Token string

	cfg    Config
	change func(*client.Config) // NewWith's
	native *client.Client       // nil: NewCtxClient
	active *grpc.ClientConn     // nil: likewise

	// New's, whatever Lease and Watcher are now.
	lease   Lease
	watcher Watcher

	ctx    context.Context //nolint:containedctx // Ctx returns it
	cancel context.CancelFunc
	logger atomic.Pointer[slog.Logger]

	secure bool           // read-only
	syncs  sync.WaitGroup // the goroutine of AutoSyncInterval

	voter atomic.Bool // guard's

	mu        sync.Mutex // above the native resolver's
	endpoints []string   // guarded by mu; never modified

	closing sync.Mutex
	closed  bool // guarded by closing
}

// Option is an option of NewCtxClient.
type Option func(*Client)

// New returns a client for the cluster that cfg describes. With a user it waits
// until that is logged in, and with RejectOldCluster until the members have told
// their versions; otherwise it does not block. Close must be called.
func New(cfg Config) (*Client, error) { return NewWith(cfg, func(*client.Config) {}) }

// NewWith is New with what clientv3's Config has no field for: change gets the
// configuration of package client that cfg comes to, and may change it, such as its
// Middleware, Trace or WritePatience. It is called once for the client, and once for
// each connection of Dial. clientv3 has no such function.
func NewWith(cfg Config, change func(*client.Config)) (*Client, error) {
	if change == nil {
		return nil, errors.New("clientv3: NewWith: the function is nil: use New")
	}
	switch {
	case len(cfg.Endpoints) == 0:
		return nil, ErrNoAvailableEndpoints
	case cfg.Token != "" && (cfg.Username != "" || cfg.Password != ""):
		return nil, ErrMutuallyExclusiveCfg
	case cfg.MaxCallRecvMsgSize > 0 && cfg.MaxCallSendMsgSize > cfg.MaxCallRecvMsgSize:
		return nil, fmt.Errorf("clientv3: MaxCallSendMsgSize is %d, MaxCallRecvMsgSize %d: requests must not be larger than responses may be",
			cfg.MaxCallSendMsgSize, cfg.MaxCallRecvMsgSize)
	}
	base := cfg.Context
	if base == nil {
		base = context.Background()
	}
	n := cfg.native()
	change(&n)
	native, err := client.New(n)
	if err != nil {
		return nil, err
	}
	c := NewCtxClient(base, WithZapLogger(n.Logger))
	c.cfg, c.change, c.native = cfg, change, native
	c.Username, c.Password, c.Token = n.Username, n.Password, n.Token
	c.secure, c.endpoints = n.TLS != nil, slices.Clone(cfg.Endpoints)
	c.Cluster, c.KV, c.Auth, c.Maintenance = NewCluster(c), NewKV(c), NewAuth(c), NewMaintenance(c)
	c.lease = NewLease(c)
	c.Lease = c.lease
	c.watcher = NewWatcher(c)
	c.Watcher = c.watcher
	if err := c.start(); err != nil {
		_ = c.Close() // the first error is the one that tells
		return nil, err
	}
	return c, nil
}

// start does what New waits for.
func (c *Client) start() error {
	var err error
	if c.active, err = clientConn(c.guard(), c.native, c.cfg.Endpoints[0], c.hangUp); err != nil {
		return err
	}
	ctx := c.ctx
	if c.cfg.DialTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.cfg.DialTimeout)
		defer cancel()
	}
	if c.Username != "" {
		if err := c.native.WaitReady(ctx); err != nil {
			return plain(ctx, err)
		}
	}
	if c.cfg.RejectOldCluster {
		if err := c.checkVersions(ctx); err != nil {
			return err
		}
	}
	if c.cfg.AutoSyncInterval > 0 {
		c.syncs.Go(c.autoSync)
	}
	return nil
}

// autoSync is Sync at intervals, until the client is closed.
func (c *Client) autoSync() {
	tick := time.NewTicker(c.cfg.AutoSyncInterval)
	defer tick.Stop()
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-tick.C:
		}
		ctx, cancel := context.WithTimeout(c.ctx, syncTimeout)
		if err := c.Sync(ctx); err != nil && c.ctx.Err() == nil {
			c.GetLogger().Info("etcd: the endpoints could not be synchronized", "cause", err)
		}
		cancel()
	}
}

// syncTimeout bounds one synchronization by itself.
const syncTimeout = 5 * time.Second

// Sync replaces the endpoints by the client URLs of the members that have started and
// vote.
func (c *Client) Sync(ctx context.Context) error {
	members, err := c.MemberList(ctx)
	if err != nil {
		return err
	}
	var eps []string
	for _, m := range members.Members {
		if m.GetName() != "" && !m.GetIsLearner() {
			eps = append(eps, m.GetClientURLs()...)
		}
	}
	return c.setEndpoints(eps)
}

// SetEndpoints replaces the endpoints. What cannot be an endpoint is logged, and
// changes nothing. Requests under way are not disturbed.
func (c *Client) SetEndpoints(eps ...string) {
	if err := c.setEndpoints(eps); err != nil {
		c.GetLogger().Warn("etcd: the endpoints cannot be used", "endpoints", eps, "cause", err)
	}
}

func (c *Client) setEndpoints(eps []string) error {
	if c.native == nil {
		return ErrNoAvailableEndpoints
	}
	adapted := make([]string, len(eps))
	for i, e := range eps {
		adapted[i] = endpoint.One(e, c.secure)
	}
	c.mu.Lock() // so that Endpoints tells what the native client has been given last
	defer c.mu.Unlock()
	if err := c.native.SetEndpoints(adapted...); err != nil {
		return err
	}
	c.endpoints = slices.Clone(eps)
	c.voter.Store(false)
	return nil
}

// checkVersions asks all members at once.
func (c *Client) checkVersions(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	endpoints := c.Endpoints()
	results := make(chan error, len(endpoints))
	for _, e := range endpoints {
		go func() {
			resp, err := c.Status(ctx, e)
			if err == nil && older(resp.Version) {
				err = ErrOldCluster
			}
			results <- err
		}()
	}
	var first error
	for range endpoints {
		if err := <-results; err != nil && first == nil {
			first = err
			cancel()
		}
	}
	return first
}

// older reports whether a version is below 3.6, the one before this client's.
func older(version string) bool {
	var major, minor int
	if _, err := fmt.Sscanf(version, "%d.%d", &major, &minor); err != nil {
		return true
	}
	return major < 3 || major == 3 && minor < 6
}

// NewCtxClient returns a client without a connection, for services that are put in
// afterwards. Close ends its context, which comes from ctx.
func NewCtxClient(ctx context.Context, opts ...Option) *Client {
	c := &Client{}
	c.ctx, c.cancel = context.WithCancel(ctx)
	c.logger.Store(slog.New(slog.DiscardHandler))
	for _, o := range opts {
		o(c)
	}
	return c
}

// NewFromURL is New with one endpoint.
func NewFromURL(url string) (*Client, error) { return New(Config{Endpoints: []string{url}}) }

// NewFromURLs is New with endpoints alone.
func NewFromURLs(urls []string) (*Client, error) { return New(Config{Endpoints: urls}) }

// WithZapLogger sets what GetLogger returns. The logger is slog's, in spite of the
// name.
func WithZapLogger(lg *slog.Logger) Option { return func(c *Client) { c.logger.Store(lg) } }

// WithLogger sets what GetLogger returns, and returns the client.
//
// Deprecated: use Config.Logger, which is also where the client logs to.
func (c *Client) WithLogger(lg *slog.Logger) *Client {
	c.logger.Store(lg)
	return c
}

// GetLogger returns the logger, which is nil only if it was set to that.
func (c *Client) GetLogger() *slog.Logger { return c.logger.Load() }

// Ctx is a context that ends with the client.
func (c *Client) Ctx() context.Context { return c.ctx }

// Native is the client below, which clientv3 does not have: its errors say more, and
// so do its endpoints and counters. It is nil for a client without a connection, and
// it must not be closed.
func (c *Client) Native() *client.Client { return c.native }

// Endpoints returns the endpoints as configured, or set since. Native knows which
// members they lead to.
func (c *Client) Endpoints() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.endpoints)
}

// ActiveConnection returns a connection on which generated stubs work as the
// client's services do: each call goes to a member that serves. As on any connection,
// what that answers is the caller's, errors too; a stream stays with its member; and a
// call fails when no endpoint can be reached for a second, unless it is to wait for that
// (grpc.WaitForReady). Errors are gRPC status errors. Its state is Ready when a member is connected; it connects by itself.
// Closing it ends the client's calls, watches and keepers, and leaves the rest to
// Close. It is nil for a client without a connection.
func (c *Client) ActiveConnection() *grpc.ClientConn { return c.active }

// Dial connects to one endpoint with the client's configuration, and a login of its
// own. It does not block. Closing the connection ends its requests and its
// goroutines.
func (c *Client) Dial(ep string) (*grpc.ClientConn, error) {
	n, err := c.single(ep)
	if err != nil {
		return nil, err
	}
	conn, err := clientConn(newGuard(n), n, ep, func() { _ = n.Close() }) // it has no way to fail
	if err != nil {
		_ = n.Close()
		return nil, err
	}
	return conn, nil
}

// single returns a client of one endpoint, with one connection as clientv3's: programs
// ask members for their status again and again (kube-apiserver).
func (c *Client) single(endpoint string) (*client.Client, error) {
	if c.native == nil {
		return nil, ErrNoAvailableEndpoints
	}
	cfg := c.cfg
	secure, _ := adapt(c.cfg.Endpoints, cfg.TLS) // as all the others
	cfg.Endpoints, cfg.TLS = []string{endpoint}, secure
	n := cfg.native()
	endpoints := n.Endpoints
	c.change(&n)
	n.Endpoints, n.OneMember = endpoints, true
	return client.New(n)
}

// dialEndpoint is Dial for package maintenance.
func (c *Client) dialEndpoint(_ context.Context, endpoint string) (grpc.ClientConnInterface, func() error, error) {
	n, err := c.single(endpoint)
	if err != nil {
		return nil, nil, err
	}
	return plainConn{newGuard(n)}, n.Close, nil
}

// conn is what the services are made on.
func (c *Client) conn() grpc.ClientConnInterface {
	if c == nil || c.native == nil {
		return unconnected{}
	}
	return c.guard()
}

// guard is the connection of a client that has one.
func (c *Client) guard() guard { return guard{c.native, &c.voter} }

// hangUp is the end of the active connection. Watches learn of it from the connection,
// and end with an error; keepers have none.
func (c *Client) hangUp() {
	_ = c.lease.Close() // they have no way to fail
	_ = c.native.Close()
}

// Close ends all requests, watches and keepers, closes the connections, and returns
// when the client's goroutines have ended. Services that were put in place of the
// client's own are closed, too. Closing again, or a client without a connection, is
// the error of its context.
func (c *Client) Close() error {
	if c.cancel == nil {
		return nil // made without a constructor
	}
	c.closing.Lock()
	defer c.closing.Unlock()
	c.cancel()
	if c.closed {
		return c.ctx.Err()
	}
	c.closed = true
	c.syncs.Wait()
	var first error
	if c.Watcher != nil {
		first = c.Watcher.Close()
	}
	if c.Lease != nil {
		if err := c.Lease.Close(); first == nil {
			first = err
		}
	}
	if c.native == nil {
		return c.ctx.Err()
	}
	_ = c.watcher.Close() // it has no way to fail
	_ = c.lease.Close()   // likewise
	if c.active != nil {
		// Fails only when the program has closed it already.
		if err := c.active.Close(); err != nil && first == nil {
			first = c.ctx.Err()
		}
	}
	_ = c.native.Close() // it has no way to fail
	return first
}
