package etcdctltest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/integration/certs"
	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/integration/dnsserver"
)

// Endpoints, as people type them, mean the same to getcd as to etcdctl.
func TestEndpointsAsTyped(t *testing.T) {
	b := newBench(t, cluster.Config{Size: 1, ElectionTimeout: time.Second})
	b.pairs(t, 3)
	_, port, err := net.SplitHostPort(b.cluster.Endpoints()[0])
	if err != nil {
		t.Fatal(err)
	}
	ca, err := certs.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(b.cluster.Dir(), b.cluster.Members()[0].Name(), "control:2379")
	if _, err := os.Stat(socket); err != nil {
		t.Fatal(err)
	}
	b.vars = append(b.vars, "‹port›", port, "‹ca›", ca.File(), "‹socket›", socket)
	for _, line := range []string{
		"--endpoints :‹port›",
		"--endpoints http://:‹port›",
		"--endpoints ‹ep0›,",
		"--endpoints http://‹ep0›/",
		"--endpoints http://‹ep0›/v3?a=b#c",
		"--endpoints http://‹ep0›,https://‹ep0›",
		"--endpoints http://‹ep0› --cacert ‹ca›",
		"--endpoints http://‹ep0› --cacert ‹ca› --insecure-skip-tls-verify",
		"--endpoints http://‹ep0› --insecure-transport=false",
		"--endpoints unix://‹socket›",
		"--endpoints unix:‹socket›",
		"--endpoints http://[::ffff:127.0.0.1]:‹port›",
	} {
		b.same(t, sh(line+" get key --prefix"))
		b.same(t, sh(line+" member list"))
	}
	// The member announces the socket relative to its working directory.
	t.Chdir(filepath.Dir(socket))
	b.same(t, sh("--endpoints unix://control:2379 get key --prefix"))
	b.tally(t, 25)
}

// Renewed certificates are used when the connection to the member is made again:
// a watch outlives the certificate that it started with.
func TestWatchOutlivesItsCertificate(t *testing.T) {
	t.Parallel()
	tl := buildTools(t)
	ca, err := certs.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	server, err := ca.Server("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	c, err := cluster.Start(t.Context(), cluster.Config{
		Size: 1, ClientCertAuth: true, ElectionTimeout: time.Second,
		ClientTLS: &cluster.TLSFiles{Cert: server.CertFile, Key: server.KeyFile, CA: ca.File()},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	member := c.Members()[0]
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "user.pem"), filepath.Join(dir, "user.key")
	renew := func(end time.Time) {
		t.Helper()
		pair, err := ca.Issue(certs.Request{CommonName: "user", ClientOnly: true, NotAfter: end})
		if err := errors.Join(err, os.Rename(pair.CertFile, cert), os.Rename(pair.KeyFile, key)); err != nil {
			t.Error(err)
		}
	}
	var expires time.Time
	renewBriefly := func() {
		t.Helper()
		expires = time.Now().Add(10 * time.Second).Truncate(time.Second)
		renew(expires)
	}
	renewBriefly()

	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := command(ctx, tl.getcd, sh("watch k --cert "+cert+" --key "+key+" --cacert "+ca.File()+" --endpoints "+member.ClientURL()), strings.NewReplacer())
	var stderr strings.Builder
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	}()
	lines := bufio.NewScanner(stdout)
	kv := pb.NewKVClient(member.Control())
	put := func(value string) {
		t.Helper()
		if _, err := kv.Put(ctx, &pb.PutRequest{Key: []byte("k"), Value: []byte(value)}); err != nil {
			t.Fatal(err)
		}
	}
	until := func(value string) {
		t.Helper()
		for lines.Scan() {
			if lines.Text() == value {
				return
			}
		}
		t.Fatalf("the watch ended without %q: %v\n%s", value, lines.Err(), &stderr)
	}
	// Until an event arrives, nobody knows whether it is watching. A busy machine may take longer
	// for that than a certificate lives.
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			if time.Until(expires) < 5*time.Second {
				renewBriefly()
			}
			_, _ = kv.Put(ctx, &pb.PutRequest{Key: []byte("k"), Value: []byte("one")})
			select {
			case <-stop:
				return
			case <-time.After(100 * time.Millisecond):
			}
		}
	}()
	until("one")
	close(stop)
	<-done

	time.Sleep(time.Until(expires.Add(time.Second)))
	renew(time.Now().Add(time.Hour))
	if err := member.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := member.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	put("two")
	until("two")
}

// connectProxy is an HTTP proxy for CONNECT. Only it knows the hosts.
type connectProxy struct {
	hosts map[string]string

	mu    sync.Mutex
	asked []string
}

func (p *connectProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.asked = append(p.asked, r.Method+" "+r.Host)
	p.mu.Unlock()
	to, ok := p.hosts[r.Host]
	if !ok || r.Method != http.MethodConnect {
		http.Error(w, "not for "+r.Host, http.StatusForbidden)
		return
	}
	target, err := new(net.Dialer).DialContext(r.Context(), "tcp", to)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer target.Close()
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	// Do not use net/http here: it would announce a body, which gRPC reads.
	if _, err := io.WriteString(conn, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(target, buffered)
		_ = target.Close()
	}()
	_, _ = io.Copy(conn, target)
	_ = conn.Close()
	<-done
}

// requests returns the distinct requests since the last call.
func (p *connectProxy) requests() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := slices.Clone(p.asked)
	p.asked = nil
	slices.Sort(out)
	return slices.Compact(out)
}

// The library, the façade and the tool reach members through the environment's
// proxy, with the same names as etcdctl.
func TestThroughAProxy(t *testing.T) {
	tl := buildTools(t)
	ca, err := certs.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	server, err := ca.Server("127.0.0.1", "etcd1.example", "etcd2.example", "etcd.example")
	if err != nil {
		t.Fatal(err)
	}
	c, err := cluster.Start(t.Context(), cluster.Config{Size: 1, ClientTLS: &cluster.TLSFiles{Cert: server.CertFile, Key: server.KeyFile}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	p := &connectProxy{hosts: map[string]string{"etcd1.example:2379": c.Endpoints()[0], "etcd2.example:2379": c.Endpoints()[0]}}
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	proxy := &http.Server{Handler: p, ReadHeaderTimeout: time.Minute}
	go func() { _ = proxy.Serve(l) }()
	t.Cleanup(func() { _ = proxy.Close() })
	t.Setenv("HTTPS_PROXY", "http://"+l.Addr().String())
	for _, name := range []string{"https_proxy", "NO_PROXY", "no_proxy"} {
		t.Setenv(name, "")
	}

	names := []string{"https://etcd1.example:2379", "https://etcd2.example:2379"}
	want := []string{"CONNECT etcd1.example:2379", "CONNECT etcd2.example:2379"}
	line := sh("endpoint health --cacert " + ca.File() + " --endpoints " + strings.Join(names, ","))
	for _, path := range []string{tl.etcdctl, tl.getcd} {
		if r := run(t, path, line, strings.NewReplacer()); r.code != 0 {
			t.Errorf("%s: exit status %d: %s", filepath.Base(path), r.code, r.stderr)
		}
		if got := p.requests(); !slices.Equal(got, want) {
			t.Errorf("%s asked the proxy %q, want %q", filepath.Base(path), got, want)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	files := client.TLSFiles{CA: ca.File()}
	lib, err := client.Dial(ctx, client.Config{Endpoints: names, TLSFiles: files})
	if err != nil {
		t.Fatal(err)
	}
	defer lib.Close()
	if _, err := lib.Put(ctx, "k", "v"); err != nil {
		t.Error(err)
	}
	secure, err := ca.ClientConfig()
	if err != nil {
		t.Fatal(err)
	}
	old, err := clientv3.New(clientv3.Config{Endpoints: names, TLS: secure})
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	if _, err := old.Get(ctx, "k"); err != nil {
		t.Error(err)
	}
	if got := p.requests(); len(got) == 0 || !slices.Contains(want, got[0]) {
		t.Errorf("the library and the façade asked the proxy %q", got)
	}

	// SRV records are queried here, but the names in them are left to the proxy.
	// The certificate must be for the domain.
	dns, err := dnsserver.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dns.Close() })
	if err := dns.SetSRV("_etcd-client-ssl-blue._tcp.etcd.example.", time.Minute, dnsserver.SRV{Port: 2379, Target: "etcd1.example."}, dnsserver.SRV{Port: 2379, Target: "etcd2.example."}); err != nil {
		t.Fatal(err)
	}
	host, port, _ := net.SplitHostPort(dns.Addr())
	conf := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, "nameserver [%s]:%s\nsearch example\noptions ndots:5\n", host, port), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := client.Config{Endpoints: []string{"dns+srv:///etcd?name=blue"}, TLSFiles: files}
	cfg.Resolver.ResolvConf = conf
	cfg.TLS, _ = ca.ClientConfig()
	cfg.TLS.RootCAs, cfg.TLS.ServerName = nil, "etcd.example" // the domain is only etcd, as typed
	srv, err := client.Dial(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	if _, err := srv.Get(ctx, "k"); err != nil {
		t.Error(err)
	}
	if got := p.requests(); len(got) == 0 || !slices.Contains(want, got[0]) {
		t.Errorf("by SRV the proxy was asked %q", got)
	}
}
