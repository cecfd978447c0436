package integration_test

import (
	"context"
	"io"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/getcd/getcd/balancer"
	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/integration/cluster"
)

// forward forwards connections from address to target.
func forward(t *testing.T, address, target string) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Skipf("NOT TESTED: this system does not listen on %s: %v", address, err)
	}
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	wg.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer func() { _ = in.Close() }()
				out, err := new(net.Dialer).DialContext(ctx, "tcp", target)
				if err != nil {
					return
				}
				defer context.AfterFunc(ctx, func() { _, _ = in.Close(), out.Close() })()
				wg.Go(func() {
					_, _ = io.Copy(in, out) // until either end is closed
					_ = in.Close()
				})
				_, _ = io.Copy(out, in)
				_ = out.Close()
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		cancel()
		wg.Wait()
	})
}

// A bare name that the system resolves to several addresses becomes all of them,
// and the client moves away from one that fails.
func TestBareNameOfSeveralMembers(t *testing.T) {
	c := startCluster(t, cluster.Config{})
	server := startDNS(t)
	if err := server.SetA("members.test.", time.Second, "127.0.0.2", "127.0.0.3", "127.0.0.4"); err != nil {
		t.Fatal(err)
	}
	system := net.DefaultResolver
	t.Cleanup(func() { net.DefaultResolver = system })
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, server.Addr())
	}}
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0") // a free port
	if err != nil {
		t.Fatal(err)
	}
	_, port := split(t, l.Addr().String())
	_ = l.Close()
	byAddress := map[string]*cluster.Member{}
	for i, host := range []string{"127.0.0.2", "127.0.0.3", "127.0.0.4"} {
		address := net.JoinHostPort(host, strconv.Itoa(int(port)))
		forward(t, address, c.Members()[i].Endpoint())
		byAddress[address] = c.Members()[i]
	}
	cl := dial(t, client.Config{Endpoints: []string{net.JoinHostPort("members.test", strconv.Itoa(int(port)))}})
	endpoints := cl.Endpoints()
	if len(endpoints) != 3 {
		t.Fatalf("endpoints %v, want three", endpoints)
	}
	for _, e := range endpoints {
		if e.Role != balancer.Active {
			continue
		}
		if err := byAddress[e.Address].Pause(); err != nil {
			t.Fatal(err)
		}
		// The second read does not wait at all: the client has left the address.
		for range 2 {
			start := time.Now()
			if _, err := cl.Get(timeout(t), "k"); err != nil {
				t.Errorf("with %s stalled: %v", e.Address, err)
			}
			const most = 3 * time.Second // on a busy machine; the stall lasts longer
			if took := time.Since(start); took > most {
				t.Errorf("with %s stalled a read took %v, want %v at most", e.Address, took, most)
			}
		}
		if err := byAddress[e.Address].Continue(); err != nil {
			t.Fatal(err)
		}
	}
}
