package client_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/balancer"
	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/resolver"
)

// connectProxy is an HTTP proxy that knows nothing but CONNECT.
type connectProxy struct {
	addr   string
	dial   func(ctx context.Context, addr string) (net.Conn, error)
	refuse string // what it answers in place of connecting

	mu       sync.Mutex
	requests []*http.Request
}

func startProxy(t *testing.T, dial func(context.Context, string) (net.Conn, error), refuse string) *connectProxy {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &connectProxy{addr: l.Addr().String(), dial: dial, refuse: refuse}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { p.serve(t.Context(), conn) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		wg.Wait()
	})
	return p
}

func (p *connectProxy) serve(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	req, err := http.ReadRequest(r)
	if err != nil {
		return
	}
	p.mu.Lock()
	p.requests = append(p.requests, req)
	p.mu.Unlock()
	if p.refuse != "" {
		_, _ = io.WriteString(conn, p.refuse)
		return
	}
	target, err := p.dial(ctx, req.Host)
	if err != nil {
		_, _ = fmt.Fprintf(conn, "HTTP/1.1 502 Bad Gateway\r\n\r\n%v", err)
		return
	}
	defer target.Close()
	// The answer and the server's first bytes may come as one: it waits for them.
	first := make([]byte, 4<<10)
	n, err := target.Read(first)
	if err != nil {
		return
	}
	if _, err := conn.Write(append([]byte("HTTP/1.1 200 Connection established\r\nContent-Length: 9\r\n\r\n"), first[:n]...)); err != nil {
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(target, r)
		_ = target.Close()
	}()
	_, _ = io.Copy(conn, target)
	_ = conn.Close()
	<-done
}

// asked are the hosts that it was asked for, each once.
func (p *connectProxy) asked() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []string
	for _, r := range p.requests {
		out = append(out, r.Method+" "+r.Host)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// first is the first request, to which those of connections that are still made are added.
func (p *connectProxy) first() *http.Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.requests[0]
}

// environment sets the variables of proxies, in capitals, and no others.
func environment(t *testing.T, vars map[string]string) {
	t.Helper()
	for _, name := range []string{"HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "ALL_PROXY"} {
		t.Setenv(name, vars[name])
		t.Setenv(strings.ToLower(name), "")
	}
}

// renamed dials the members under other names, as only the proxy knows them.
func renamed(c *etcdtest.Cluster, names ...string) func(context.Context, string) (net.Conn, error) {
	return func(ctx context.Context, addr string) (net.Conn, error) {
		i := slices.Index(names, addr)
		if i < 0 {
			return nil, errors.New("unknown host " + addr)
		}
		return c.Dialer()(ctx, c.Addrs()[i])
	}
}

// A proxy of the environment is used, and told the names.
func TestProxy(t *testing.T) {
	names := []string{"etcd1.test:2379", "10.9.8.7:2380"}
	for name, endpoints := range map[string][]string{
		"bare":        names,
		"http":        {"http://etcd1.test", "http://10.9.8.7:2380/"},
		"scheme dns":  {"dns:etcd1.test", "dns:10.9.8.7:2380"},
		"empty parts": {"", names[0], names[1]},
	} {
		t.Run(name, func(t *testing.T) {
			cluster := etcdtest.Start(t, 2)
			p := startProxy(t, renamed(cluster, names...), "")
			environment(t, map[string]string{"HTTPS_PROXY": "http://us%40er:pass%2Fword@" + p.addr, "NO_PROXY": "elsewhere.test"})
			c, err := client.New(client.Config{Endpoints: endpoints, Resolver: resolver.Options{KeepOrder: true}})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			if _, err := pb.NewKVClient(c.Conn()).Put(ctx, &pb.PutRequest{Key: []byte("k")}); err != nil {
				t.Fatal(err)
			}
			for _, endpoint := range names { // calls to one member go through it, too
				if _, err := c.Status(ctx, endpoint); err != nil {
					t.Error(err)
				}
			}
			if got, want := fmt.Sprint(p.asked()), "[CONNECT 10.9.8.7:2380 CONNECT etcd1.test:2379]"; got != want {
				t.Errorf("the proxy was asked %v, want %v", got, want)
			}
			for _, e := range c.Endpoints() {
				if !slices.Contains(names, e.Address) {
					t.Errorf("an endpoint is %s, want the members' own addresses", e.Address)
				}
			}
			want := "Basic " + base64.StdEncoding.EncodeToString([]byte("us@er:pass/word"))
			if got := p.first().Header.Get("Proxy-Authorization"); got != want {
				t.Errorf("Proxy-Authorization is %q, want %q", got, want)
			}
		})
	}
}

// directly checks that the proxy is not asked: the endpoints can't be reached.
func directly(t *testing.T, vars map[string]string, cfg client.Config) {
	t.Helper()
	cluster := etcdtest.Start(t, 1)
	p := startProxy(t, cluster.Dialer(), "")
	for k, v := range vars {
		vars[k] = strings.ReplaceAll(v, "PROXY", p.addr)
	}
	environment(t, vars)
	c, err := client.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	awaitFailure(t, c)
	if got := p.asked(); len(got) > 0 {
		t.Errorf("the proxy was asked %v", got)
	}
}

// awaitFailure waits until an endpoint has failed.
func awaitFailure(t *testing.T, c *client.Client) {
	t.Helper()
	failed := func(s balancer.Status) bool { return s.LastError != nil }
	deadline := time.After(10 * time.Second)
	for {
		changed := c.EndpointsChanged()
		if slices.ContainsFunc(c.Endpoints(), failed) {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("no endpoint has failed: %+v", c.Endpoints())
		}
	}
}

func TestNoProxy(t *testing.T) {
	far := []string{"unreachable.invalid:1"}
	self := []string{"127.0.0.1:1"}
	https := map[string]string{"HTTPS_PROXY": "http://PROXY"}
	for name, tt := range map[string]struct {
		vars map[string]string
		cfg  client.Config
	}{
		"excluded":            {map[string]string{"HTTPS_PROXY": "http://PROXY", "NO_PROXY": "x.test, invalid"}, client.Config{Endpoints: far}},
		"everything excluded": {map[string]string{"HTTPS_PROXY": "http://PROXY", "NO_PROXY": "*"}, client.Config{Endpoints: far}},
		"loopback":            {https, client.Config{Endpoints: self}},
		"localhost":           {https, client.Config{Endpoints: []string{"localhost:1"}}},
		"HTTP_PROXY alone":    {map[string]string{"HTTP_PROXY": "http://PROXY"}, client.Config{Endpoints: far}},
		"Config.NoProxy":      {https, client.Config{Endpoints: far, NoProxy: true}},
		"grpc.WithNoProxy":    {https, client.Config{Endpoints: far, DialOptions: []grpc.DialOption{grpc.WithUserAgent("x"), grpc.WithNoProxy()}}},
		"no URL":              {map[string]string{"HTTPS_PROXY": "http://%zz"}, client.Config{Endpoints: far}},
		"a socket":            {https, client.Config{Endpoints: []string{"unix:///nonexistent/etcd.sock"}}},
		"a dialer of its own": {https, client.Config{Endpoints: far, DialOptions: []grpc.DialOption{grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return nil, errors.ErrUnsupported })}}},
	} {
		t.Run(name, func(t *testing.T) { directly(t, tt.vars, tt.cfg) })
	}
}

// A proxy that does not connect is named, without the password, and says why.
func TestProxyRefuses(t *testing.T) {
	for name, tt := range map[string]struct{ answer, user, want string }{
		"403":                {"HTTP/1.1 403 Forbidden by rule 7\r\nContent-Length: 4\r\n\r\npage", "", `it refuses CONNECT etcd1.test:2379: 403 Forbidden by rule 7`},
		"407":                {"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "", "it wants a user and a password, as in http://user:password@host:port"},
		"407 and a user":     {"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "me:hunter2@", "it does not accept the user with this password"},
		"not HTTP":           {"SSH-2.0-OpenSSH_9.2\r\n", "", `its answer to CONNECT etcd1.test:2379: malformed HTTP`},
		"nothing":            {"HTTP/1.1 200 OK\r\n", "", "its answer to CONNECT etcd1.test:2379: unexpected EOF"},
		"too much":           {"HTTP/1.1 200 OK\r\n" + strings.Repeat("a: b\r\n", 20<<10), "me:hunter2@", "its answer to CONNECT etcd1.test:2379: malformed MIME header"},
		"control characters": {"HTTP/1.1 403 a\x1b[31mb\r\n\r\n", "", "403 a?[31mb"},
	} {
		t.Run(name, func(t *testing.T) {
			p := startProxy(t, nil, tt.answer)
			environment(t, map[string]string{"HTTPS_PROXY": "http://" + tt.user + p.addr})
			proxyError(t, tt.want, "the proxy http://"+p.addr+" (HTTPS_PROXY; NO_PROXY names what needs none): ")
		})
	}
	t.Run("nobody there", func(t *testing.T) {
		environment(t, map[string]string{"HTTPS_PROXY": "127.0.0.1:1"})
		proxyError(t, "refused", "the proxy http://127.0.0.1:1 (HTTPS_PROXY")
	})
	t.Run("SOCKS", func(t *testing.T) {
		environment(t, map[string]string{"HTTPS_PROXY": "socks5://me:hunter2@127.0.0.1:1"})
		proxyError(t, "only proxies of http:// and https:// can be used", "the proxy socks5://127.0.0.1:1 (HTTPS_PROXY")
	})
}

func proxyError(t *testing.T, wants ...string) {
	t.Helper()
	c, err := client.New(client.Config{Endpoints: []string{"etcd1.test:2379"}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	awaitFailure(t, c)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err = c.WaitReady(ctx)
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Fatalf("got %v, want an error without the password", err)
	}
	for _, want := range wants {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got  %v\nwant an error with %s", err, want)
		}
	}
}
