package integration_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/getcd/getcd/balancer"
	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/integration/cluster"
)

// TestStalls breaks the member that the client uses without breaking its
// connections. During the fault the load continues on other members.
func TestStalls(t *testing.T) {
	faults := map[string]struct{ breakIt, heal func(*cluster.Member) error }{
		"stopped":        {(*cluster.Member).Pause, (*cluster.Member).Continue},
		"black hole":     {func(m *cluster.Member) error { return m.ClientLink().Blackhole() }, func(m *cluster.Member) error { return m.ClientLink().Heal() }},
		"cut from peers": {(*cluster.Member).CutPeers, (*cluster.Member).HealPeers},
	}
	c := startCluster(t, cluster.Config{Links: true})
	for name, fault := range faults {
		for _, role := range []string{"follower", "leader"} {
			t.Run(name+", "+role, func(t *testing.T) {
				if err := c.WaitHealthy(timeout(t)); err != nil {
					t.Fatal(err)
				}
				cl, victim := dialTo(t, c, role == "leader")
				load := newLoad(cl)
				load.prefix = name + role + "/"
				ctx, stop := context.WithCancel(t.Context())
				var workers sync.WaitGroup
				for i := range 4 {
					workers.Go(func() { load.count(ctx, i) })
					workers.Go(func() { load.put(ctx, i) })
					workers.Go(func() { load.get(ctx) })
				}
				defer workers.Wait()
				defer stop()
				load.awaitProgress(t)
				start := time.Now()
				if err := fault.breakIt(victim); err != nil {
					t.Fatal(err)
				}
				load.awaitProgress(t)
				t.Logf("20 reads and 20 writes were done %v after the fault", time.Since(start).Round(time.Millisecond))
				if err := fault.heal(victim); err != nil {
					t.Fatal(err)
				}
				load.awaitProgress(t)
				stop()
				workers.Wait()
				load.check(t)
				t.Logf("%d reads; %d writes applied, %d ambiguous", load.reads.Load(), load.writes.Load(), load.doubts.Load())
			})
		}
	}
}

// dialTo connects a client whose active member is the leader, or is not, as
// requested.
func dialTo(t *testing.T, c *cluster.Cluster, leader bool) (*client.Client, *cluster.Member) {
	t.Helper()
	for {
		l, err := c.Leader(timeout(t))
		if err != nil {
			t.Fatal(err)
		}
		cl, err := client.Dial(timeout(t), checked(t, client.Config{Endpoints: c.Endpoints()}))
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range cl.Endpoints() {
			for _, m := range c.Members() {
				if s.Role == balancer.Active && s.Address == m.Endpoint() && (m == l) == leader {
					t.Cleanup(func() { _ = cl.Close() })
					return cl, m
				}
			}
		}
		_ = cl.Close()
	}
}
