package client_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/test/bufconn"

	"github.com/getcd/getcd/client"
)

// greeter is a TLS server that does nothing but the handshake, over and over.
type greeter struct {
	*bufconn.Listener

	config atomic.Pointer[tls.Config]
	shown  atomic.Value // the last client's common name, or an error
}

func (g *greeter) serve() {
	for {
		conn, err := g.Accept()
		if err != nil {
			return
		}
		secure := tls.Server(conn, g.config.Load())
		if err := secure.HandshakeContext(context.Background()); err != nil {
			g.shown.Store("error: " + err.Error())
		} else {
			g.shown.Store(secure.ConnectionState().PeerCertificates[0].Subject.CommonName)
		}
		_ = conn.Close()
	}
}

// next returns what a handshake shows that begins after the call.
func (g *greeter) next() string {
	time.Sleep(2 * time.Second) // the bubble's clock
	g.shown.Store("nobody connects")
	time.Sleep(2 * time.Second)
	return g.shown.Load().(string)
}

// pemOf returns a certificate and its key as files have them.
func pemOf(t *testing.T, c tls.Certificate) (cert, key []byte) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for _, raw := range c.Certificate {
		cert = append(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw})...)
	}
	return cert, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

// write puts text in the place of the file at once.
func write(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// What is renewed on disk is taken for new connections; what can't be used is not, and
// is logged once.
func TestTLSFilesAreReadAgain(t *testing.T) { synctest.Test(t, filesAreReadAgain) }

func filesAreReadAgain(t *testing.T) {
	a, b := newAuthority(t), newAuthority(t)
	dir := t.TempDir()
	files := client.TLSFiles{Cert: filepath.Join(dir, "cert"), Key: filepath.Join(dir, "key"), CA: filepath.Join(dir, "ca")}
	oneCert, oneKey := pemOf(t, a.issue(t, "one", time.Hour))
	twoCert, twoKey := pemOf(t, a.issue(t, "two", time.Hour))
	write(t, files.Cert, oneCert)
	write(t, files.Key, oneKey)
	write(t, files.CA, a.pem())
	serving := func(by *authority) *tls.Config {
		return &tls.Config{
			Certificates: []tls.Certificate{by.issue(t, "server", time.Hour)},
			ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: a.pool(), MinVersion: tls.VersionTLS13,
		}
	}
	g := &greeter{Listener: bufconn.Listen(64 << 10)}
	defer g.Close()
	g.config.Store(serving(a))
	go g.serve()
	var records lockedBuffer
	c, err := client.New(client.Config{
		Endpoints: []string{"127.0.0.1:2379"}, TLSFiles: files, Logger: slog.New(slog.NewTextHandler(&records, nil)),
		DialOptions: []grpc.DialOption{grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return g.DialContext(ctx) })},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	expect := func(when, want string) {
		t.Helper()
		if got := g.next(); !strings.HasPrefix(got, want) {
			t.Errorf("%s: the handshake shows %q, want %q", when, got, want)
		}
	}
	expect("at first", "one")
	write(t, files.Cert, twoCert)
	expect("a certificate without its key", "one")
	expect("a certificate without its key, later", "one")
	write(t, files.Key, twoKey[:len(twoKey)/2])
	expect("half a key", "one")
	write(t, files.Key, twoKey)
	expect("the whole pair", "two")
	write(t, files.Cert, append(twoCert, oneCert[:len(oneCert)/2]...))
	expect("half a chain", "two")
	if err := os.Remove(files.Cert); err != nil {
		t.Fatal(err)
	}
	expect("no file", "two")
	write(t, files.Cert, twoCert)

	g.config.Store(serving(b))
	expect("members by another authority", "error: ")
	both := append(a.pem(), b.pem()...)
	write(t, files.CA, both[:len(both)-20])
	expect("half an authority", "error: ")
	write(t, files.CA, nil)
	expect("no authority", "error: ")
	write(t, files.CA, both)
	expect("both authorities", "two")
	g.config.Store(serving(a))
	expect("the first authority again", "two")

	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	for what, want := range map[string]int{
		"a file for TLS can't be used": 6, "ends within a block of PEM": 3, "no such file": 1, "has no certificate in PEM form": 1, "private key does not match": 1,
	} {
		if n := strings.Count(records.String(), what); n != want {
			t.Errorf("%d records with %q, want %d:\n%s", n, what, want, &records)
		}
	}
}

func TestBadTLSFiles(t *testing.T) {
	a := newAuthority(t)
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	cert, key := pemOf(t, a.issue(t, "app", time.Hour))
	_, otherKey := pemOf(t, a.issue(t, "other", time.Hour))
	write(t, at("cert"), cert)
	write(t, at("key"), key)
	write(t, at("other"), otherKey)
	write(t, at("half"), cert[:len(cert)/2])
	write(t, at("empty"), nil)
	for _, tt := range []struct {
		files client.TLSFiles
		tls   *tls.Config
		want  string
	}{
		{client.TLSFiles{Cert: at("cert")}, nil, "give both, or none"},
		{client.TLSFiles{Key: at("key")}, nil, "give both, or none"},
		{client.TLSFiles{Cert: at("none"), Key: at("key")}, nil, "the client's certificate: open " + at("none")},
		{client.TLSFiles{Cert: at("cert"), Key: at("none")}, nil, "the client's key: open " + at("none")},
		{client.TLSFiles{Cert: at("cert"), Key: at("other")}, nil, "private key does not match"},
		{client.TLSFiles{Cert: at("half"), Key: at("key")}, nil, at("half") + " ends within a block of PEM"},
		{client.TLSFiles{CA: at("none")}, nil, "the certificate authorities: open"},
		{client.TLSFiles{CA: at("key")}, nil, at("key") + " has no certificate"},
		{client.TLSFiles{CA: at("empty")}, nil, "has no certificate"},
		{client.TLSFiles{Cert: at("cert"), Key: at("key")}, &tls.Config{Certificates: make([]tls.Certificate, 1), MinVersion: tls.VersionTLS12}, "leave out one"},
		{client.TLSFiles{CA: at("cert")}, &tls.Config{RootCAs: a.pool(), MinVersion: tls.VersionTLS12}, "leave out one"},
	} {
		c, err := client.New(client.Config{Endpoints: []string{"127.0.0.1:1"}, TLSFiles: tt.files, TLS: tt.tls})
		if err == nil {
			_ = c.Close()
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: %v, want an error with %q", tt.files, err, tt.want)
		}
	}
}

// lockedBuffer is a bytes.Buffer for a log.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
