package integration_test

import (
	"context"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"google.golang.org/grpc/connectivity"

	"github.com/getcd/getcd/balancer"
	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/integration/dnsserver"
	"github.com/getcd/getcd/resolver"
)

const (
	domain = "etcd.example"
	ttl    = time.Second
)

func startDNS(t *testing.T) *dnsserver.Server {
	t.Helper()
	s, err := dnsserver.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// publish makes the zone list the endpoints, as etcd01.etcd.example and so on,
// for plain connections.
func publish(t *testing.T, s *dnsserver.Server, endpoints []string) {
	t.Helper()
	publishService(t, s, "_etcd-client", endpoints)
}

func publishService(t *testing.T, s *dnsserver.Server, service string, endpoints []string) {
	t.Helper()
	var records []dnsserver.SRV
	for i, e := range endpoints {
		host, port := split(t, e)
		name := "etcd0" + strconv.Itoa(i+1) + "." + domain + "."
		if err := s.SetA(name, ttl, host); err != nil {
			t.Fatal(err)
		}
		records = append(records, dnsserver.SRV{Priority: 10, Weight: 10, Port: port, Target: name})
	}
	if err := s.SetSRV(service+"._tcp."+domain+".", ttl, records...); err != nil {
		t.Fatal(err)
	}
}

func split(t *testing.T, endpoint string) (host string, port uint16) {
	t.Helper()
	host, p, err := net.SplitHostPort(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.ParseUint(p, 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	return host, uint16(n)
}

func bySRV(server string) client.Config {
	return client.Config{
		Endpoints: []string{"dns+srv://" + server + "/" + domain},
		Resolver:  resolver.Options{MinTTL: ttl},
	}
}

func addresses(c *client.Client) []string {
	var out []string
	for _, s := range c.Endpoints() {
		out = append(out, s.Address)
	}
	slices.Sort(out)
	return out
}

// The members move while the client is connected. Its connections break, and the
// zone has the new addresses.
func TestFollowMovedMembers(t *testing.T) {
	t.Parallel()
	c := startCluster(t, cluster.Config{})
	server := startDNS(t)
	publish(t, server, c.Endpoints())
	cl := dial(t, bySRV(server.Addr()))
	if _, err := cl.Put(timeout(t), "k", "v"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := c.Move(timeout(t)); err != nil {
			t.Fatal(err)
		}
		publish(t, server, c.Endpoints())
		resp, err := cl.Get(timeout(t), "k")
		if err != nil || len(resp.Kvs) != 1 {
			t.Fatalf("after the move: got %v and error %v, want the key", resp, err)
		}
		if got, want := addresses(cl), slices.Sorted(slices.Values(c.Endpoints())); !slices.Equal(got, want) {
			t.Errorf("the client knows %q, want %q", got, want)
		}
	}
}

// The zone changes while everything works, so no failure makes the client look.
// Nothing that is in progress may notice.
func TestFollowZoneAtTTL(t *testing.T) {
	t.Parallel()
	c := startCluster(t, cluster.Config{})
	server := startDNS(t)
	all := c.Endpoints()
	publish(t, server, all[:2])
	cl := dial(t, bySRV(server.Addr()))
	ctx, stop := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() {
		defer close(failed)
		for pace(ctx) {
			if _, err := cl.Put(context.WithoutCancel(ctx), "k", "v"); err != nil {
				failed <- err
				return
			}
		}
	}()
	publish(t, server, all[2:])
	eventually(t, "the client connects to what the zone lists now", func() bool {
		s := cl.Endpoints()
		// The client opens two connections to a single address.
		old := func(s balancer.Status) bool { return !strings.HasPrefix(s.Address, all[2]) }
		return !slices.ContainsFunc(s, old) && s[0].Role == balancer.Active && s[0].State == connectivity.Ready
	})
	stop()
	if err := <-failed; err != nil {
		t.Errorf("a put failed during the change: %v", err)
	}
}

// The DNS server is unavailable for several TTLs, during which a member dies: the
// client keeps the addresses that it knows.
func TestKeepAddressesWithoutDNS(t *testing.T) {
	long(t)
	t.Parallel()
	for name, breakDNS := range map[string]func(*dnsserver.Server){
		"away":     func(s *dnsserver.Server) { _ = s.Stop() },
		"silent":   func(s *dnsserver.Server) { s.Drop(true) },
		"SERVFAIL": func(s *dnsserver.Server) { s.SetRcode(dns.RcodeServerFailure) },
		"empty":    func(s *dnsserver.Server) { s.Remove("_etcd-client._tcp." + domain + ".") },
		"garbage":  func(s *dnsserver.Server) { s.SetGarbage(dnsserver.GarbageBytes) },
	} {
		t.Run(name, func(t *testing.T) {
			c := startCluster(t, cluster.Config{})
			server := startDNS(t)
			publish(t, server, c.Endpoints())
			cl := dial(t, bySRV(server.Addr()))
			want := addresses(cl)
			breakDNS(server)
			eventually(t, "the failure shows", func() bool { return len(cl.ResolverErrors()) > 0 })
			for _, s := range cl.Endpoints() {
				if s.Role == balancer.Active {
					for _, m := range c.Members() {
						if m.Endpoint() == s.Address {
							if err := m.Kill(); err != nil {
								t.Fatal(err)
							}
						}
					}
				}
			}
			if _, err := cl.Get(timeout(t), "k"); err != nil {
				t.Errorf("a read: %v", err)
			}
			if got := addresses(cl); !slices.Equal(got, want) {
				t.Errorf("the client knows %q, want %q", got, want)
			}
		})
	}
}
