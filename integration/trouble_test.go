package integration_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	original "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/integration/certs"
	"github.com/getcd/getcd/integration/cluster"
)

// complaint is what a client with cfg, which can't connect, says in the end: the
// error of its WaitReady, and its log.
func complaint(t *testing.T, cfg client.Config, patience time.Duration) (text, log string) {
	t.Helper()
	var out bytes.Buffer // Close waits for the last record
	cfg.Logger = slog.New(slog.NewTextHandler(&out, nil))
	c, err := client.New(checked(t, cfg))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err = c.WaitReady(ctx)
	_ = c.Close()
	if err == nil {
		t.Fatal("the client is connected")
	}
	return err.Error(), out.String()
}

// says checks that a client with cfg, which can't connect, gives the reason for each
// endpoint, in its error and in its log.
func says(t *testing.T, cfg client.Config, why string) {
	t.Helper()
	text, log := complaint(t, cfg, time.Second)
	// On a busy machine an attempt may not have ended by then, or when the record was written.
	for try := 1; try < 10 && strings.Contains(text+log, "not connected"); try++ {
		text, log = complaint(t, cfg, time.Second<<(try/4))
	}
	record := ""
	for line := range strings.Lines(log) {
		if strings.Contains(line, "level=WARN") && strings.Contains(line, "no endpoint can be reached") {
			record = line
		}
	}
	for _, e := range cfg.Endpoints {
		_, address, found := strings.Cut(e, "://")
		if !found {
			address = e
		}
		for where, said := range map[string]string{"the error": text, "the record": record} {
			_, reason, _ := strings.Cut(said, address+": ")
			reason, _, _ = strings.Cut(reason, "; ")
			if !strings.Contains(reason, why) {
				t.Errorf("of %s %s says %q, want in it %q", e, where, reason, why)
			}
		}
	}
	for _, jargon := range []string{"broken pipe", "connection error: desc", "<nil>", "use of closed network connection", "{"} {
		if strings.Contains(text+log, jargon) {
			t.Errorf("got %s\n%swant no %q", text, log, jargon)
		}
	}
}

// A client that can't connect says why, once and for each endpoint.
func TestWordsOfTheUnconnected(t *testing.T) {
	long(t)
	t.Parallel()
	c, ca := secured(t, true, "127.0.0.1")
	plain := startCluster(t, cluster.Config{Size: 1})
	t.Run("nobody there", func(t *testing.T) {
		says(t, client.Config{Endpoints: []string{"127.0.0.1:1", "127.0.0.1:2"}}, "connection refused")
	})
	t.Run("plain at TLS", func(t *testing.T) {
		says(t, client.Config{Endpoints: c.Endpoints()}, "it may expect TLS: name the endpoint https://")
	})
	t.Run("TLS at plain", func(t *testing.T) {
		says(t, client.Config{Endpoints: https(plain, "127.0.0.1"), TLS: tlsConfig(t, ca)}, "it may have no TLS: name the endpoint http://")
	})
	t.Run("expired", func(t *testing.T) {
		old, err := ca.Issue(certs.Request{CommonName: "app", ClientOnly: true, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			cfg := tlsConfig(t, ca, old)
			cfg.MaxVersion = version
			for range 3 { // which of reading and writing fails first differs
				says(t, client.Config{Endpoints: https(c, "127.0.0.1"), TLS: cfg}, "the client's certificate CN=app has expired, on ")
			}
		}
	})
	t.Run("refused by an alert", func(t *testing.T) {
		other, err := certs.New(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		foreign, err := other.Client("app")
		if err != nil {
			t.Fatal(err)
		}
		cfg := tlsConfig(t, ca, foreign)
		cert := cfg.Certificates[0]
		cfg.Certificates, cfg.GetClientCertificate = nil, func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
		for range 3 {
			says(t, client.Config{Endpoints: https(c, "127.0.0.1"), TLS: cfg}, "the server has refused the client's certificate CN=app: remote error: tls: unknown certificate authority")
		}
	})
	t.Run("no certificate", func(t *testing.T) {
		says(t, client.Config{Endpoints: https(c, "127.0.0.1"), TLS: tlsConfig(t, ca)}, "the server asks for a client certificate, and there is none that it would accept")
	})
}

// Over the JSON gateway a client says so, too: net/http knows as little as gRPC.
func TestWordsOfTheUnconnectedGateway(t *testing.T) {
	long(t)
	t.Parallel()
	c, ca := secured(t, true, "127.0.0.1")
	plain := startCluster(t, cluster.Config{Size: 1})
	old, err := ca.Issue(certs.Request{ClientOnly: true, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	tlsMember, plainMember := c.Endpoints()[0], plain.Endpoints()[0]
	for name, tt := range map[string]struct {
		cfg  client.Config
		want string
	}{
		"plain at TLS":   {client.Config{Endpoints: []string{"gateway+http://" + tlsMember}}, "it may expect TLS: name the endpoint https://"},
		"TLS at plain":   {client.Config{Endpoints: []string{"gateway+https://" + plainMember}, TLS: tlsConfig(t, ca)}, "it may have no TLS: name the endpoint http://"},
		"expired":        {client.Config{Endpoints: []string{"gateway+https://" + tlsMember}, TLS: tlsConfig(t, ca, old)}, "the client's certificate has expired, on "},
		"no certificate": {client.Config{Endpoints: []string{"gateway+https://" + tlsMember}, TLS: tlsConfig(t, ca)}, "there is none that it would accept"},
	} {
		t.Run(name, func(t *testing.T) {
			for range 5 { // which of reading and writing fails first differs
				cfg := tt.cfg
				cl, err := client.New(cfg)
				if err != nil {
					t.Fatal(err)
				}
				// On a busy machine no attempt may end in that time, and none has a reason.
				for patience := 300 * time.Millisecond; patience < 10*time.Second; patience *= 2 {
					ctx, cancel := context.WithTimeout(t.Context(), patience)
					err = cl.WaitReady(ctx)
					cancel()
					if err == nil || !strings.Contains(err.Error(), "Canceled: context canceled") {
						break
					}
				}
				_ = cl.Close()
				if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "closed network") {
					t.Errorf("got %v, want in it %q", err, tt.want)
				}
			}
		})
	}
}

// An expired certificate of a member is told, too.
func TestWordsOfAnExpiredMember(t *testing.T) {
	t.Parallel()
	ca, err := certs.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	old, err := ca.Issue(certs.Request{CommonName: "member", Hosts: []string{"127.0.0.1"}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	c := startCluster(t, cluster.Config{Size: 1, ClientTLS: &cluster.TLSFiles{Cert: old.CertFile, Key: old.KeyFile}})
	says(t, client.Config{Endpoints: https(c, "127.0.0.1"), TLS: tlsConfig(t, ca)}, "certificate has expired")
}

// A write under way on a member that is stopped ends with words about the member, not
// about this side's socket.
func TestWordsOfASeveredWrite(t *testing.T) {
	long(t)
	t.Parallel()
	for name, options := range map[string][]grpc.DialOption{
		"given up": nil,
		// Only the end of the connection ends a call whose interceptor drops its context.
		"severed": {grpc.WithUnaryInterceptor(func(_ context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			return invoke(context.Background(), method, req, reply, cc, opts...) //nolint:contextcheck // the fault
		})},
	} {
		t.Run(name, func(t *testing.T) {
			c := startCluster(t, cluster.Config{})
			cl := dial(t, client.Config{Endpoints: c.Endpoints(), DialOptions: options})
			var err error
			eventually(t, "a write is sent to a stopped member", func() bool { // the client may have just left it
				if err := c.WaitHealthy(timeout(t)); err != nil {
					t.Fatal(err)
				}
				if _, err := cl.Put(timeout(t), "k", "v"); err != nil { // the next is sent at once
					t.Fatal(err)
				}
				victim := activeMember(t, cl, c)
				pause(t, victim)
				_, err = cl.Put(timeout(t), "k", "w")
				if err := victim.Continue(); err != nil {
					t.Fatal(err)
				}
				return err != nil
			})
			t.Log(err)
			if !client.IsAmbiguous(err) || !strings.Contains(err.Error(), "the member stopped answering") || strings.Contains(err.Error(), "closed network") {
				t.Errorf("got %v, want doubt, and that the member stopped answering", err)
			}
		})
	}
}

// A member that accepts connections and says nothing, such as one that is stopped, is
// told from one that is not there.
func TestWordsOfAMuteMember(t *testing.T) {
	long(t)
	t.Parallel()
	c := startCluster(t, cluster.Config{Size: 1})
	m := c.Members()[0]
	if err := m.Pause(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = m.Continue() }()
	cl, err := client.New(client.Config{Endpoints: c.Endpoints()})
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	eventually(t, "the connection has failed", func() bool {
		s := cl.Endpoints()
		return len(s) > 0 && s[0].LastError != nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err = cl.WaitReady(ctx)
	if err == nil || !strings.Contains(err.Error(), "the member accepts connections, but does not answer") {
		t.Errorf("got %v, want that the member does not answer", err)
	}
}

// A refused password is told as such, and by the call that needed the login.
func TestWordsOfARefusedLogin(t *testing.T) {
	t.Parallel()
	c := startCluster(t, cluster.Config{Size: 1})
	withAuth(t, c)
	cl, err := client.New(client.Config{Endpoints: c.Endpoints(), Username: "root", Password: "wrong"})
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	const want = "login failed: etcdserver: authentication failed, invalid user ID or password"
	if err := cl.WaitReady(timeout(t)); err == nil || !strings.HasPrefix(err.Error(), "etcd WaitReady: "+want) {
		t.Errorf("got %v, want %s", err, want)
	}
	if _, err := cl.Put(timeout(t), "k", "v"); err == nil || !strings.HasPrefix(err.Error(), "etcd Put: "+want) {
		t.Errorf("got %v, want %s", err, want)
	}
}

// The façade's errors are clientv3's, without the words that are for getcd's users.
func TestWordsOfTheFacade(t *testing.T) {
	t.Parallel()
	c, _ := secured(t, false, "127.0.0.1")
	get := func(cc grpc.ClientConnInterface) string {
		_, err := pb.NewKVClient(cc).Range(timeout(t), &pb.RangeRequest{Key: []byte("k")})
		text := status.Convert(err).Message()
		return regexp.MustCompile(`(EOF|(read tcp .*: )?connection reset by peer)`).ReplaceAllString(text, "EOF")
	}
	original, err := original.New(original.Config{Endpoints: c.Endpoints()[:1]})
	if err != nil {
		t.Fatal(err)
	}
	defer original.Close()
	facade, err := clientv3.New(clientv3.Config{Endpoints: c.Endpoints()[:1]})
	if err != nil {
		t.Fatal(err)
	}
	defer facade.Close()
	if got, want := get(facade.ActiveConnection()), get(original.ActiveConnection()); got != want || !strings.HasPrefix(want, "connection error: desc = ") {
		t.Errorf("plain at TLS: got %s, want clientv3's %s", got, want)
	}
}
