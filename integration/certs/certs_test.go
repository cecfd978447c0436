package certs_test

import (
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/getcd/getcd/integration/certs"
)

func authority(t *testing.T) *certs.CA {
	t.Helper()
	ca, err := certs.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

// handshake performs a TLS handshake over a pipe. It returns the name that the
// client presented, and the errors of both sides.
func handshake(t *testing.T, ca *certs.CA, server certs.Pair, client *tls.Config) (string, error) {
	t.Helper()
	cert, err := tls.LoadX509KeyPair(server.CertFile, server.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	for _, c := range []net.Conn{a, b} {
		if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	serving := tls.Server(a, &tls.Config{
		Certificates: []tls.Certificate{cert},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    ca.Pool(),
		MinVersion:   tls.VersionTLS12,
	})
	served := make(chan error, 1)
	go func() {
		err := serving.HandshakeContext(t.Context())
		if err != nil {
			err = errors.Join(err, a.Close())
		}
		served <- err
	}()
	clientErr := tls.Client(b, client).HandshakeContext(t.Context())
	if clientErr != nil {
		clientErr = errors.Join(clientErr, b.Close())
	}
	if err := errors.Join(clientErr, <-served); err != nil {
		return "", err
	}
	return serving.ConnectionState().PeerCertificates[0].Subject.CommonName, nil
}

func TestCertificates(t *testing.T) {
	ca, other := authority(t), authority(t)
	issue := func(pair certs.Pair, err error) certs.Pair {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return pair
	}
	server := issue(ca.Server("localhost", "etcd.example", "127.0.0.1", "::1"))
	expired := issue(ca.Issue(certs.Request{Hosts: []string{"localhost"}, NotAfter: time.Now().Add(-time.Minute)}))
	alice := issue(ca.Client("alice"))
	stranger := issue(other.Client("stranger"))
	for _, tc := range []struct {
		name, serverName string
		server, client   certs.Pair
		trusts           *certs.CA
		want             string // in the error; empty means success
	}{
		{"name", "etcd.example", server, alice, ca, ""},
		{"address", "127.0.0.1", server, alice, ca, ""},
		{"IPv6 address", "::1", server, alice, ca, ""},
		{"server as client", "localhost", server, server, ca, ""},
		{"another name", "other.example", server, alice, ca, "other.example"},
		{"client as server", "alice", alice, alice, ca, "failed to verify certificate"},
		{"another authority", "localhost", server, alice, other, "unknown authority"},
		{"a stranger", "localhost", server, stranger, ca, "didn't provide a certificate"},
		{"expired", "localhost", expired, alice, ca, "expired"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg, err := tc.trusts.ClientConfig(tc.client)
			if err != nil {
				t.Fatal(err)
			}
			cfg.ServerName = tc.serverName
			cfg.MaxVersion = tls.VersionTLS12 // so that both sides fail in the handshake
			name, err := handshake(t, ca, tc.server, cfg)
			switch {
			case tc.want == "" && err != nil:
				t.Fatal(err)
			case tc.want == "" && tc.client == alice && name != "alice":
				t.Errorf("the client is %q, want alice", name)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("got %v, want an error with %q", err, tc.want)
			}
		})
	}
}

func TestMisuse(t *testing.T) {
	if _, err := certs.New("no-such-directory"); err == nil {
		t.Error("an authority was made in a directory that does not exist")
	}
	ca := authority(t)
	if _, err := ca.Server(); err == nil {
		t.Error("a certificate was made for a server without a host")
	}
	if _, err := ca.ClientConfig(certs.Pair{CertFile: "no-such-file"}); err == nil {
		t.Error("a missing certificate was presented")
	}
}
