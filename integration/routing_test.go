package integration_test

import (
	"slices"
	"testing"

	"github.com/getcd/getcd/balancer"
	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/integration/cluster"
)

// With WritesToLeader MoveLeader needs no endpoint, also after elections of which no answer told;
// the member that is preferred by its name serves reads; one endpoint leads to all members.
func TestRoutingOnRealMembers(t *testing.T) {
	t.Parallel()
	c := startCluster(t, cluster.Config{})
	near := c.Members()[2]
	cl := dial(t, client.Config{
		Endpoints: c.Endpoints()[:1],
		Routing: balancer.Routing{WritesToLeader: true, Prefer: func(e balancer.Endpoint) int {
			if e.MemberName == near.Name() {
				return 0
			}
			return 1
		}},
	})
	if err := cl.Sync(timeout(t)); err != nil {
		t.Fatal(err)
	}
	has := func(want func(balancer.Status) bool) func() bool {
		return func() bool {
			return slices.ContainsFunc(cl.Endpoints(), want)
		}
	}
	eventually(t, "the preferred member is active", has(func(s balancer.Status) bool {
		return s.Role == balancer.Active && s.MemberID == near.ID()
	}))
	for _, next := range c.Members() {
		if leaderOf(t, c) == next {
			continue
		}
		if _, err := cl.MoveLeader(timeout(t), next.ID()); err != nil {
			t.Fatalf("MoveLeader to %s: %v", next.Name(), err)
		}
		eventually(t, "the client, which is idle, knows the leader", has(func(s balancer.Status) bool {
			return s.Leader && s.MemberID == next.ID()
		}))
	}
	if err := cl.Ping(timeout(t)); err != nil {
		t.Error(err)
	}
}
