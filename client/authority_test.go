package client_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/resolver"
)

// viaMember dials the first member, whatever the address.
func viaMember(cluster *etcdtest.Cluster) grpc.DialOption {
	return grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
		return cluster.Dialer()(ctx, cluster.Member(0).Addr())
	})
}

// found registers scheme found, whose one address is a.
func found(t *testing.T, a resolver.Address) *resolver.Registry {
	t.Helper()
	reg := resolver.NewRegistry()
	err := reg.Register("found", func(*url.URL, resolver.SourceOptions) (resolver.Source, error) {
		return source(func(context.Context) (resolver.Result, error) {
			return resolver.Result{Addresses: []resolver.Address{a}}, nil
		}), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return reg
}

type source func(context.Context) (resolver.Result, error)

func (s source) Resolve(ctx context.Context) (resolver.Result, error) { return s(ctx) }

// The member sees the endpoint that was dialed (RFC 9113, section 8.3.1): proxies
// route by it, and nginx answers 400 for an IPv6 address without brackets.
func TestAuthority(t *testing.T) {
	srv := resolver.Address{Network: "tcp", Host: "10.0.0.7", Port: 1, ServerName: "example.com", Target: "etcd-0.example.com"}
	for _, tt := range []struct {
		endpoint string
		options  []grpc.DialOption
		want     string
	}{
		{"etcd.example.com:2379", nil, "etcd.example.com:2379"},
		{"http://etcd.example.com.:1", nil, "etcd.example.com:1"},
		{"10.0.0.1", nil, "10.0.0.1:2379"},
		{"[::1]:2379", nil, "[::1]:2379"},
		{"http://[fe80::1%25eth0]:1", nil, "[fe80::1]:1"},
		{"unix:///run/etcd.sock", nil, "localhost"},
		{"found:", nil, "example.com:1"},
		{"[::1]:2379", []grpc.DialOption{grpc.WithAuthority("etcd.internal")}, "etcd.internal"},
	} {
		t.Run(fmt.Sprint(tt.endpoint, len(tt.options)), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cluster := etcdtest.Start(t, 1)
				c, err := client.New(client.Config{
					Endpoints:   []string{tt.endpoint},
					Resolver:    resolver.Options{Registry: found(t, srv)},
					DialOptions: append(tt.options, viaMember(cluster)),
				})
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if _, err := c.Get(ctx, "k"); err != nil {
					t.Fatal(err)
				}
				if got := cluster.Member(0).LastMetadata(pb.KV_Range_FullMethodName).Get(":authority"); fmt.Sprint(got) != fmt.Sprint([]string{tt.want}) {
					t.Errorf(":authority %q, want %q", got, tt.want)
				}
			})
		})
	}
}

// selfSigned returns a certificate that is valid for name alone, and a pool of it.
func selfSigned(t *testing.T, name string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	if ip := net.ParseIP(name); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{name}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// The port in the authority is no part of the name that TLS checks.
func TestTLSName(t *testing.T) {
	srv := resolver.Address{Network: "tcp", Host: "10.0.0.7", Port: 1, ServerName: "example.com", Target: "etcd-0.example.com", TLS: true}
	for _, tt := range []struct {
		endpoint, serverName string
		options              []grpc.DialOption
		want, authority      string
	}{
		{"https://etcd.example.com:2379", "", nil, "etcd.example.com", "etcd.example.com:2379"},
		{"https://10.0.0.1:2379", "", nil, "10.0.0.1", "10.0.0.1:2379"},
		{"https://[::1]:2379", "", nil, "::1", "[::1]:2379"},
		{"unix:///run/etcd.sock", "", nil, "localhost", "localhost"},
		{"unixs://10.0.0.1:m0", "", nil, "10.0.0.1", "localhost"},
		{"unixs:///run/etcd1:m0", "", nil, "etcd1", "localhost"},
		{"unixs://etcd1:m0", "etcd.internal", nil, "etcd.internal", "localhost"},
		{"unixs://etcd1:m0", "", []grpc.DialOption{grpc.WithAuthority("proxy")}, "proxy", "proxy"},
		{"found:", "", nil, "example.com", "example.com:1"},
		{"https://[::1]:2379", "etcd.internal", nil, "etcd.internal", "[::1]:2379"},
		{"https://[::1]:2379", "", []grpc.DialOption{grpc.WithAuthority("proxy:1")}, "proxy", "proxy:1"},
	} {
		t.Run(fmt.Sprint(tt.endpoint, tt.serverName, len(tt.options)), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cert, pool := selfSigned(t, tt.want)
				serve := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
				cluster := etcdtest.Start(t, 1, grpc.Creds(credentials.NewTLS(serve)))
				c, err := client.New(client.Config{
					Endpoints:   []string{tt.endpoint},
					TLS:         &tls.Config{MinVersion: tls.VersionTLS12, ServerName: tt.serverName, RootCAs: pool},
					Resolver:    resolver.Options{Registry: found(t, srv)},
					DialOptions: append(tt.options, viaMember(cluster)),
				})
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if _, err := c.Get(ctx, "k"); err != nil {
					t.Fatal(err)
				}
				if got := cluster.Member(0).LastMetadata(pb.KV_Range_FullMethodName).Get(":authority"); fmt.Sprint(got) != fmt.Sprint([]string{tt.authority}) {
					t.Errorf(":authority %q, want %q", got, tt.authority)
				}
			})
		})
	}
}
