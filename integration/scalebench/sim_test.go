package main

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	_ "unsafe" // for linkname

	"google.golang.org/grpc"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/resolver"
)

// simClientsEnv is how many clients TestFleetsInVirtualTime has; 10,000 take 10 GiB.
const simClientsEnv = "GETCD_SIM_CLIENTS"

// valCtxCh is a channel that never closes, which all watches of clientv3 select on
// (client/v3/watch.go). Time stands still in a bubble while a goroutine waits for a channel
// that was made outside of it, so each bubble makes its own.
//
//go:linkname valCtxCh go.etcd.io/etcd/client/v3.valCtxCh
var valCtxCh chan struct{}

// simPageEnv is the file to write the page to, if any.
const simPageEnv = "GETCD_SIM_PAGE"

// simElection is how long a cluster is without a leader after it lost one.
const simElection = 1200 * time.Millisecond

// sim is a cluster in memory, as faults see it.
type sim struct {
	*etcdtest.Cluster
	zone *zone
}

var simFaults = []struct {
	name string
	do   func(s *sim)
	// oursAlone: clientv3 does not find members by DNS.
	oursAlone bool
}{
	{name: "a follower is killed", do: func(s *sim) { s.Member(1).Kill() }},
	{name: "the leader is killed", do: func(s *sim) { s.Leader().Kill(); s.elect(s.Member(1)) }},
	{name: "an election", do: func(s *sim) { s.elect(s.Member(1)) }},
	{name: "all members are killed and start again", do: func(s *sim) {
		for _, m := range s.Members() {
			m.Kill()
		}
		s.ExpireTokens() // which members have in memory
		time.Sleep(simElection)
		for _, m := range s.Members() {
			m.Start()
		}
	}},
	{name: "all tokens end", do: func(s *sim) { s.ExpireTokens() }},
	{name: "the members move, and DNS says so 5 s later", oursAlone: true, do: func(s *sim) {
		for _, m := range s.Members() {
			m.Kill()
			m.SetAddr(strings.Replace(m.Addr(), "member", "moved", 1))
			m.Start()
		}
		time.Sleep(5 * time.Second)
		s.zone.set(s.Addrs())
	}},
}

// elect leaves the members without a leader for a while.
func (s *sim) elect(m *etcdtest.Member) {
	for _, m := range s.Members() {
		m.SetNoLeader(true)
	}
	time.Sleep(simElection)
	s.Elect(m)
	for _, m := range s.Members() {
		m.SetNoLeader(false)
	}
}

// zone is the members' addresses, as DNS has them, with a TTL of 30 s.
type zone struct {
	mu        sync.Mutex
	addresses []resolver.Address
	lookups   atomic.Int64
}

func (z *zone) set(addrs []string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.addresses = nil
	for _, a := range addrs {
		host, _, _ := net.SplitHostPort(a)
		z.addresses = append(z.addresses, resolver.Address{Network: resolver.NetworkTCP, Host: host, Port: 2379})
	}
}

func (z *zone) Resolve(context.Context) (resolver.Result, error) {
	z.lookups.Add(1)
	z.mu.Lock()
	defer z.mu.Unlock()
	return resolver.Result{Addresses: z.addresses, TTL: 30 * time.Second}, nil
}

// from is a connection that knows to whom it leads.
type from struct {
	net.Conn
	address memberAddr
}

func (c from) RemoteAddr() net.Addr { return c.address }

type memberAddr string

func (a memberAddr) Network() string { return "memory" }
func (a memberAddr) String() string  { return string(a) }

// What a fleet does to its cluster, second by second, in virtual time, beside clientv3.
func TestFleetsInVirtualTime(t *testing.T) {
	n := 20
	if text := os.Getenv(simClientsEnv); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil {
			t.Fatalf("%s: %v", simClientsEnv, err)
		}
	}
	var page strings.Builder
	fmt.Fprintf(&page, "# Fleets, simulated\n\n"+
		"What %d clients do to a cluster of three members in memory, in virtual time. Each client has a watch,\n"+
		"a lease and a linearizable read a second. The clients start within 10 s. Requests are counted for 30 s\n"+
		"after the fault. An election takes %v. `%s=%d %s=../../docs/measurements/fleets.md go test -run InVirtualTime\n"+
		"./integration/scalebench` writes this page.\n"+simNotes, n, simElection, simClientsEnv, n, simPageEnv)
	for _, fault := range simFaults {
		t.Run(fault.name, func(t *testing.T) {
			all := measured{row: row{text: "%d clients: " + fault.name}, size: n, rounds: make(map[string][][]figure)}
			cfg := config{clients: clientNames()}
			if fault.oursAlone {
				cfg.clients = []string{"getcd"}
			}
			for _, name := range cfg.clients {
				synctest.Test(t, func(t *testing.T) { all.rounds[name] = [][]figure{simulate(t, name, n, fault.do)} })
			}
			fmt.Fprintf(&page, "\n## %s\n\n| |%s\n|---|%s\n", fault.name, cfg.heads(" %s |"), cfg.heads("---:|"))
			for i, f := range all.names() {
				fmt.Fprintf(&page, "| %s |", label(f))
				for _, c := range cfg.clients {
					fmt.Fprintf(&page, " %s |", all.median(c, i))
				}
				page.WriteString("\n")
			}
			checkFleet(t, &all)
		})
	}
	t.Log(page.String())
	if name := os.Getenv(simPageEnv); name != "" && !t.Failed() {
		if err := os.WriteFile(name, []byte(page.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// checkFleet checks that getcd's clients are well again as soon as clientv3's, and that no
// member gets more from them: where it does, how much more.
func checkFleet(t *testing.T, all *measured) {
	t.Helper()
	got := func(client, name string) float64 {
		t.Helper()
		for i, f := range all.names() {
			if f.Name == name {
				return all.value(client, i)
			}
		}
		t.Fatalf("there is no figure %q", name)
		return 0
	}
	most := func(name string, limit float64) {
		t.Helper()
		if v := got("getcd", name); v > limit {
			t.Errorf("%s: %v, want at most %v (clientv3: %v)", name, v, limit, got("clientv3", name))
		}
	}
	n := float64(all.size)
	most("clients that are not well at the end", 0)
	most("watches ended", 0)
	most("leases lost", 0)
	if len(all.rounds["clientv3"]) == 0 {
		most("last client well again after the fault", 7)
		return
	}
	theirs := func(k kind) float64 { return got("clientv3", string(k)+perSecond) }
	most("last client well again after the fault", got("clientv3", "last client well again after the fault")+0.5)
	most("reads failed", got("clientv3", "reads failed"))
	// So few clients come together in a second by chance.
	most(string(logins)+perSecond, theirs(logins)+n/2)
	// In an election each client has each member that it is connected to tell when there is a
	// leader (internal/policy/gate.go).
	most(string(requests)+perSecond, theirs(requests)+3*n)
	// A watch that is refused tells who the member of a new connection is, and after a restart
	// of all members another one is refused for its token, which its member has forgotten.
	most(string(streams)+perSecond, theirs(streams)+2*n)
	// Two of three clients have lost one of their two connections, and make another one to
	// one of two members.
	most(string(connections)+perSecond, max(theirs(connections), n))
	if strings.HasSuffix(all.text, simFaults[0].name) {
		// While a member serves, they take a second for it.
		most("connections, most on a member in the busiest 0.1 s", max(5, n/5))
	}
	// A member that is away is tried more often: its kernel refuses, which costs it nothing.
	most(string(dials)+perSecond, 5*n)
}

// simNotes argues for the cells in which getcd has more.
const simNotes = `
Where getcd does more, and why:

- Connections after a fault: clientv3 is connected to all members from the start, getcd to two. A
  client that has lost one of them connects to the third, at a random time within a second while
  another member serves, and at once when none does.
- Dials of a member that is away: while no member serves, getcd tries each up to four times a second,
  where clientv3 waits longer each time, and so getcd is well again sooner when members come back. A
  refused dial costs a member nothing but a packet.
- Lookups of DNS: getcd's clients have one name, and look it up again when a connection is lost. So they
  find members that move. clientv3's have addresses that never change.
- Streams: when another member becomes the active one, getcd opens its watch and lease streams there.
  clientv3 opens those again that have ended. With users, getcd also learns by a watch that is refused
  who a new connection's member is, since etcd 3.7 tells nobody else. After a restart of all members one
  more is refused for its token, which a member has only in memory.
- Health checks: getcd follows the health of each member that it is connected to, by one stream.
- Requests during an election: each of getcd's clients asks each member that it is connected to, and a
  third one, to answer a linearizable read as soon as there is a leader. So it knows which member serves.
`

// simulate runs a fleet in a bubble.
func simulate(t *testing.T, name string, n int, fault func(s *sim)) []figure {
	t.Helper()
	valCtxCh = make(chan struct{})
	s := &sim{Cluster: etcdtest.NewCluster(3, grpc.ReadBufferSize(2048), grpc.WriteBufferSize(2048)), zone: new(zone)}
	defer s.Close()
	s.EnableAuth(map[string]string{rootUser: rootPassword})
	s.zone.set(s.Addrs())
	registry := resolver.NewRegistry()
	if err := registry.Register("zone", func(*url.URL, resolver.SourceOptions) (resolver.Source, error) { return s.zone, nil }); err != nil {
		t.Fatal(err)
	}
	w := &work{task: task{Client: name, Size: n, Endpoints: s.Addrs(), User: rootUser, Password: rootPassword}}
	if name == "getcd" {
		w.Endpoints = []string{"zone:///cluster"}
	}
	h := &herd{dial: func(ctx context.Context, address string) (net.Conn, error) {
		c, err := s.Dialer()(ctx, address)
		if err != nil {
			return nil, err
		}
		return from{c, memberAddr(address)}, nil
	}}
	f := newFlock(w.task, h)
	f.spread, f.resolver = 10*time.Second, resolver.Options{Registry: registry}
	defer func() {
		if err := f.close(); err != nil {
			t.Errorf("closing the clients: %v", err)
		}
	}()
	stop := s.ticking(t, client.Config{
		Endpoints: []string{"zone:///cluster"}, Resolver: f.resolver, DialOptions: s.DialOptions(), Username: rootUser, Password: rootPassword,
	})
	defer stop()
	if err := f.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	time.Sleep(10 * time.Second)
	lookups := s.zone.lookups.Load()
	h.mark()
	f.mark()
	fault(s)
	time.Sleep(30 * time.Second)
	f.report(w)
	h.report(w)
	w.add("lookups of DNS", float64(s.zone.lookups.Load()-lookups), "")
	return w.figures
}

// ticking changes the key that the fleet watches until stop is called.
func (s *sim) ticking(t *testing.T, cfg client.Config) (stop func()) {
	t.Helper()
	c, err := client.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var puts sync.WaitGroup
	puts.Go(func() {
		for ctx.Err() == nil {
			puts.Go(func() {
				call, cancel := context.WithTimeout(ctx, late)
				defer cancel()
				_, _ = c.Put(call, tickKey, "")
			})
			_ = wait(ctx, tickTime)
		}
	})
	return func() {
		cancel()
		puts.Wait()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}
