package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// transports speak HTTP. There is one at a time: net/http keeps the TLS configuration that
// it begins with, so another one needs another transport. They are used without http.Client,
// which would follow redirects: a request goes where it is told to or nowhere.
type transports struct {
	opts    Options // read-only after begin
	current atomic.Pointer[http.Transport]

	mu   sync.Mutex
	tls  *tls.Config       // guarded by mu: the current one's
	past []*http.Transport // guarded by mu: they may have connections that are in use
}

func (t *transports) begin(o Options) {
	t.opts, t.tls = o, o.TLS
	t.current.Store(t.newTransport(o.TLS))
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
		last := t.current.Swap(t.newTransport(now))
		t.past = append(t.past, last)
		for _, p := range t.past {
			p.CloseIdleConnections()
		}
	}
	return t.tls != secure
}

func (t *transports) newTransport(secure *tls.Config) *http.Transport {
	dialer := net.Dialer{Timeout: 5 * time.Second, KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: 5 * time.Second, Interval: 2 * time.Second, Count: 3,
	}}
	own := &tls.Config{MinVersion: tls.VersionTLS12}
	if secure != nil {
		own = secure.Clone() // HTTP sets NextProtos
	}
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if t.outdated(secure) {
				return nil, errRenewed
			}
			return dialer.DialContext(ctx, network, addr)
		},
		TLSClientConfig:     own,
		TLSHandshakeTimeout: 5 * time.Second,
		ForceAttemptHTTP2:   true,
		DisableCompression:  true, // a small answer must not become a large one
		MaxIdleConnsPerHost: 2 * maxSlots,
		IdleConnTimeout:     time.Minute,
		HTTP2:               &http.HTTP2Config{SendPingTimeout: max(t.opts.PingInterval, 0), PingTimeout: t.opts.PingTimeout},
	}
}

// close closes the connections, which nobody uses any more.
func (t *transports) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range append(t.past, t.current.Load()) {
		p.CloseIdleConnections()
	}
}
