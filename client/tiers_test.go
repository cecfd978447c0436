package client_test

import (
	"context"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/balancer"
	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/resolver"
)

// changing is a source of addresses that may change: those of the n-th resolution, from 1 on.
type changing struct {
	n         atomic.Int32
	addresses func(n int32) []resolver.Address
}

func (c *changing) Resolve(context.Context) (resolver.Result, error) {
	return resolver.Result{Addresses: c.addresses(c.n.Add(1)), TTL: time.Second}, nil
}

// from makes a client resolve its addresses every second.
func from(t *testing.T, addresses func(n int32) []resolver.Address) func(*client.Config) {
	t.Helper()
	registry := resolver.NewRegistry()
	if err := registry.Register("test", func(*url.URL, resolver.SourceOptions) (resolver.Source, error) {
		return &changing{addresses: addresses}, nil
	}); err != nil {
		t.Fatal(err)
	}
	return func(c *client.Config) {
		c.Endpoints, c.Resolver.Registry, c.Resolver.MinTTL = []string{"test:///"}, registry, time.Second
	}
}

// addressOf is a resolver's address for one of etcdtest's, such as m1.
func addressOf(addr string) resolver.Address {
	host, _, _ := strings.Cut(addr, ":")
	return resolver.Address{Network: resolver.NetworkTCP, Host: host, Port: 2379, ServerName: "etcd.example.com"}
}

// A member of a better tier that has lost its leader is left, stays connected meanwhile, and is
// used again when it has a leader. To connect to it again and again would be for nothing.
func TestMemberOfABetterTierLosesItsLeader(t *testing.T) {
	for name, tiers := range map[string]func(*client.Config){
		"Prefer": func(c *client.Config) {
			c.Routing.Prefer = func(e balancer.Endpoint) int {
				if e.Address == m1 {
					return 0
				}
				return 1
			}
		},
		"SRV priorities": from(t, func(int32) []resolver.Address {
			better, second, third := addressOf(m1), addressOf(m2), addressOf(m3)
			second.Priority, third.Priority = 1, 1
			return []resolver.Address{better, second, third}
		}),
	} {
		t.Run(name, func(t *testing.T) {
			run(t, 3, tiers, func(r *rig) {
				t := r.t
				r.warm()
				for _, m := range r.cluster.Members() {
					m.Intercept(func(_ context.Context, _ string, req any, next func() (any, error)) (any, error) {
						if read, ok := req.(*pb.RangeRequest); ok && !read.Serializable {
							time.Sleep(3 * time.Millisecond) // what asking a quorum takes
						}
						return next()
					})
				}
				use := func(d time.Duration) {
					for start := time.Now(); time.Since(start) < d; time.Sleep(20 * time.Millisecond) {
						if _, err := r.get(r.timeout(time.Second)); err != nil {
							t.Error(err)
						}
					}
				}
				if got := r.active(); got != m1 {
					t.Errorf("active at first: got %q, want %q", got, m1)
				}
				before := r.Counters().Dials
				r.cluster.Member(0).SetNoLeader(true)
				use(time.Minute)
				if got := r.active(); got == m1 {
					t.Errorf("active without a leader: got %q, want another one", got)
				}
				r.cluster.Member(0).SetNoLeader(false)
				use(30 * time.Second)
				if got := r.active(); got != m1 {
					t.Errorf("active with a leader again: got %q, want %q", got, m1)
				}
				if n := r.Counters().Dials - before; n > 20 {
					t.Errorf("%d connections in 90 s, want at most 20", n)
				}
				for _, m := range r.cluster.Members() {
					m.Intercept(nil)
				}
			})
		})
	}
}

// Prefer is told what the records say now, also of a member that has just been connected to anew.
func TestPreferSeesChangedRecordsAfterAReconnect(t *testing.T) {
	resolve := from(t, func(n int32) []resolver.Address {
		first, second := addressOf(m1), addressOf(m2)
		first.Target, second.Target = "west.example.com", "east.example.com"
		if n > 1 {
			first.Target, second.Target = second.Target, first.Target
		}
		return []resolver.Address{first, second}
	})
	configure := func(c *client.Config) {
		resolve(c)
		c.Routing.Prefer = func(e balancer.Endpoint) int {
			if strings.HasPrefix(e.Target, "east.") {
				return 0
			}
			return 1
		}
	}
	run(t, 2, configure, func(r *rig) {
		t := r.t
		time.Sleep(500 * time.Millisecond) // the bubble's clock; less than a TTL
		if got := r.active(); got != m2 {
			t.Errorf("active at first: got %q, want %q", got, m2)
		}
		time.Sleep(10 * time.Second)
		if got := r.active(); got != m1 {
			t.Errorf("active after the records have changed: got %q, want %q", got, m1)
		}
		r.cluster.Member(0).Kill()
		time.Sleep(time.Second)
		r.cluster.Member(0).Start()
		time.Sleep(20 * time.Second)
		if got := r.active(); got != m1 {
			t.Errorf("active after a restart: got %q, want %q", got, m1)
		}
	})
}
