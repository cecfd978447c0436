package integration_test

import (
	"net"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/miekg/dns"
	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/integration/dnsserver"
	"github.com/getcd/getcd/integration/loopback"
)

// publishTiers makes the zone list endpoints with several priorities. The first
// tier is the most preferred.
func publishTiers(t *testing.T, s *dnsserver.Server, tiers ...[]string) {
	t.Helper()
	var records []dnsserver.SRV
	for priority, endpoints := range tiers {
		for i, e := range endpoints {
			host, port := split(t, e)
			name := "tier" + strconv.Itoa(priority) + "-" + strconv.Itoa(i) + "." + domain + "."
			if err := s.SetA(name, ttl, host); err != nil {
				t.Fatal(err)
			}
			records = append(records, dnsserver.SRV{Priority: uint16(priority), Port: port, Target: name})
		}
	}
	if err := s.SetSRV("_etcd-client._tcp."+domain+".", ttl, records...); err != nil {
		t.Fatal(err)
	}
}

// connected reports whether the client has a connection to the endpoint that it
// would use.
func connected(cl *client.Client, endpoint string) bool {
	s, ok := endpointStatus(cl, endpoint)
	return ok && s.State == connectivity.Ready && s.Demoted == nil
}

// A member is replaced by one with another address while the client uses it. The
// zone is only updated afterwards, as administrators do it.
func TestMemberReplaced(t *testing.T) {
	c := startCluster(t, cluster.Config{})
	server := startDNS(t)
	publish(t, server, c.Endpoints())
	cl := dial(t, bySRV(server.Addr()))
	w := startWitness(t, cl, "replaced/")
	old := activeMember(t, cl, c)
	members := c.Members()
	via := members[(slices.Index(members, old)+1)%len(members)].Control()
	if err := old.Remove(timeout(t), via); err != nil {
		t.Fatal(err)
	}
	w.awaitProgress(t)
	added, err := c.AddLearner(timeout(t), via, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := added.Promote(timeout(t), via); err != nil {
		t.Fatal(err)
	}
	publish(t, server, c.Endpoints())
	want := slices.Sorted(slices.Values(c.Endpoints()))
	eventually(t, "the client knows the members that are", func() bool { return slices.Equal(addresses(cl), want) })
	// The other members die one by one, which moves the client to the new one.
	for _, m := range c.Members() {
		if m == added {
			continue
		}
		if err := m.Kill(); err != nil {
			t.Fatal(err)
		}
		w.awaitProgress(t)
		if activeMember(t, cl, c) == added {
			break
		}
		if err := m.Restart(timeout(t)); err != nil {
			t.Fatal(err)
		}
		eventually(t, "a standby", func() bool {
			return slices.ContainsFunc(c.Members(), func(m *cluster.Member) bool {
				return m != activeMember(t, cl, c) && connected(cl, m.Endpoint())
			})
		})
	}
	w.finish(t)
}

// Slow DNS delays only the first connection. Later, nobody waits for DNS while a
// member is connected.
func TestSlowDNS(t *testing.T) {
	long(t)
	t.Parallel()
	const delay = time.Second
	c := startCluster(t, cluster.Config{})
	server := startDNS(t)
	publish(t, server, c.Endpoints())
	server.SetDelay(delay)
	start := time.Now()
	cl := dial(t, bySRV(server.Addr()))
	if took := time.Since(start); took < delay {
		t.Fatalf("connected after %v, before the DNS server has answered", took)
	}
	w := startWitness(t, cl, "slow/")
	victim := activeMember(t, cl, c)
	if err := victim.Kill(); err != nil {
		t.Fatal(err)
	}
	w.awaitProgress(t)
	if err := victim.RestartOn(timeout(t), 0); err != nil {
		t.Fatal(err)
	}
	publish(t, server, c.Endpoints())
	want := slices.Sorted(slices.Values(c.Endpoints()))
	eventually(t, "the client knows where the member is now", func() bool { return slices.Equal(addresses(cl), want) })
	w.finish(t)
}

// The name stops existing, or its server fails, after it was good. What works
// continues to work. If all members have moved meanwhile, the client connects as
// soon as DNS has their addresses.
func TestDNSFailsAndRecovers(t *testing.T) {
	long(t)
	t.Parallel()
	for name, fault := range map[string]struct{ begin, end func(*dnsserver.Server) }{
		"NXDOMAIN": {func(s *dnsserver.Server) { s.SetRcode(dns.RcodeNameError) }, (*dnsserver.Server).Behave},
		"SERVFAIL": {func(s *dnsserver.Server) { s.SetRcode(dns.RcodeServerFailure) }, (*dnsserver.Server).Behave},
		"no data": {func(s *dnsserver.Server) {
			s.Remove("_etcd-client._tcp." + domain + ".")
			_ = s.Set("_etcd-client._tcp."+domain+".", "TXT", ttl, `"nothing here"`)
		}, func(*dnsserver.Server) {}},
		"too slow": {func(s *dnsserver.Server) { s.SetDelay(3 * time.Second) }, (*dnsserver.Server).Behave},
	} {
		t.Run(name, func(t *testing.T) {
			c := startCluster(t, cluster.Config{Size: 1})
			server := startDNS(t)
			publish(t, server, c.Endpoints())
			cl := dial(t, bySRV(server.Addr()))
			if _, err := cl.Put(timeout(t), "k", "v"); err != nil {
				t.Fatal(err)
			}
			fault.begin(server)
			eventually(t, "the failure shows", func() bool { return len(cl.ResolverErrors()) > 0 })
			if _, err := cl.Get(timeout(t), "k"); err != nil {
				t.Errorf("a read while the DNS fails: %v", err)
			}
			if err := c.Move(timeout(t)); err != nil {
				t.Fatal(err)
			}
			read := make(chan error, 1)
			go func() { _, err := cl.Get(timeout(t), "k"); read <- err }()
			publish(t, server, c.Endpoints())
			fault.end(server)
			if err := <-read; err != nil {
				t.Errorf("a read while the member is nowhere: %v, want it to wait", err)
			}
			if errs := cl.ResolverErrors(); len(errs) > 0 {
				t.Errorf("after the failure: %v", errs)
			}
		})
	}
}

// liars start servers other than etcd at an address that the zone lists as a
// member.
var liars = map[string]func(t *testing.T) (endpoint string){
	"nobody": func(t *testing.T) string {
		t.Helper()
		p, err := loopback.Reserve()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = p.Release() })
		return p.Address()
	},
	"silence": func(t *testing.T) string {
		t.Helper()
		return listen(t, func(l net.Listener) error {
			for {
				conn, err := l.Accept()
				if err != nil {
					return err
				}
				t.Cleanup(func() { _ = conn.Close() })
			}
		}).Addr().String()
	},
	"HTTP/1.1": func(t *testing.T) string {
		t.Helper()
		return serveHTTP(t, &http.Server{Handler: http.NotFoundHandler()})
	},
	"HTTP/2": func(t *testing.T) string {
		t.Helper()
		var both http.Protocols
		both.SetHTTP1(true)
		both.SetUnencryptedHTTP2(true)
		return serveHTTP(t, &http.Server{Handler: http.NotFoundHandler(), Protocols: &both})
	},
	"gRPC": func(t *testing.T) string {
		t.Helper()
		s := grpc.NewServer()
		t.Cleanup(s.Stop)
		return listen(t, s.Serve).Addr().String()
	},
}

// speaksHTTP2 are servers to which a connection can be made. Only their responses
// show that they are not etcd.
var speaksHTTP2 = map[string]bool{"HTTP/2": true, "gRPC": true}

func serveHTTP(t *testing.T, s *http.Server) string {
	t.Helper()
	t.Cleanup(func() { _ = s.Close() })
	return listen(t, s.Serve).Addr().String()
}

// listen runs serve until the test ends.
func listen(t *testing.T, serve func(net.Listener) error) net.Listener {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = serve(l) // returns that it was closed
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-ended
	})
	return l
}

// The zone lists the address of something else before those of all members. The
// client finds the members at the start, and continues if the wrong address is
// added later.
func TestLyingDNS(t *testing.T) {
	long(t)
	t.Parallel()
	c := startCluster(t, cluster.Config{})
	for name, lie := range liars {
		t.Run(name, func(t *testing.T) {
			server := startDNS(t)
			wrong := lie(t)
			publishTiers(t, server, []string{wrong}, c.Endpoints())
			cl := dial(t, bySRV(server.Addr()))
			w := startWitness(t, cl, "first/"+name+"/")
			w.finish(t)

			publishTiers(t, server, c.Endpoints())
			cl = dial(t, bySRV(server.Addr()))
			w = startWitness(t, cl, "later/"+name+"/")
			publishTiers(t, server, []string{wrong}, c.Endpoints())
			eventually(t, "the client has been told", func() bool { return slices.Contains(addresses(cl), wrong) })
			w.awaitProgress(t)
			if !speaksHTTP2[name] {
				// Now all addresses are wrong: the client keeps the working ones.
				publishTiers(t, server, []string{wrong})
				eventually(t, "the client has been told", func() bool { return len(addresses(cl)) <= 3 }) // the one that serves, and the wrong one, to which the client wants two connections
				w.awaitProgress(t)
			}
			w.finish(t)
		})
	}
}
