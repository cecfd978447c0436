package client

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"golang.org/x/net/http/httpproxy"
	"google.golang.org/grpc/credentials"

	"github.com/getcd/getcd/resolver"
)

// dialer makes the connections, through the proxy that the environment names if there
// is one.
type dialer struct {
	// proxy returns the proxy for a URL; nil for none. A nil proxy has none for all.
	proxy func(*url.URL) (*url.URL, error)
}

// newDialer reads the environment as gRPC does (its delegatingresolver, and net/http):
// every connection counts as one to https://host, so that HTTPS_PROXY is the one that
// is used, with TLS and without; but for what NO_PROXY names, and this machine itself.
func newDialer(cfg Config) dialer {
	env := httpproxy.FromEnvironment()
	if cfg.NoProxy || env.HTTPSProxy == "" || disablesProxy(cfg.DialOptions) {
		return dialer{}
	}
	if !isURL(env.HTTPSProxy) {
		// It is not shown: there may be a password in it.
		cfg.Logger.Warn("etcd: a proxy is no URL, and is not used: write http://host:port", "variable", "HTTPS_PROXY")
	}
	return dialer{env.ProxyFunc()}
}

// isURL reports whether httpproxy makes anything of s, with a scheme or without.
func isURL(s string) bool {
	_, err := url.Parse(s)
	_, without := url.Parse("http://" + s)
	return err == nil || without == nil
}

// proxied reports whether addr is reached through a proxy, as far as addr itself tells.
func (d dialer) proxied(addr string) bool { return d.proxyOf(addr) != nil }

func (d dialer) proxyOf(addr string) *url.URL {
	if d.proxy == nil {
		return nil
	}
	p, err := d.proxy(&url.URL{Scheme: "https", Host: addr})
	if err != nil {
		return nil // as gRPC has it
	}
	return p
}

// through returns the proxy by which to reach a, or nil. NO_PROXY may have its address,
// or the name that it was found by.
func (d dialer) through(a resolver.Address) *url.URL {
	p := d.proxyOf(a.String())
	name := cmp.Or(a.Target, a.ServerName)
	if p != nil && name != "" && !d.proxied(net.JoinHostPort(name, strconv.Itoa(int(a.Port)))) {
		return nil
	}
	return p
}

// tcp makes connections. Idle ones, which etcd does not let clients ping, are kept
// honest by TCP's own keepalive.
func tcp() *net.Dialer {
	return &net.Dialer{KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: 5 * time.Second, Interval: 2 * time.Second, Count: 3,
	}}
}

// dial connects to an address of the resolver's.
func (d dialer) dial(ctx context.Context, addr string) (net.Conn, error) {
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		return tcp().DialContext(ctx, "unix", strings.TrimPrefix(path, "//"))
	}
	proxy := d.proxyOf(addr)
	if a, ok := resolver.FromAttributes(credentials.ClientHandshakeInfoFromContext(ctx).Attributes); ok {
		proxy = d.through(a)
	}
	if proxy == nil {
		return tcp().DialContext(ctx, "tcp", addr)
	}
	conn, err := dialThrough(ctx, proxy, addr)
	if err != nil {
		// Who set the variable is often another one than who reads this.
		return nil, fmt.Errorf("the proxy %s://%s (HTTPS_PROXY; NO_PROXY names what needs none): %w", proxy.Scheme, proxy.Host, err)
	}
	return conn, nil
}

// dialThrough has the proxy connect to addr (CONNECT: RFC 9110, section 9.3.6).
func dialThrough(ctx context.Context, proxy *url.URL, addr string) (net.Conn, error) {
	port := map[string]string{"http": "80", "https": "443"}[proxy.Scheme]
	if port == "" {
		return nil, errors.New("only proxies of http:// and https:// can be used")
	}
	raw, err := tcp().DialContext(ctx, "tcp", net.JoinHostPort(proxy.Hostname(), cmp.Or(proxy.Port(), port)))
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() }) // ends what must not be waited for
	conn := raw
	if proxy.Scheme == "https" {
		conn = tls.Client(raw, &tls.Config{MinVersion: tls.VersionTLS12, ServerName: proxy.Hostname()})
	}
	err = connect(conn, proxy.User, addr)
	if !stop() {
		err = context.Cause(ctx)
	}
	if err != nil {
		_ = raw.Close() // the first error is the one that tells
		return nil, err
	}
	return conn, nil
}

// maxProxyAnswer is more than any proxy has to say.
const maxProxyAnswer = 64 << 10

// connect asks the proxy at the other end of conn for addr. What follows its answer is
// left in conn.
func connect(conn net.Conn, user *url.Userinfo, addr string) error {
	req := &http.Request{Method: http.MethodConnect, URL: &url.URL{Host: addr}, Header: http.Header{"User-Agent": {"getcd"}}}
	if user != nil {
		password, _ := user.Password()
		req.SetBasicAuth(user.Username(), password)
		req.Header["Proxy-Authorization"] = req.Header["Authorization"]
		req.Header.Del("Authorization")
	}
	if err := req.Write(conn); err != nil {
		return fmt.Errorf("CONNECT %s: %w", addr, err)
	}
	answer := bufio.NewReader(io.LimitReader(oneByte{conn}, maxProxyAnswer))
	resp, err := http.ReadResponse(answer, req) //nolint:bodyclose // to close it would read it, and what follows is the member's, or nobody's
	if err != nil {
		return fmt.Errorf("its answer to CONNECT %s: %w", addr, err)
	}
	if resp.StatusCode/100 == 2 {
		return nil
	}
	hint := ""
	if resp.StatusCode == http.StatusProxyAuthRequired {
		hint = "; it wants a user and a password, as in http://user:password@host:port"
		if user != nil {
			hint = "; it does not accept the user with this password"
		}
	}
	return fmt.Errorf("it refuses CONNECT %s: %s%s", addr, visible(resp.Status), hint)
}

// visible is what of s fits into an error.
func visible(s string) string {
	s = strings.ToValidUTF8(s[:min(len(s), 100)], "?")
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s)
}

// oneByte reads byte by byte, so that nothing is read that does not belong to the
// answer: servers of HTTP/2 speak first (RFC 9113, section 3.4).
type oneByte struct{ net.Conn }

func (o oneByte) Read(p []byte) (int, error) { return o.Conn.Read(p[:min(1, len(p))]) }
