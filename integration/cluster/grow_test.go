package cluster_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/getcd/getcd/integration/cluster"
)

// A member is added as a learner, is promoted, and is removed.
func TestGrow(t *testing.T) {
	for name, cfg := range map[string]cluster.Config{"direct": fast(), "with links": linked()} {
		t.Run(name, func(t *testing.T) {
			c := start(t, cfg)
			if err := put(t.Context(), dial(t, c.Endpoints()[0]), "key", "value"); err != nil {
				t.Fatal(err)
			}
			m, err := c.AddLearner(within(t, limit), nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			if m.Name() != "m4" || c.Member("m4") != m || len(c.Endpoints()) != 4 {
				t.Errorf("got %s of the members %v, want m4, the fourth", m.Name(), c.Endpoints())
			}
			if !m.Learner() || c.Members()[0].Learner() {
				t.Errorf("the new member is a learner: %v, the first is one: %v", m.Learner(), c.Members()[0].Learner())
			}
			cc := dial(t, m.Endpoint())
			refusal := rpctypes.Error(rpctypes.ErrGRPCNotSupportedForLearner)
			if err := rpctypes.Error(put(within(t, limit), cc, "key", "x")); !errors.Is(err, refusal) {
				t.Errorf("put through the learner: got %v, want %v", err, refusal)
			}
			if err := c.WaitHealthy(within(t, limit)); err != nil {
				t.Fatal(err)
			}
			if err := m.Promote(within(t, limit), nil); err != nil {
				t.Fatal(err)
			}
			if m.Learner() {
				t.Error("the member is a learner after its promotion")
			}
			wantValue(t, cc, "key", "value")
			// It and the other members stay in the cluster after a restart.
			for _, one := range []*cluster.Member{m, c.Members()[0]} {
				if err := one.Restart(within(t, limit)); err != nil {
					t.Fatal(err)
				}
			}
			until(t, m.Name()+" leads", nil, func(ctx context.Context) error {
				leader, err := c.Leader(ctx)
				if err == nil && leader != m {
					move := &etcdserverpb.MoveLeaderRequest{TargetID: m.ID()}
					_, err = etcdserverpb.NewMaintenanceClient(leader.Control()).MoveLeader(ctx, move)
				}
				return err
			})
			endpoint := m.Endpoint()
			if err := m.Remove(within(t, limit), nil); err != nil {
				t.Fatal(err)
			}
			if m.Running() || c.Member("m4") != nil || slices.Contains(c.Endpoints(), endpoint) {
				t.Errorf("after its removal the member runs: %v, the cluster's are %v", m.Running(), c.Endpoints())
			}
			wantRefused(t, endpoint)
			if err := c.WaitHealthy(within(t, limit)); err != nil {
				t.Fatal(err)
			}
			if next, err := c.Leader(within(t, limit)); err != nil || next == m {
				t.Errorf("after the leader's removal: got %v, %v, want another leader", next, err)
			}
			list, err := etcdserverpb.NewClusterClient(c.Members()[1].Control()).MemberList(t.Context(), &etcdserverpb.MemberListRequest{})
			if err != nil || len(list.GetMembers()) != 3 {
				t.Errorf("the members are %v, %v, want three", list.GetMembers(), err)
			}
			if err := put(within(t, limit), dial(t, c.Endpoints()[2]), "key", "after"); err != nil {
				t.Error(err)
			}
			// Another member replaces it.
			m, err = c.AddLearner(within(t, limit), nil, uint16(m.Port()))
			if err != nil {
				t.Fatal(err)
			}
			if m.Endpoint() != endpoint || m.Name() != "m5" {
				t.Errorf("got %s on %s, want m5 on %s", m.Name(), m.Endpoint(), endpoint)
			}
			if err := m.Promote(within(t, limit), nil); err != nil {
				t.Fatal(err)
			}
			wantValue(t, cc, "key", "after")
		})
	}
}

// A learner that cannot be added leaves nothing behind.
func TestAddLearnerEndsWithItsContext(t *testing.T) {
	c := start(t, linked())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if m, err := c.AddLearner(ctx, nil, 0); err == nil {
		t.Errorf("got %v, want an error", m.Name())
	}
	if got := len(c.Members()); got != 3 {
		t.Errorf("got %d members, want 3", got)
	}
	if err := c.WaitHealthy(within(t, limit)); err != nil {
		t.Error(err)
	}
	if _, err := c.AddLearner(within(t, limit), nil, 0); err != nil {
		t.Error(err)
	}
}

// A request for a change that is lost with the leader is sent again: etcd would never answer it.
func TestRemoveOutlivesALostRequest(t *testing.T) {
	c := start(t, fast())
	learner, err := c.AddLearner(within(t, limit), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	leader, err := c.Leader(within(t, limit))
	if err != nil {
		t.Fatal(err)
	}
	via := c.Members()[0]
	if via == leader {
		via = c.Members()[1]
	}
	if err := leader.Pause(); err != nil {
		t.Fatal(err)
	}
	removed := make(chan error, 1)
	removing := within(t, limit)
	go func() { removed <- learner.Remove(removing, via.Control()) }()
	// It is passed on to the leader, and another one is elected.
	ctx := within(t, limit)
	for next := leader.ID(); next == leader.ID() || next == 0; {
		status, err := etcdserverpb.NewMaintenanceClient(via.Control()).Status(ctx, &etcdserverpb.StatusRequest{})
		if err != nil {
			t.Fatal(err)
		}
		next = status.GetLeader()
	}
	if err := leader.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := leader.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-removed; err != nil {
		t.Error(err)
	}
	list, err := settled(ctx, func() (*etcdserverpb.MemberListResponse, error) {
		return etcdserverpb.NewClusterClient(via.Control()).MemberList(ctx, &etcdserverpb.MemberListRequest{Linearizable: true})
	})
	if err != nil || len(list.GetMembers()) != 3 {
		t.Errorf("the members are %v, %v, want three", list.GetMembers(), err)
	}
}
