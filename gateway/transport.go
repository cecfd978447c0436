package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/getcd/getcd/internal/handshake"
)

// transports speak HTTP. There is one at a time: net/http keeps the TLS configuration that
// it begins with, so another one needs another transport.
type transports struct {
	opts     Options // read-only
	identity handshake.Identity
	current  atomic.Pointer[http.Transport]

	renewing sync.Mutex  // comes before mu
	tls      *tls.Config // guarded by renewing: the current one's

	mu    sync.Mutex           // a leaf
	conns map[*connection]bool // guarded by mu: those that are open, also earlier transports'; nil after close
}

// connection is known to its transports until it is closed.
type connection struct {
	net.Conn
	of *transports
}

func newTransports(o Options) *transports {
	t := &transports{opts: o, tls: o.TLS, conns: make(map[*connection]bool)}
	t.current.Store(t.with(o.TLS))
	return t
}

// with makes a transport that has a TLS configuration.
func (t *transports) with(secure *tls.Config) *http.Transport {
	o := t.opts
	o.TLS = secure
	one := newTransport(o, &t.identity)
	dial := one.DialContext
	one.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if t.outdated(secure) {
			return nil, errRenewed
		}
		raw, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return t.opened(raw)
	}
	return one
}

// opened takes note of a connection. After close there is none any more.
func (t *transports) opened(raw net.Conn) (net.Conn, error) {
	c := &connection{raw, t}
	t.mu.Lock()
	closed := t.conns == nil
	if !closed {
		t.conns[c] = true
	}
	t.mu.Unlock()
	if closed {
		_ = raw.Close()
		return nil, net.ErrClosed
	}
	return c, nil
}

// Close implements net.Conn.
func (c *connection) Close() error {
	c.of.mu.Lock()
	delete(c.of.conns, c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}

// RoundTrip implements http.RoundTripper.
func (t *transports) RoundTrip(req *http.Request) (*http.Response, error) {
	for {
		resp, err := t.current.Load().RoundTrip(req)
		if !errors.Is(err, errRenewed) { // if it is, nothing of the body was read
			return resp, err
		}
	}
}

// errRenewed is why a transport does not connect whose configuration is no longer right.
var errRenewed = errors.New("gateway: the TLS configuration has changed")

// outdated reports whether connections must have another configuration than secure. The
// current transport has that. What is in use of the one before ends with its requests, or when it
// has been idle for a while.
func (t *transports) outdated(secure *tls.Config) bool {
	if t.opts.RenewTLS == nil {
		return false
	}
	t.renewing.Lock()
	defer t.renewing.Unlock()
	if now := t.opts.RenewTLS(t.tls); now != t.tls {
		t.tls = now
		t.current.Swap(t.with(now)).CloseIdleConnections()
	}
	return t.tls != secure
}

// close closes the connections, which nobody uses any more.
func (t *transports) close() {
	t.current.Load().CloseIdleConnections()
	t.mu.Lock()
	left := t.conns
	t.conns = nil
	t.mu.Unlock()
	for c := range left {
		_ = c.Close()
	}
}
