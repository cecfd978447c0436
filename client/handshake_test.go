package client_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/getcd/getcd/client"
)

// authority signs what issue makes, for the tests of one run.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{cert: &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}}
	a.key, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	der, err := x509.CreateCertificate(rand.Reader, a.cert, a.cert, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	a.cert, _ = x509.ParseCertificate(der)
	return a
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

// issue makes a certificate that ends at the given time from now.
func (a *authority) issue(t *testing.T, name string, end time.Duration) tls.Certificate {
	t.Helper()
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(end),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// What is wrong with the client's certificate is told, though in TLS 1.3 the server
// says it when the client has begun to write.
func TestRefusedClientCertificate(t *testing.T) {
	a, other := newAuthority(t), newAuthority(t)
	for name, c := range map[string]struct {
		show []tls.Certificate
		want string
	}{
		"expired":           {[]tls.Certificate{a.issue(t, "app", -time.Minute)}, "the client's certificate CN=app has expired, on 2"},
		"none":              {nil, "the server asks for a client certificate"},
		"another authority": {[]tls.Certificate{other.issue(t, "app", time.Hour)}, "unknown certificate authority"},
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			t.Run(name+" "+tls.VersionName(version), func(t *testing.T) {
				l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a test's
				if err != nil {
					t.Fatal(err)
				}
				s := grpc.NewServer(grpc.Creds(credentials.NewTLS(&tls.Config{
					Certificates: []tls.Certificate{a.issue(t, "server", time.Hour)},
					ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: a.pool(), MaxVersion: version, MinVersion: tls.VersionTLS12,
				})))
				go func() { _ = s.Serve(l) }()
				defer s.Stop()
				cl, err := client.New(client.Config{
					Endpoints: []string{"https://" + l.Addr().String()},
					TLS:       &tls.Config{RootCAs: a.pool(), Certificates: c.show, MinVersion: tls.VersionTLS12},
				})
				if err != nil {
					t.Fatal(err)
				}
				defer cl.Close()
				awaitFailure(t, cl)
				ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
				defer cancel()
				if err := cl.WaitReady(ctx); err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("got %v, want it to tell that %s", err, c.want)
				}
			})
		}
	}
}
