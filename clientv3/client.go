package clientv3

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/gateway"
	"github.com/getcd/getcd/internal/endpoint"
	"github.com/getcd/getcd/internal/members"
	"github.com/getcd/getcd/resolver"
)

// Client is a client of one etcd cluster. Its services are interfaces, so a
// program can replace them (as package namespace does). It is safe for concurrent
// use, as long as nobody changes its fields meanwhile.
type Client struct {
	Cluster
	KV
	Lease
	Watcher
	Auth
	Maintenance

	// Username is the configured user. Changing it has no effect.
	Username string
	// Password is the configured user's password. Changing it has no effect.
	Password string
	// Token is the configured token. Changing it has no effect.
	Token string

	cfg    Config
	change func(*client.Config) // from NewWith
	native *client.Client       // nil for NewCtxClient
	active *grpc.ClientConn     // nil for NewCtxClient

	// The services that New made, even if Lease and Watcher are replaced.
	lease   Lease
	watcher Watcher

	ctx    context.Context //nolint:containedctx // Ctx returns it
	cancel context.CancelFunc
	logger atomic.Pointer[slog.Logger]

	parsing resolver.Config // how endpoints are parsed; read-only
	syncs   sync.WaitGroup  // the goroutine of AutoSyncInterval

	voter atomic.Bool // for guard

	mu        sync.Mutex // acquired before the native resolver's mutex
	endpoints []string   // guarded by mu; never modified

	closing sync.Mutex
	closed  bool // guarded by closing
}

// Option is an option of NewCtxClient.
type Option func(*Client)

// New returns a client for the cluster that cfg describes. With a user, it waits
// until the user is logged in. With RejectOldCluster, it waits until the members
// have reported their versions. Otherwise it does not block. An endpoint that
// cannot be used is logged, as long as there are others. The caller must call
// Close.
func New(cfg Config) (*Client, error) { return NewWith(cfg, func(*client.Config) {}) }

// NewWith is New for settings that clientv3's Config does not have: change is
// called with the configuration of package client that results from cfg, and may
// set fields such as Middleware, Trace or WritePatience. It must not change the
// endpoints, which are cfg's. It is called once for the client, and once for each
// connection of Dial. clientv3 does not have this function.
//
// Concurrent calls travel together (package batch) with one line:
//
//	cli, err := clientv3.NewWith(cfg, func(n *client.Config) { n.Middleware = []client.Middleware{batch.NewConn} })
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
	n, err := cfg.changed(change)
	if err != nil {
		return nil, err
	}
	parsing := resolver.Config{Options: n.Resolver, TLS: n.TLS != nil, InsecureDiscovery: n.InsecureDiscovery}
	var unusable error
	n.Endpoints, unusable = usable(n.Endpoints, parsing)
	logger := n.Logger
	if logger != nil {
		n.Logger = begins(logger)
	}
	native, err := client.New(n)
	if err != nil {
		return nil, err
	}
	c := NewCtxClient(base, WithZapLogger(logger))
	c.logUnusable(unusable)
	c.cfg, c.change, c.native = cfg, change, native
	c.Username, c.Password, c.Token = n.Username, n.Password, n.Token
	c.parsing, c.endpoints = parsing, slices.Clone(cfg.Endpoints)
	c.Cluster, c.KV, c.Auth, c.Maintenance = NewCluster(c), NewKV(c), NewAuth(c), NewMaintenance(c)
	c.lease = NewLease(c)
	c.Lease = c.lease
	c.watcher = NewWatcher(c)
	c.Watcher = c.watcher
	if err := c.start(); err != nil {
		_ = c.Close() // return the first error instead
		return nil, err
	}
	return c, nil
}

// start does everything that New waits for.
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

// autoSync calls Sync at intervals until the client is closed.
func (c *Client) autoSync() {
	members.Sync(c.ctx, c.cfg.AutoSyncInterval, c.Sync, func(err error) {
		c.GetLogger().Info("etcd: the endpoints could not be synchronized", "cause", err)
	})
}

// Sync replaces the endpoints with the client URLs of the voting members that
// have started.
func (c *Client) Sync(ctx context.Context) error {
	list, err := c.MemberList(ctx)
	if err != nil {
		return err
	}
	return c.setEndpoints(members.URLs(list.Members))
}

// SetEndpoints replaces the endpoints. It logs the errors of those that cannot be
// used. If none can be, it changes nothing. Requests in progress are not affected.
func (c *Client) SetEndpoints(eps ...string) { c.logUnusable(c.setEndpoints(eps)) }

func (c *Client) logUnusable(err error) {
	if err != nil {
		c.GetLogger().Warn("etcd: the endpoints cannot be used", "cause", err)
	}
}

func (c *Client) setEndpoints(eps []string) error {
	if c.native == nil {
		return ErrNoAvailableEndpoints
	}
	adapted := make([]string, len(eps))
	for i, e := range eps {
		adapted[i] = endpoint.One(e, c.parsing.TLS)
	}
	good, unusable := usable(adapted, c.parsing)
	c.logUnusable(unusable)
	c.mu.Lock() // so that Endpoints matches what the native client was given last
	defer c.mu.Unlock()
	if err := c.native.SetEndpoints(good...); err != nil {
		return err
	}
	c.endpoints = slices.Clone(eps)
	c.voter.Store(false)
	return nil
}

// usable returns the endpoints that can be used, and the errors of the others.
// clientv3 has addresses for those that never connect. If none can be used, usable
// returns all, and package client says why.
func usable(endpoints []string, parsing resolver.Config) (good []string, unusable error) {
	var failed []error
	for _, e := range endpoints {
		_, err := resolver.New([]string{e}, parsing)
		_, bad := errors.AsType[*resolver.EndpointError](err)
		switch {
		case e == "": // a stray comma leaves it
		case bad && !gateway.IsEndpoint(e):
			failed = append(failed, err)
		default:
			good = append(good, e)
		}
	}
	if len(good) == 0 {
		return endpoints, nil
	}
	return good, errors.Join(failed...)
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

// older reports whether a version is below 3.6, the minor version before this
// client's.
func older(version string) bool {
	var major, minor int
	if _, err := fmt.Sscanf(version, "%d.%d", &major, &minor); err != nil {
		return true
	}
	return major < 3 || major == 3 && minor < 6
}

// NewCtxClient returns a client without a connection. The caller then sets its
// services. The client's context is derived from ctx, and ends with Close.
func NewCtxClient(ctx context.Context, opts ...Option) *Client {
	c := &Client{}
	c.ctx, c.cancel = context.WithCancel(ctx)
	for _, o := range opts {
		o(c)
	}
	return c
}

// NewFromURL is New with one endpoint.
func NewFromURL(url string) (*Client, error) { return New(Config{Endpoints: []string{url}}) }

// NewFromURLs is New with only endpoints.
func NewFromURLs(urls []string) (*Client, error) { return New(Config{Endpoints: urls}) }

// WithZapLogger sets the logger that GetLogger returns. Despite the name, it is a
// slog logger.
func WithZapLogger(lg *slog.Logger) Option { return func(c *Client) { c.logger.Store(lg) } }

// WithLogger sets the logger that GetLogger returns, and returns the client.
//
// Deprecated: use Config.Logger, which also receives the client's own log
// records.
func (c *Client) WithLogger(lg *slog.Logger) *Client {
	c.logger.Store(lg)
	return c
}

// GetLogger returns the logger, or one that discards everything if there is none.
func (c *Client) GetLogger() *slog.Logger {
	return cmp.Or(c.logger.Load(), slog.New(slog.DiscardHandler))
}

// Ctx returns a context that ends with the client.
func (c *Client) Ctx() context.Context { return c.ctx }

// Native returns the underlying client, which clientv3 does not have. Its errors,
// endpoints and counters carry more information. It is nil for a client without a
// connection. Do not close it.
func (c *Client) Native() *client.Client { return c.native }

// Endpoints returns the endpoints that were configured or set last. Native knows
// the members that they lead to.
func (c *Client) Endpoints() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.endpoints)
}

// ActiveConnection returns a connection for generated stubs. As with the client's
// services, each call goes to a member that serves. Otherwise it behaves like any
// gRPC connection: the call returns the member's response, even if it is an
// error; a stream stays with its member; and a call fails if no endpoint could be
// reached for a second, unless it has grpc.WaitForReady. Errors are gRPC status
// errors, and MaxCallSendMsgSize does not apply. The connection connects by itself, and its state is Ready while a
// member is connected. Closing it ends the client's calls, watches and keepers,
// but Close is still needed for the rest. It is nil for a client without a
// connection.
func (c *Client) ActiveConnection() *grpc.ClientConn { return c.active }

// Dial connects to one endpoint with the client's configuration and its own
// login. It does not block. Closing the connection ends its requests and its
// goroutines.
func (c *Client) Dial(ep string) (*grpc.ClientConn, error) {
	n, err := c.single(ep)
	if err != nil {
		return nil, err
	}
	conn, err := clientConn(newGuard(n), n, ep, func() { _ = n.Close() }) // Close never fails
	if err != nil {
		_ = n.Close()
		return nil, err
	}
	return conn, nil
}

// single returns a client for one endpoint that has only one connection, as in
// clientv3. Some programs (kube-apiserver) ask members for their status over and
// over.
func (c *Client) single(endpoint string) (*client.Client, error) {
	if c.native == nil {
		return nil, ErrNoAvailableEndpoints
	}
	cfg := c.cfg
	secure, _ := adapt(c.cfg.Endpoints, cfg.TLS) // like the client's other connections
	cfg.Endpoints, cfg.TLS = []string{endpoint}, secure
	n, err := cfg.changed(c.change)
	if err != nil {
		return nil, err
	}
	n.OneMember = true
	return client.New(n)
}

// dialEndpoint is the dialer for package maintenance.
func (c *Client) dialEndpoint(_ context.Context, endpoint string) (grpc.ClientConnInterface, func() error, error) {
	n, err := c.single(endpoint)
	if err != nil {
		return nil, nil, err
	}
	return plainConn{newGuard(n)}, n.Close, nil
}

// conn returns the connection that the services use.
func (c *Client) conn() grpc.ClientConnInterface {
	if c == nil || c.native == nil {
		return unconnected{}
	}
	return c.guard()
}

// guard returns the guarded connection of a client that has one.
func (c *Client) guard() guard { return guard{c.native, &c.voter} }

// hangUp ends the calls of the active connection. Watches see that the connection
// ended, and report an error; keepers have no way to do so.
func (c *Client) hangUp() {
	_ = c.lease.Close() // Close never fails
	_ = c.native.Close()
}

// Close ends all requests, watches and keepers, closes the connections, and
// returns when the client's goroutines have ended. It also closes services that
// have replaced the client's own. Closing twice, or closing a client without a
// connection, returns the error of the client's context.
func (c *Client) Close() error {
	if c.cancel == nil {
		return nil // a client that no constructor has made
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
	_ = c.watcher.Close() // Close never fails
	_ = c.lease.Close()   // likewise
	if c.active != nil {
		// This fails only if the program has already closed it.
		if err := c.active.Close(); err != nil && first == nil {
			first = c.ctx.Err()
		}
	}
	_ = c.native.Close() // Close never fails
	return first
}
