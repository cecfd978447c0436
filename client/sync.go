package client

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/getcd/getcd/internal/endpoint"
	"github.com/getcd/getcd/internal/members"
	"github.com/getcd/getcd/internal/misuse"
	"github.com/getcd/getcd/resolver"
)

// membership is what a client knows of its endpoints' origin.
type membership struct {
	loop   sync.WaitGroup  // the goroutine of Config.AutoSyncInterval
	ctx    context.Context //nolint:containedctx // of the loop, from New to Close
	cancel context.CancelFunc

	mu         sync.Mutex // before the resolver's
	configured []string   // by Config or SetEndpoints
	set        int        // how often SetEndpoints was called
	synced     []string   // by Sync since then; nil if it has set none
	current    []string   // what the resolver has
}

func newMembership(endpoints []string) *membership {
	m := &membership{configured: slices.Clone(endpoints), current: slices.Clone(endpoints)}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	return m
}

// SetEndpoints replaces the configured endpoints. If it returns an error, which says what is
// wrong with the new ones, nothing has changed. It does not wait until they are resolved.
// Calls in flight are not disturbed: a member that is no longer among the addresses serves
// until another one is connected. On a closed client SetEndpoints returns ErrClosed. The new
// endpoints must agree on TLS with those that New was given. If those left it to DNS, the new ones
// may say something else than DNS has said; if they leave it to DNS too, DNS can't turn TLS off,
// and ResolverErrors says which endpoints are not used for that.
func (c *Client) SetEndpoints(endpoints ...string) error {
	c.members.mu.Lock()
	defer c.members.mu.Unlock()
	if err := c.setEndpointsLocked(endpoints); err != nil {
		return err
	}
	c.members.configured, c.members.synced = slices.Clone(endpoints), nil
	c.members.set++
	return nil
}

func (c *Client) setEndpointsLocked(endpoints []string) error {
	if c.conn.closed.Load() {
		return ErrClosed
	}
	if err := c.conn.resolver.SetEndpoints(endpoints); err != nil {
		return err
	}
	c.members.current = slices.Clone(endpoints)
	return nil
}

// Sync replaces the endpoints with the client URLs of the voting members that have started, as
// the member list has them (etcd's --advertise-client-urls). A client that uses TLS uses it for
// all of them, and one that does not for none, whatever their schemes say; with TLS the
// certificates must be valid for the URLs' hosts. If Sync returns an error, nothing has
// changed. If SetEndpoints is called during a Sync, its endpoints stay, and Sync returns nil.
func (c *Client) Sync(ctx context.Context) error {
	if err := misuse.Context(ctx, "client: Sync"); err != nil {
		return err
	}
	c.members.mu.Lock()
	set := c.members.set
	c.members.mu.Unlock()
	resp, err := c.MemberList(ctx)
	if err != nil {
		return err
	}
	urls := members.URLs(resp.Members)
	if len(urls) == 0 {
		return errors.New("client: Sync: the member list has no client URL of a voting member")
	}
	secure := c.conn.secure(c.cfg)
	for i, u := range urls {
		if urls[i] = endpoint.One(u, secure); c.cfg.overGateway() {
			urls[i] = viaGateway(urls[i], c.cfg.TLS)
		}
	}
	slices.Sort(urls) // the list has no order of its own
	c.members.mu.Lock()
	defer c.members.mu.Unlock()
	if c.members.set != set {
		return nil // the list may be another cluster's
	}
	if !slices.Equal(urls, c.members.current) {
		c.cfg.Logger.Info("etcd: endpoints synchronized with the member list", "endpoints", urls)
		if err := c.setEndpointsLocked(urls); err != nil {
			return err
		}
	}
	c.members.synced = urls
	return nil
}

// autoSync keeps the endpoints in step with the member list until the client is closed.
func (c *Client) autoSync() {
	ctx := c.members.ctx
	if c.WaitReady(ctx) == nil {
		members.Once(ctx, c.Sync, c.unsynced)
	}
	members.Sync(ctx, c.cfg.AutoSyncInterval, c.Sync, c.unsynced)
}

// unsynced goes from the endpoints of the last Sync to the configured ones, or back: the members
// may have advertised URLs that can't be reached from here, or all of them have moved; or the
// configured ones are long gone, and the cluster was away for a while.
func (c *Client) unsynced(err error) {
	c.cfg.Logger.Info("etcd: the endpoints could not be synchronized", "cause", err)
	c.members.mu.Lock()
	defer c.members.mu.Unlock()
	m := c.members
	next := m.configured
	if m.synced != nil && slices.Equal(m.current, m.configured) {
		next = m.synced
	}
	if !slices.Equal(m.current, next) {
		_ = c.setEndpointsLocked(next) // they were valid before; or the client is closed
	}
}

// secure reports whether the connections use TLS.
func (c *Conn) secure(cfg Config) bool {
	return cfg.TLS != nil || slices.ContainsFunc(c.resolver.Addresses(), func(a resolver.Address) bool { return a.TLS }) ||
		slices.ContainsFunc(cfg.Endpoints, func(e string) bool { return strings.HasPrefix(strings.ToLower(e), "gateway+https:") })
}
