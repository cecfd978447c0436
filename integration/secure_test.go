package integration_test

import (
	"context"
	"crypto/tls"
	"errors"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/integration/certs"
	"github.com/getcd/getcd/integration/cluster"
)

// secured starts a cluster whose members have a certificate for the given hosts.
func secured(t *testing.T, mutual bool, hosts ...string) (*cluster.Cluster, *certs.CA) {
	t.Helper()
	ca, err := certs.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	server, err := ca.Server(hosts...)
	if err != nil {
		t.Fatal(err)
	}
	files := &cluster.TLSFiles{Cert: server.CertFile, Key: server.KeyFile}
	if mutual {
		files.CA = ca.File()
	}
	return startCluster(t, cluster.Config{ClientTLS: files, ClientCertAuth: mutual}), ca
}

func tlsConfig(t *testing.T, ca *certs.CA, present ...certs.Pair) *tls.Config {
	t.Helper()
	cfg, err := ca.ClientConfig(present...)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// refused checks that a client with cfg cannot become ready, and that the error
// gives the reason.
func refused(t *testing.T, cfg client.Config, why string) {
	t.Helper()
	c, err := client.New(checked(t, cfg))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	eventually(t, "every endpoint has failed", func() bool {
		s := c.Endpoints()
		for _, e := range s {
			if e.LastError == nil {
				return false
			}
		}
		return len(s) > 0
	})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.WaitReady(ctx); err == nil || !strings.Contains(err.Error(), why) {
		t.Errorf("got %v, want an error with %q", err, why)
	}
}

func works(t *testing.T, cfg client.Config) {
	t.Helper()
	if _, err := dial(t, cfg).Put(timeout(t), "k", "v"); err != nil {
		t.Error(err)
	}
}

func https(c *cluster.Cluster, host string) []string {
	var out []string
	for _, m := range c.Members() {
		out = append(out, "https://"+host+":"+strconv.Itoa(m.Port()))
	}
	return out
}

func TestTLSServerNames(t *testing.T) {
	c, ca := secured(t, false, "localhost", domain)
	other, err := certs.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Run("each endpoint's own", func(t *testing.T) {
		works(t, client.Config{Endpoints: https(c, "localhost"), TLS: tlsConfig(t, ca)})
		refused(t, client.Config{Endpoints: https(c, "127.0.0.1"), TLS: tlsConfig(t, ca)}, "127.0.0.1")
	})
	t.Run("one for all", func(t *testing.T) {
		cfg := tlsConfig(t, ca)
		cfg.ServerName = domain
		works(t, client.Config{Endpoints: https(c, "127.0.0.1"), TLS: cfg})
	})
	t.Run("bare endpoints with a TLS config", func(t *testing.T) {
		works(t, client.Config{Endpoints: []string{"localhost:" + strconv.Itoa(c.Members()[0].Port())}, TLS: tlsConfig(t, ca)})
	})
	t.Run("another authority", func(t *testing.T) {
		refused(t, client.Config{Endpoints: https(c, "localhost"), TLS: tlsConfig(t, other)}, "unknown authority")
		refused(t, client.Config{Endpoints: https(c, "localhost")}, "unknown authority") // the system's authorities
	})
	t.Run("plain", func(t *testing.T) {
		refused(t, client.Config{Endpoints: c.Endpoints()}, c.Endpoints()[0])
	})
	t.Run("SRV", func(t *testing.T) {
		server := startDNS(t)
		publishService(t, server, "_etcd-client-ssl", c.Endpoints())
		cfg := bySRV(server.Addr())
		cfg.TLS = tlsConfig(t, ca)
		works(t, cfg) // the certificate is for the queried domain
		cfg.Resolver.VerifyTargetNames = true
		refused(t, cfg, "etcd0")
	})
	t.Run("SRV, by files", func(t *testing.T) {
		server := startDNS(t)
		publishService(t, server, "_etcd-client-ssl", c.Endpoints())
		cfg := bySRV(server.Addr())
		cfg.TLSFiles.CA = ca.File()
		works(t, cfg)
		cfg.Resolver.VerifyTargetNames = true
		refused(t, cfg, "etcd0")
		cfg.TLSFiles.CA = other.File()
		cfg.Resolver.VerifyTargetNames = false
		refused(t, cfg, "unknown authority")
	})
	t.Run("SRV that names plain members", func(t *testing.T) {
		server := startDNS(t)
		publish(t, server, c.Endpoints())
		cfg := bySRV(server.Addr())
		cfg.TLS = tlsConfig(t, ca)
		cl, err := client.New(checked(t, cfg))
		if err != nil {
			t.Fatal(err)
		}
		defer cl.Close()
		eventually(t, "the refusal shows", func() bool { return len(cl.ResolverErrors()) > 0 })
		if s := cl.Endpoints(); len(s) > 0 {
			t.Errorf("with TLS configured, the client took the plain endpoints %v", s)
		}
	})
}

func TestMutualTLS(t *testing.T) {
	c, ca := secured(t, true, "localhost")
	stranger, err := certs.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	mine, err := ca.Client("root")
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := stranger.Client("root")
	if err != nil {
		t.Fatal(err)
	}
	works(t, client.Config{Endpoints: https(c, "localhost"), TLS: tlsConfig(t, ca, mine)})
	for name, present := range map[string][]certs.Pair{"none": nil, "of another authority": {theirs}} {
		t.Run(name, func(t *testing.T) {
			cl, err := client.New(checked(t, client.Config{Endpoints: https(c, "localhost"), TLS: tlsConfig(t, ca, present...)}))
			if err != nil {
				t.Fatal(err)
			}
			defer cl.Close()
			// In TLS 1.3 the client learns about the refusal only after its own
			// handshake, so it may believe for a moment that it is connected.
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			if _, err := cl.Get(ctx, "k"); err == nil {
				t.Error("a client without a certificate of the authority was served")
			}
		})
	}
}

// withAuth turns authentication on.
func withAuth(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	auth := pb.NewAuthClient(dial(t, client.Config{Endpoints: c.Endpoints()}).Conn())
	ctx := timeout(t)
	for _, do := range []func() error{
		func() error {
			_, err := auth.UserAdd(ctx, &pb.AuthUserAddRequest{Name: "root", Password: "secret"})
			return err
		},
		func() error { _, err := auth.RoleAdd(ctx, &pb.AuthRoleAddRequest{Name: "root"}); return err },
		func() error {
			_, err := auth.UserGrantRole(ctx, &pb.AuthUserGrantRoleRequest{User: "root", Role: "root"})
			return err
		},
		func() error { _, err := auth.AuthEnable(ctx, &pb.AuthEnableRequest{}); return err },
	} {
		if err := do(); err != nil {
			t.Fatal(err)
		}
	}
}

// Tokens live for a second. A thousand callers and a watch use several of them.
func TestTokensExpire(t *testing.T) {
	long(t)
	grpcOnly(t, "an interceptor, which counts the logins; see TestOneLoginForAll")
	const life = time.Second // of a token that is not used
	c := startCluster(t, cluster.Config{AuthTokenTTL: life, Flags: []string{"--bcrypt-cost=4"}})
	withAuth(t, c)
	var logins atomic.Int64
	cl := dial(t, client.Config{
		Endpoints: c.Endpoints(), Username: "root", Password: "secret",
		DialOptions: []grpc.DialOption{grpc.WithChainUnaryInterceptor(
			func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
				if method == pb.Auth_Authenticate_FullMethodName {
					logins.Add(1)
				}
				return invoke(ctx, method, req, reply, cc, opts...)
			})},
	})
	for round := range 3 {
		if round > 0 {
			expire(t, c)
		}
		before := logins.Load()
		var wg sync.WaitGroup
		began := time.Now()
		for i := range 1000 {
			wg.Go(func() {
				if _, err := cl.Put(timeout(t), "k"+strconv.Itoa(i%10), "v"); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		// Where the callers take longer than a token lives, the new one may expire, too.
		most := 1 + int64(time.Since(began)/life)
		if n := logins.Load() - before; round > 0 && (n < 1 || n > most) {
			t.Errorf("1,000 callers through an expired token: %d logins, want 1 to %d", n, most)
		}
	}
	wrong, err := client.New(checked(t, client.Config{Endpoints: c.Endpoints(), Username: "root", Password: "guess"}))
	if err != nil {
		t.Fatal(err)
	}
	defer wrong.Close()
	if err := wrong.WaitReady(timeout(t)); !errors.Is(err, rpctypes.ErrAuthFailed) {
		t.Errorf("a wrong password: got %v, want %v", err, rpctypes.ErrAuthFailed)
	}
	if _, err := dial(t, client.Config{Endpoints: c.Endpoints()}).Get(timeout(t), "k"); !errors.Is(err, rpctypes.ErrUserEmpty) {
		t.Errorf("without a user: got %v, want %v", err, rpctypes.ErrUserEmpty)
	}
}
