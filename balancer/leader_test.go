package balancer_test

import (
	"context"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/balancer"
	"github.com/getcd/getcd/client"
)

var toLeader = balancer.Routing{WritesToLeader: true}

// onlyOn checks that one more call of the method came to that member, and none to others.
func (r *rig) onlyOn(member int, method string, call func()) {
	r.t.Helper()
	want := r.calls(method)
	call()
	want[member]++
	if got := r.calls(method); !slices.Equal(got, want) {
		r.t.Errorf("%s: the members had %v calls, want %v", method, got, want)
	}
}

func (r *rig) putOn(member int) {
	r.t.Helper()
	r.onlyOn(member, pb.KV_Put_FullMethodName, func() {
		if err := r.put(r.timeout(time.Second), "k", "v"); err != nil {
			r.t.Fatal(err)
		}
	})
}

// dialingSlowly dials an address after a while.
func dialingSlowly(r *rig, slow string) grpc.DialOption {
	return grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
		if addr == slow {
			select {
			case <-time.After(200 * time.Millisecond):
			case <-ctx.Done():
			}
		}
		return r.cluster.Dialer()(ctx, addr)
	})
}

// WaitReady waits for the leader, so that the first write goes there.
func TestFirstWriteGoesToTheLeader(t *testing.T) {
	run(t, 3, nil, func(r *rig) {
		t := r.t
		r.cluster.Elect(r.cluster.Member(2))
		dial := func() *client.Client {
			cfg := client.Config{Endpoints: r.cluster.Addrs(), Routing: toLeader, DialOptions: []grpc.DialOption{dialingSlowly(r, m3)}}
			cfg.Resolver.KeepOrder = true
			c, err := client.Dial(r.timeout(time.Minute), cfg)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = c.Close() })
			return c
		}
		c := dial()
		r.onlyOn(2, pb.KV_Put_FullMethodName, func() {
			if _, err := c.Put(r.timeout(time.Second), "k", "v"); err != nil {
				t.Fatal(err)
			}
		})
		// A leader that can't be reached does not keep the client from getting ready.
		r.cluster.Member(2).Kill()
		start := time.Now()
		c = dial()
		if took := time.Since(start); took > time.Second {
			t.Errorf("WaitReady without the leader took %v", took)
		}
		if err := c.WaitReady(r.timeout(time.Second)); err != nil {
			t.Error(err)
		}
	})
}

// A client that is idle learns of a new leader before it sends its next write.
func TestFirstWriteAfterAQuietElection(t *testing.T) {
	run(t, 3, routed(toLeader), func(r *rig) {
		for _, leader := range []int{0, 2, 1} {
			r.cluster.Elect(r.cluster.Member(leader))
			time.Sleep(2 * time.Second) // of which the client spends one without an answer
			r.putOn(leader)
		}
		// A member that knows only the former leader, or none, does not mislead the client.
		r.cluster.Member(0).SetNoLeader(true)
		r.cluster.Elect(r.cluster.Member(2))
		time.Sleep(4 * time.Second)
		r.putOn(2)
	})
	never := func(c *client.Config) { c.Routing, c.HeartbeatInterval = toLeader, -1 }
	run(t, 3, never, func(r *rig) {
		before := r.calls(pb.Maintenance_Status_FullMethodName)
		time.Sleep(time.Minute)
		if after := r.calls(pb.Maintenance_Status_FullMethodName); !slices.Equal(before, after) {
			r.t.Errorf("with HeartbeatInterval -1: got %v calls of Status before a minute of idleness and %v after, want no more", before, after)
		}
	})
}

// Renewals are on the leader's connection, and follow the leader.
func TestRenewalsGoToTheLeader(t *testing.T) {
	run(t, 3, routed(toLeader), func(r *rig) {
		t := r.t
		r.cluster.Elect(r.cluster.Member(1))
		time.Sleep(3 * time.Second)
		l, err := r.Grant(r.timeout(time.Second), 9)
		if err != nil {
			t.Fatal(err)
		}
		renewals := func() (n []int) {
			for _, m := range r.cluster.Members() {
				n = append(n, m.Messages(pb.Lease_LeaseKeepAlive_FullMethodName))
			}
			return n
		}
		k, err := r.Keep(t.Context(), l.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, leader := range []int{1, 2, 0} {
			r.cluster.Elect(r.cluster.Member(leader))
			time.Sleep(3 * time.Second)
			before := renewals()
			time.Sleep(10 * time.Second)
			for i, n := range renewals() {
				if moved := n > before[i]; moved != (i == leader) {
					t.Errorf("while member %d leads: renewals were %v, then %v", leader, before, renewals())
					break
				}
			}
			if err := k.Err(); err != nil {
				t.Fatalf("the keeper: %v", err)
			}
		}
		r.onlyOn(0, pb.Lease_LeaseKeepAlive_FullMethodName, func() {
			if _, err := r.KeepAliveOnce(r.timeout(time.Second), l.ID); err != nil {
				t.Error(err)
			}
		})
		// Without the leader they go elsewhere.
		r.cluster.Member(0).Kill()
		time.Sleep(20 * time.Second)
		if err := k.Err(); err != nil {
			t.Errorf("the keeper, without the leader: %v", err)
		}
	})
}

// Only the leader can hand over its office.
func TestMoveLeaderGoesToTheLeader(t *testing.T) {
	run(t, 3, routed(toLeader), func(r *rig) {
		for _, leader := range []int{2, 1} {
			r.cluster.Elect(r.cluster.Member(leader))
			time.Sleep(3 * time.Second)
			r.onlyOn(leader, pb.Maintenance_MoveLeader_FullMethodName, func() {
				_, _ = r.MoveLeader(r.timeout(time.Second), r.cluster.Member(0).ID()) // etcdtest does not have it
			})
		}
	})
}

// Prefer sees the record by which an endpoint was found, and then who its member is.
func TestPreferSeesRecordsAndMembers(t *testing.T) {
	heard := make(chan balancer.Endpoint, 100)
	configure := from(t, targets{{"b.zone-b.example", 10, 5}, {"a.zone-a.example", 20, 7}})
	run(t, 3, func(c *client.Config) {
		configure(c)
		c.Routing.Prefer = func(e balancer.Endpoint) int {
			heard <- e
			return 0
		}
	}, func(r *rig) {
		time.Sleep(time.Second)
		got := map[balancer.Endpoint]int{}
		for len(heard) > 0 {
			got[<-heard]++
		}
		a := balancer.Endpoint{Address: m2, Target: "a.zone-a.example", Priority: 20, Weight: 7}
		b := balancer.Endpoint{Address: m1, Target: "b.zone-b.example", Priority: 10, Weight: 5}
		for i, e := range []balancer.Endpoint{b, a} {
			if got[e] == 0 {
				r.t.Errorf("Prefer was not told of %+v; of %v", e, got)
			}
			e.MemberID, e.MemberName = r.cluster.Member(i).ID(), r.cluster.Member(i).Name()
			if got[e] == 0 {
				r.t.Errorf("Prefer was not told of %+v; of %v", e, got)
			}
		}
	})
}

// A member is preferred by its name, which the client learns when it has connected to it.
func TestPreferByMemberName(t *testing.T) {
	run(t, 3, nil, func(r *rig) {
		t := r.t
		name := r.cluster.Member(2).Name()
		cfg := client.Config{Endpoints: r.cluster.Addrs(), DialOptions: r.cluster.DialOptions()}
		cfg.Resolver.KeepOrder = true
		cfg.Routing.Prefer = func(e balancer.Endpoint) int {
			if e.MemberName == name {
				return 0
			}
			return 1
		}
		c, err := client.Dial(r.timeout(time.Minute), cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		near := rig{t: t, cluster: r.cluster, Client: c}
		check := func(when, want string) {
			t.Helper()
			if got := near.active(); got != want {
				t.Errorf("%s: the active one is %q, want %q", when, got, want)
			}
		}
		time.Sleep(2 * time.Second)
		check("after the start", m3)
		connected := 0
		for _, s := range c.Endpoints() {
			if s.State.String() == "READY" {
				connected++
			}
		}
		if connected != 2 {
			t.Errorf("%d members are connected, want 2: the third has only said who it is", connected)
		}
		if err := c.SetEndpoints(m2, m3, m1); err != nil { // the ranks are asked for again
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		check("after new addresses", m3)
		r.cluster.Member(2).Kill()
		synctest.Wait()
		if near.active() == m3 {
			t.Error("without it: it is active")
		}
		r.cluster.Member(2).Start()
		time.Sleep(6 * time.Second)
		check("after its return", m3)
	})
}
