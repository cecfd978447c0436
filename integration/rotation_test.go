package integration_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	etcd "go.etcd.io/etcd/client/v3"
	etcdyaml "go.etcd.io/etcd/client/v3/yaml"

	"github.com/getcd/getcd/auth"
	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/config"
	"github.com/getcd/getcd/integration/certs"
	"github.com/getcd/getcd/integration/cluster"
)

// replace puts text in the place of a file at once, as programs that rotate secrets do.
func replace(t *testing.T, file string, text []byte) {
	t.Helper()
	if err := os.WriteFile(file+".new", text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
}

func contents(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// restartEach restarts one member after the other, so that all connections are new.
func restartEach(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	for _, m := range c.Members() {
		if err := m.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := m.Restart(timeout(t)); err != nil {
			t.Fatal(err)
		}
		if err := c.WaitHealthy(timeout(t)); err != nil {
			t.Fatal(err)
		}
	}
}

// configured makes a client's configuration of a file's text.
func configured(t *testing.T, format string, args ...any) client.Config {
	t.Helper()
	cfg, err := config.Parse("client.yaml", fmt.Appendf(nil, format, args...), nil)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// A password is changed while a client works, in the program's store before the cluster
// and the other way around. What waits meanwhile goes on afterwards.
func TestRotatedPassword(t *testing.T) {
	long(t)
	t.Parallel()
	c := startCluster(t, cluster.Config{Flags: []string{"--bcrypt-cost=4"}})
	withAuth(t, c)
	admin := auth.New(dial(t, client.Config{Endpoints: c.Endpoints(), Username: "root", Password: "secret"}).Conn())
	if _, err := admin.UserAdd(timeout(t), "app", "first"); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.UserGrantRole(timeout(t), "app", "root"); err != nil {
		t.Fatal(err)
	}
	store := filepath.Join(t.TempDir(), "password")
	replace(t, store, []byte("first\n"))
	app := dial(t, configured(t, "endpoints: [http://%s]\nusername: app\npassword-file: %s\n", strings.Join(c.Endpoints(), ", http://"), store))
	fixed := dial(t, client.Config{Endpoints: c.Endpoints(), Username: "app", Password: "first"})
	put := func(cl *client.Client, ctx context.Context, value string) error {
		_, err := cl.Put(ctx, "k", value)
		return err
	}
	events := app.Watch(t.Context(), "k")
	granted, err := app.Grant(timeout(t), 60)
	if err != nil {
		t.Fatal(err)
	}
	keeper, err := app.Keep(t.Context(), granted.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, cl := range []*client.Client{app, fixed} {
		if err := put(cl, timeout(t), "first"); err != nil {
			t.Fatal(err)
		}
	}

	replace(t, store, []byte("second\n"))
	if _, err := admin.UserChangePassword(timeout(t), "app", "second"); err != nil {
		t.Fatal(err)
	}
	if err := put(app, timeout(t), "second"); err != nil {
		t.Errorf("the store first: %v", err)
	}
	if err := put(fixed, timeout(t), "fixed"); !errors.Is(err, rpctypes.ErrAuthFailed) {
		t.Errorf("a client with a fixed password: got %v, want %v", err, rpctypes.ErrAuthFailed)
	}

	if _, err := admin.UserChangePassword(timeout(t), "app", "third"); err != nil {
		t.Fatal(err)
	}
	restartEach(t, c) // the watch and the keeper have to log in, too
	// On a busy machine no login may end in that time.
	for patience := time.Second; patience < 20*time.Second; patience *= 2 {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		err = put(app, ctx, "too early")
		cancel()
		if errors.Is(err, rpctypes.ErrAuthFailed) || !errors.Is(err, context.DeadlineExceeded) {
			break
		}
	}
	if !errors.Is(err, rpctypes.ErrAuthFailed) || !errors.Is(err, context.DeadlineExceeded) || client.IsAmbiguous(err) {
		t.Errorf("before the store has the password: got %v, want %v, certainly not applied", err, rpctypes.ErrAuthFailed)
	}
	done := make(chan error, 1)
	go func() { done <- put(app, timeout(t), "third") }()
	before := time.Now()
	replace(t, store, []byte("third\n"))
	if err := <-done; err != nil {
		t.Errorf("the cluster first: %v", err)
	}

	var got []string
	for len(got) == 0 || got[len(got)-1] != "third" {
		resp, ok := <-events
		if !ok || resp.Err() != nil {
			t.Fatalf("the watch has ended: %v", resp.Err())
		}
		for _, e := range resp.Events {
			got = append(got, string(e.Kv.Value))
		}
	}
	if want := "[first first second third]"; fmt.Sprint(got) != want {
		t.Errorf("the watch has seen %v, want %v", got, want)
	}
	eventually(t, "the lease is renewed", func() bool {
		return keeper.Err() != nil || keeper.Deadline().After(before.Add(58*time.Second))
	})
	if err := keeper.Err(); err != nil {
		t.Errorf("the keeper has ended: %v", err)
	}
}

// The members get certificates of another authority, while a client works that reads its
// authorities from a file.
func TestRotatedAuthority(t *testing.T) {
	long(t)
	t.Parallel()
	grpcOnly(t, "connections of gRPC; see TestGatewayReadsFilesAgain")
	first, second := authority(t), authority(t)
	dir := t.TempDir()
	served := cluster.TLSFiles{Cert: filepath.Join(dir, "server.pem"), Key: filepath.Join(dir, "server.key")}
	serve := func(ca *certs.CA) {
		t.Helper()
		pair, err := ca.Server("localhost", "127.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		replace(t, served.Cert, contents(t, pair.CertFile))
		replace(t, served.Key, contents(t, pair.KeyFile))
	}
	serve(first)
	trusted := filepath.Join(dir, "ca.pem")
	one, other := contents(t, first.File()), contents(t, second.File())
	replace(t, trusted, one)
	c := startCluster(t, cluster.Config{ClientTLS: &served})

	cl := dial(t, configured(t, "endpoints: [%s]\ntrusted-ca-file: %s\n", strings.Join(https(c, "localhost"), ", "), trusted))
	fixed := dial(t, client.Config{Endpoints: https(c, "localhost"), TLS: tlsConfig(t, first)})
	for _, step := range []struct {
		name    string
		trusted []byte
		serves  *certs.CA
	}{
		{"both authorities", append(one, other...), first},
		{"members of the second", append(one, other...), second},
		{"half a file", other[:len(other)/2], second},
		{"the second alone", other, second},
	} {
		replace(t, trusted, step.trusted)
		serve(step.serves)
		restartEach(t, c)
		if _, err := cl.Put(timeout(t), "k", step.name); err != nil {
			t.Errorf("%s: %v", step.name, err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, err := fixed.Put(ctx, "k", "fixed"); err == nil || !strings.Contains(err.Error(), "unknown authority") {
		t.Errorf("a client with a fixed authority: got %v, want an unknown authority", err)
	}
	serve(first)
	restartEach(t, c)
	ctx, cancel = context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, err := cl.Put(ctx, "k", "v"); err == nil || !strings.Contains(err.Error(), "unknown authority") {
		t.Errorf("an authority that is no longer trusted: got %v, want an unknown authority", err)
	}
}

func authority(t *testing.T) *certs.CA {
	t.Helper()
	ca, err := certs.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

// A client's certificate expires, after another one has taken its place on disk.
func TestRotatedClientCertificate(t *testing.T) {
	long(t)
	t.Parallel()
	grpcOnly(t, "connections of gRPC; see TestGatewayReadsFilesAgain")
	c, ca := secured(t, true, "localhost")
	long, err := ca.Client("app")
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	works(t, client.Config{Endpoints: https(c, "localhost"), TLS: tlsConfig(t, ca, long)})
	// Two clients connect before it expires, on a busy machine too.
	expires := time.Now().Add(4*time.Second + 5*time.Since(begin))
	short, err := ca.Issue(certs.Request{CommonName: "app", ClientOnly: true, NotAfter: expires})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "client.pem"), filepath.Join(dir, "client.key")
	replace(t, cert, contents(t, short.CertFile))
	replace(t, key, contents(t, short.KeyFile))
	cl := dial(t, configured(t, "endpoints: [%s]\ntrusted-ca-file: %s\ncert-file: %s\nkey-file: %s\n", strings.Join(https(c, "localhost"), ", "), ca.File(), cert, key))
	fixed := dial(t, client.Config{Endpoints: https(c, "localhost"), TLS: tlsConfig(t, ca, short)})
	for _, cl := range []*client.Client{cl, fixed} {
		if _, err := cl.Put(timeout(t), "k", "first"); err != nil {
			t.Fatal(err)
		}
	}
	replace(t, cert, contents(t, long.CertFile)) // which does not fit the key for a moment
	restartEach(t, c)
	if _, err := cl.Put(timeout(t), "k", "between"); time.Now().Before(expires) && err != nil {
		t.Errorf("a certificate without its key: the last pair should be in use: %v", err)
	}
	replace(t, key, contents(t, long.KeyFile))
	time.Sleep(time.Until(expires.Add(time.Second))) // certificates count whole seconds
	restartEach(t, c)
	if _, err := cl.Put(timeout(t), "k", "second"); err != nil {
		t.Errorf("with the new certificate: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, err := fixed.Put(ctx, "k", "fixed"); err == nil || !strings.Contains(err.Error(), "has expired") {
		t.Errorf("a client with a fixed certificate: got %v, want one that has expired", err)
	}
}

// A typo in trusted-ca-file: clientv3 ignores the key, and its user sees a timeout.
func TestUnknownConfigurationKey(t *testing.T) {
	t.Parallel()
	grpcOnly(t, "a file for gRPC")
	c, ca := secured(t, false, "localhost")
	text := fmt.Sprintf("endpoints: [%s]\ntrusted-ca-fiel: %s\n", strings.Join(https(c, "localhost"), ", "), ca.File())
	file := filepath.Join(t.TempDir(), "client.yaml")
	replace(t, file, []byte(text))

	theirs, err := etcdyaml.NewConfig(file)
	if err != nil {
		t.Fatal(err)
	}
	cl, err := etcd.New(*theirs)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := cl.Get(ctx, "k"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("clientv3: got %v, want a timeout", err)
	}

	_, err = config.Load(file)
	if want := "config: " + file + ":2: trusted-ca-fiel: no such setting; did you mean trusted-ca-file?"; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	replace(t, file, []byte(strings.Replace(text, "fiel", "file", 1)))
	cfg, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dial(t, cfg).Put(timeout(t), "k", "v"); err != nil {
		t.Error(err)
	}
}
