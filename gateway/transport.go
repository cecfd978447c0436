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

	mu   sync.Mutex
	tls  *tls.Config       // guarded by mu: the current one's
	past []*http.Transport // guarded by mu: they may have connections that are in use
}

func newTransports(o Options) *transports {
	t := &transports{opts: o, tls: o.TLS}
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
		return dial(ctx, network, addr)
	}
	return one
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
// current transport has that.
func (t *transports) outdated(secure *tls.Config) bool {
	if t.opts.RenewTLS == nil {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if now := t.opts.RenewTLS(t.tls); now != t.tls {
		t.tls = now
		t.past = append(t.past, t.current.Swap(t.with(now)))
		for _, p := range t.past {
			p.CloseIdleConnections()
		}
	}
	return t.tls != secure
}

// close closes the connections, which nobody uses any more.
func (t *transports) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range append(t.past, t.current.Load()) {
		p.CloseIdleConnections()
	}
}
