package client_test

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/getcd/getcd/client"
)

// Over the JSON gateway, too, what is renewed on disk is taken for new connections.
func TestGatewayReadsFilesAgain(t *testing.T) {
	a, b := newAuthority(t), newAuthority(t)
	dir := t.TempDir()
	files := client.TLSFiles{Cert: filepath.Join(dir, "cert"), Key: filepath.Join(dir, "key"), CA: filepath.Join(dir, "ca")}
	show := func(name string) {
		t.Helper()
		cert, key := pemOf(t, a.issue(t, name, time.Hour))
		write(t, files.Cert, cert)
		write(t, files.Key, key)
	}
	show("one")
	write(t, files.CA, a.pem())

	var serving atomic.Pointer[tls.Config]
	serve := func(by *authority) {
		serving.Store(&tls.Config{
			Certificates: []tls.Certificate{by.issue(t, "server", time.Hour)}, NextProtos: []string{"h2"},
			ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: a.pool(), MinVersion: tls.VersionTLS13,
		})
	}
	serve(a)
	var shown atomic.Value
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		shown.Store(r.TLS.PeerCertificates[0].Subject.CommonName)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"header":{"cluster_id":"1","member_id":"2","revision":"3","raft_term":"4"}}`))
	}))
	s.EnableHTTP2 = true
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.TLS = &tls.Config{MinVersion: tls.VersionTLS13, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return serving.Load(), nil }}
	s.StartTLS()
	defer s.Close()

	c, err := client.New(client.Config{Endpoints: []string{"gateway+" + s.URL}, TLSFiles: files})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	both := append(a.pem(), b.pem()...)
	for _, step := range []struct {
		name   string
		change func()
		want   string // the name that the client shows
	}{
		{"at first", func() {}, "one"},
		{"another certificate", func() { show("two") }, "two"},
		{"both authorities", func() { write(t, files.CA, both) }, "two"},
		{"the gateway is of the other", func() { serve(b) }, "two"},
		{"half a file, and another certificate", func() { write(t, files.CA, both[:len(both)-20]); show("three") }, "three"},
	} {
		step.change()
		s.CloseClientConnections()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		_, err := c.Get(ctx, "k")
		cancel()
		if got := shown.Load(); err != nil || got != step.want {
			t.Errorf("%s: got %v, and %v was shown, want %s", step.name, err, got, step.want)
		}
	}
	write(t, files.CA, a.pem())
	s.CloseClientConnections()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := c.Get(ctx, "k"); err == nil || !strings.Contains(err.Error(), "unknown authority") {
		t.Errorf("an authority that is no longer trusted: got %v", err)
	}
}
