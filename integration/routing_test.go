package integration_test

import (
	"errors"
	"slices"
	"testing"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/getcd/getcd/balancer"
	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/integration/cluster"
)

func TestRoutingOnRealMembers(t *testing.T) {
	t.Parallel()
	c := startCluster(t, cluster.Config{})
	followsLeader(t, c, client.Config{})
}

// Since etcd 3.7 a member tells its name, and who leads, only to users.
func TestRoutingOfUsers(t *testing.T) {
	t.Parallel()
	c := startCluster(t, cluster.Config{})
	withAuth(t, c)
	followsLeader(t, c, client.Config{Username: "root", Password: "secret"})
}

// With WritesToLeader MoveLeader needs no endpoint, also after elections of which no answer told;
// the member that is preferred by its name serves reads; one endpoint leads to all members.
func followsLeader(t *testing.T, c *cluster.Cluster, cfg client.Config) {
	t.Helper()
	near := c.Members()[2]
	cfg.Endpoints = c.Endpoints()[:1]
	cfg.Routing = balancer.Routing{WritesToLeader: true, Prefer: func(e balancer.Endpoint) int {
		if e.MemberName == near.Name() {
			return 0
		}
		return 1
	}}
	cl := dial(t, cfg)
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
		eventually(t, next.Name()+" leads", func() bool {
			if leaderOf(t, c) == next {
				return true
			}
			eventually(t, "the client, which is idle, knows a leader", has(func(s balancer.Status) bool { return s.Leader }))
			_, err := cl.MoveLeader(timeout(t), next.ID())
			if errors.Is(err, rpctypes.ErrNotLeader) {
				return false // by an election in between; a client that asks others than the leader is always told so
			}
			if err != nil {
				t.Fatalf("MoveLeader to %s: %v", next.Name(), err)
			}
			return true
		})
		eventually(t, "the client, which is idle, knows the leader", has(func(s balancer.Status) bool {
			return s.Leader && s.MemberID == next.ID()
		}))
	}
	if err := cl.Ping(timeout(t)); err != nil {
		t.Error(err)
	}
}
