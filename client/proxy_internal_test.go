package client

import (
	"context"
	"errors"
	"net"
	"net/url"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/getcd/getcd/resolver"
)

// NO_PROXY has the names by which addresses were found, and the addresses.
func TestThroughAProxy(t *testing.T) {
	t.Setenv("https_proxy", "")
	t.Setenv("no_proxy", "")
	t.Setenv("HTTPS_PROXY", "proxy.test:3128")
	t.Setenv("NO_PROXY", ".svc,10.0.0.0/8,etcd9.test:2379")
	d := newDialer(Config{})
	for _, tt := range []struct {
		host, server, target string
		want                 bool
	}{
		{"etcd1.test", "etcd1.test", "", true},
		{"192.0.2.1", "etcd1.test", "", true},
		{"192.0.2.1", "etcd.db.svc", "", false},
		{"etcd.db.svc", "", "", false},
		{"10.1.2.3", "etcd1.test", "", false},
		{"192.0.2.1", "etcd9.test", "", false},
		{"192.0.2.1", "example.test", "etcd1.test", true},
		{"192.0.2.1", "example.test", "etcd1.db.svc", false},
		{"192.0.2.1", "etcd.db.svc", "etcd1.test", true}, // the domain of an SRV name is no host
		{"127.0.0.1", "etcd1.test", "", false},
		{"::1", "etcd1.test", "", false},
		{"localhost", "localhost", "", false},
	} {
		p := d.through(resolver.Address{Network: "tcp", Host: tt.host, Port: 2379, ServerName: tt.server, Target: tt.target})
		if (p != nil) != tt.want || p != nil && p.String() != "http://proxy.test:3128" {
			t.Errorf("%s, found by %q and %q: the proxy %v, want one: %v", tt.host, tt.server, tt.target, p, tt.want)
		}
	}
}

func TestDisablesProxy(t *testing.T) {
	type own struct{ grpc.EmptyDialOption }
	for name, tt := range map[string]struct {
		opts []grpc.DialOption
		want bool
	}{
		"none":   {nil, false},
		"others": {[]grpc.DialOption{grpc.WithUserAgent("a"), nil, grpc.EmptyDialOption{}, own{}, &own{}, grpc.WithLocalDNSResolution()}, false},
		"it":     {[]grpc.DialOption{grpc.WithUserAgent("a"), grpc.WithNoProxy()}, true},
	} {
		if got := disablesProxy(tt.opts); got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}

// A proxy that says nothing is not waited for.
func TestSilentProxy(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() // whose queue takes the connection
	for _, scheme := range []string{"http", "https"} {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		_, err = dialThrough(ctx, &url.URL{Scheme: scheme, Host: l.Addr().String()}, "etcd1.test:2379")
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v, want the context's error", scheme, err)
		}
	}
}
