package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/integration/proxy"
)

func linked() cluster.Config {
	cfg := fast()
	cfg.Links = true
	return cfg
}

// hasLeader sends a member a serializable read that it answers only while it has
// a leader.
func hasLeader(ctx context.Context, cc grpc.ClientConnInterface) error {
	ctx = metadata.AppendToOutgoingContext(ctx, rpctypes.MetadataRequireLeaderKey, rpctypes.MetadataHasLeader)
	_, err := etcdserverpb.NewKVClient(cc).Range(ctx, &etcdserverpb.RangeRequest{Key: []byte("k"), Serializable: true})
	return rpctypes.Error(err)
}

// until calls f repeatedly until it returns want.
func until(t *testing.T, what string, want error, f func(context.Context) error) {
	t.Helper()
	ctx := within(t, limit)
	for {
		attempt, cancel := context.WithTimeout(ctx, time.Second)
		got := f(attempt)
		cancel()
		if errors.Is(got, want) {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: got %v, want %v", what, got, want)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// eventuallyGet reads "key", and retries if the connection is broken.
func eventuallyGet(t *testing.T, cc grpc.ClientConnInterface) {
	t.Helper()
	until(t, "get", nil, func(ctx context.Context) error {
		_, err := get(ctx, cc, "key")
		return err
	})
}

func TestCutFromPeers(t *testing.T) {
	c := start(t, linked())
	for _, tc := range []struct {
		name  string
		fault func(*cluster.Member) error
	}{
		{"cut", (*cluster.Member).CutPeers},
		{"black hole", (*cluster.Member).BlackholePeers},
	} {
		for _, role := range []string{"follower", "leader"} {
			t.Run(tc.name+" "+role, func(t *testing.T) {
				leader, err := c.Leader(within(t, limit))
				if err != nil {
					t.Fatal(err)
				}
				m := leader
				if role == "follower" {
					for _, m = range c.Members() {
						if m != leader {
							break
						}
					}
				}
				cc := dial(t, m.Endpoint())
				until(t, "before", nil, func(ctx context.Context) error { return hasLeader(ctx, cc) })
				if err := tc.fault(m); err != nil {
					t.Fatal(err)
				}
				until(t, "the member that is cut off", rpctypes.ErrNoLeader, func(ctx context.Context) error { return hasLeader(ctx, cc) })
				// The other members still have a quorum, or have one again.
				next, err := c.Leader(within(t, limit))
				if err != nil {
					t.Fatal(err)
				}
				if next == m {
					t.Fatal("the member that is cut off is the leader")
				}
				if err := put(within(t, limit), dial(t, next.Endpoint()), "key", tc.name+role); err != nil {
					t.Fatalf("put among the others: %v", err)
				}
				if err := m.HealPeers(); err != nil {
					t.Fatal(err)
				}
				until(t, "the healed member", nil, func(ctx context.Context) error { return hasLeader(ctx, cc) })
				if err := c.WaitHealthy(within(t, limit)); err != nil {
					t.Fatal(err)
				}
				wantValue(t, cc, "key", tc.name+role)
			})
		}
	}
}

// TestCutStopsLeaseForwarding checks the requests that members send to the leader
// in addition to raft's messages: a member that is cut off must not get through
// with them.
func TestCutStopsLeaseForwarding(t *testing.T) {
	c := start(t, linked())
	leader, err := c.Leader(within(t, limit))
	if err != nil {
		t.Fatal(err)
	}
	var m *cluster.Member
	for _, m = range c.Members() {
		if m != leader {
			break
		}
	}
	lease := etcdserverpb.NewLeaseClient(dial(t, m.Endpoint()))
	granted, err := lease.LeaseGrant(t.Context(), &etcdserverpb.LeaseGrantRequest{TTL: 60})
	if err != nil {
		t.Fatal(err)
	}
	renew := func(ctx context.Context) error {
		stream, err := lease.LeaseKeepAlive(ctx)
		if err != nil {
			return err
		}
		if err := stream.Send(&etcdserverpb.LeaseKeepAliveRequest{ID: granted.GetID()}); err != nil {
			return err
		}
		_, err = stream.Recv()
		return err
	}
	until(t, "before", nil, renew)
	if err := m.CutPeers(); err != nil {
		t.Fatal(err)
	}
	if err := renew(within(t, time.Second)); err == nil {
		t.Fatal("a member that is cut off renewed a lease")
	}
	if err := m.HealPeers(); err != nil {
		t.Fatal(err)
	}
	until(t, "renewing after the heal", nil, renew)
}

func TestPeerLink(t *testing.T) {
	c := start(t, linked())
	m := c.Members()
	for _, from := range m {
		for _, to := range m {
			link := c.PeerLink(from, to)
			if from == to {
				if link != nil {
					t.Errorf("%s has a link to itself", from.Name())
				}
				continue
			}
			until(t, from.Name()+" to "+to.Name(), nil, func(context.Context) error {
				if got := link.Stats(); got.Accepted == 0 || got.ToTarget == 0 || got.FromTarget == 0 {
					return fmt.Errorf("%+v; they have not spoken", got)
				}
				return nil
			})
		}
	}
	// Two of three members that cannot reach each other still agree through the
	// third.
	for _, link := range []*proxy.Link{c.PeerLink(m[0], m[1]), c.PeerLink(m[1], m[0])} {
		if err := link.Cut(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Leader(within(t, limit)); err != nil {
		t.Fatal(err)
	}
	if err := c.Heal(); err != nil {
		t.Fatal(err)
	}
	if err := c.WaitHealthy(within(t, limit)); err != nil {
		t.Fatal(err)
	}
}

func TestClientLink(t *testing.T) {
	c := start(t, linked())
	m := c.Members()[0]
	cc := dial(t, m.Endpoint())
	if err := put(t.Context(), cc, "key", "value"); err != nil {
		t.Fatal(err)
	}
	link := m.ClientLink()
	if link.Address() != m.Endpoint() {
		t.Errorf("the link is at %s, want the endpoint, %s", link.Address(), m.Endpoint())
	}

	if err := link.Blackhole(); err != nil {
		t.Fatal(err)
	}
	if _, err := get(within(t, 200*time.Millisecond), cc, "key"); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("through a black hole: got %v, want DeadlineExceeded", err)
	}
	if err := c.WaitHealthy(within(t, limit)); err != nil {
		t.Errorf("the member itself suffers: %v", err)
	}
	if err := link.Heal(); err != nil {
		t.Fatal(err)
	}
	wantValue(t, cc, "key", "value")

	if err := link.Cut(); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, m.Endpoint())
	if err := link.Heal(); err != nil {
		t.Fatal(err)
	}
	eventuallyGet(t, cc)

	if err := link.SetDelay(50*time.Millisecond, 50*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	wantValue(t, cc, "key", "value")
	if took := time.Since(began); took < 100*time.Millisecond {
		t.Errorf("a read delayed by 2 × 50ms took %v", took)
	}
	if err := c.Heal(); err != nil {
		t.Fatal(err)
	}

	// A dead member's link refuses connections, too, and works again when the
	// member is back.
	if err := m.Kill(); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, m.Endpoint())
	if err := m.Restart(within(t, limit)); err != nil {
		t.Fatal(err)
	}
	eventuallyGet(t, cc)
	before := m.Endpoint()
	if err := m.RestartOn(within(t, limit), 0); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, before)
	wantValue(t, dial(t, m.Endpoint()), "key", "value")
}

func TestNoLinks(t *testing.T) {
	cfg := fast()
	cfg.Size = 1
	c := start(t, cfg)
	m := c.Members()[0]
	for _, err := range []error{
		m.ClientLink().Cut(), c.PeerLink(m, m).Cut(), m.CutPeers(), m.BlackholePeers(), m.HealPeers(), c.Heal(),
	} {
		if !errors.Is(err, proxy.ErrNoLink) {
			t.Errorf("got %v, want ErrNoLink", err)
		}
	}
}
