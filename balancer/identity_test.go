package balancer_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/resolver"
)

const vip = "vip:2379"

// runBehindOne is run with a client that knows one address, each connection to which
// reaches the next member.
func runBehindOne(t *testing.T, members int, test func(r *rig, dials *atomic.Int32)) {
	t.Helper()
	runBehind(t, members, func(n int) int { return n % members }, test)
}

// runBehind is runBehindOne where pick says which member the n-th connection reaches.
func runBehind(t *testing.T, members int, pick func(n int) int, test func(r *rig, dials *atomic.Int32)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		cluster := etcdtest.Start(t, members)
		var dials atomic.Int32
		c, err := client.New(client.Config{
			Endpoints: []string{vip},
			DialOptions: []grpc.DialOption{grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
				n := pick(int(dials.Add(1) - 1))
				return cluster.Dialer()(ctx, cluster.Member(n).Addr())
			})},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		r := &rig{t: t, cluster: cluster, Client: c, kv: pb.NewKVClient(c.Conn())}
		r.warm()
		time.Sleep(2 * time.Second) // the bubble's clock
		test(r, &dials)
	})
}

// A single address may be that of many members: a member behind it that is of no use
// is left for another one, as if each had an address of its own.
func TestOneAddressOfManyMembers(t *testing.T) {
	for name, fault := range map[string]struct{ begin, end func(*etcdtest.Member) }{
		"stopped":         {(*etcdtest.Member).Freeze, (*etcdtest.Member).Thaw},
		"answers nothing": {(*etcdtest.Member).Hang, (*etcdtest.Member).Resume},
		"killed":          {(*etcdtest.Member).Kill, (*etcdtest.Member).Start},
		"cut off":         {func(m *etcdtest.Member) { m.SetNoLeader(true) }, func(m *etcdtest.Member) { m.SetNoLeader(false) }},
	} {
		t.Run(name, func(t *testing.T) {
			runBehindOne(t, 3, func(r *rig, _ *atomic.Int32) {
				t := r.t
				for i := range 3 {
					id := r.servedBy()
					m := r.cluster.ByID(id)
					fault.begin(m)
					start := time.Now()
					worst := time.Duration(0)
					for time.Since(start) < 10*time.Second {
						begun := time.Now()
						if _, err := r.get(r.timeout(5 * time.Second)); err != nil {
							t.Errorf("round %d: get: %v", i, err)
						}
						worst = max(worst, time.Since(begun))
						if time.Since(start) > 3*time.Second {
							if err := r.put(r.timeout(5*time.Second), "k", "v"); err != nil {
								t.Errorf("round %d: put: %v", i, err)
							}
						}
						time.Sleep(20 * time.Millisecond)
					}
					if worst > 600*time.Millisecond {
						t.Errorf("round %d: the longest get took %v, want at most a suspicion and a probe", i, worst)
					}
					fault.end(m)
					time.Sleep(10 * time.Second)
				}
			})
		})
	}
}

// Both connections may have reached one member in spite of that. When it does not serve
// any more another one is looked for.
func TestOneAddressThatLedToOneMember(t *testing.T) {
	pick := func(n int) int { return max(0, n-3) % 3 } // the first four reach one
	runBehind(t, 3, pick, func(r *rig, _ *atomic.Int32) {
		t := r.t
		time.Sleep(10 * time.Second) // the bubble's clock
		r.cluster.Member(0).Intercept(onlyHealth)
		start := time.Now()
		if _, err := r.get(r.timeout(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d > 1500*time.Millisecond {
			t.Errorf("a get took %v, want a suspicion, a probe, and a connection", d)
		}
	})
}

// servedBy is the ID of the member that answers a read.
func (r *rig) servedBy() uint64 {
	r.t.Helper()
	resp, err := r.kv.Range(r.timeout(time.Second), &pb.RangeRequest{Key: []byte("k")})
	if err != nil {
		r.t.Fatal(err)
	}
	return resp.GetHeader().GetMemberId()
}

// Behind one address the two connections reach two members, if there are two, and
// nobody dials for ever when there is one.
func TestOneAddressReachesTwoMembers(t *testing.T) {
	for _, members := range []int{1, 3} {
		runBehindOne(t, members, func(r *rig, dials *atomic.Int32) {
			ids := make(map[uint64]bool)
			for _, s := range r.Endpoints() {
				if !strings.HasPrefix(s.Address, vip) {
					r.t.Errorf("got %+v, want the one address", s)
				}
				ids[s.MemberID] = true
			}
			if want := min(members, 2); len(ids) != want {
				r.t.Errorf("%d members: connected to %d of them, want %d", members, len(ids), want)
			}
			before := dials.Load()
			time.Sleep(time.Minute)
			if n := dials.Load() - before; n > 0 || before > 4 {
				r.t.Errorf("%d members: dialed %d times at first and %d times in a minute, want 4 at most and none", members, before, n)
			}
		})
	}
}

// runClusters is a client of three addresses, the last of which belongs to a member of
// another cluster.
func runClusters(t *testing.T, configure func(c *client.Config, ours, theirs *etcdtest.Cluster), test func(r *rig, theirs *etcdtest.Cluster)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := etcdtest.Start(t, 2), etcdtest.Start(t, 1)
		theirs.SetClusterID(ours.ClusterID() + 1)
		var mu sync.Mutex
		theirs.Member(0).SetAddr("other:2379")
		cfg := client.Config{
			Endpoints: append(ours.Addrs(), "other:2379"),
			DialOptions: []grpc.DialOption{grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
				mu.Lock()
				defer mu.Unlock()
				if addr == "other:2379" {
					return theirs.Dialer()(ctx, addr)
				}
				return ours.Dialer()(ctx, addr)
			})},
		}
		cfg.Resolver.KeepOrder = true
		if configure != nil {
			configure(&cfg, ours, theirs)
		}
		c, err := client.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		test(&rig{t: t, cluster: ours, Client: c, kv: pb.NewKVClient(c.Conn())}, theirs)
	})
}

// A member of another cluster is dialed again and again, but reported once.
func TestStrangerIsReportedOnce(t *testing.T) {
	logs := new(records)
	runClusters(t, func(c *client.Config, _, _ *etcdtest.Cluster) { c.Logger = slog.New(logs) }, func(r *rig, _ *etcdtest.Cluster) {
		t := r.t
		if err := r.put(r.timeout(time.Second), "k", "v"); err != nil {
			t.Fatal(err)
		}
		for _, m := range r.cluster.Members() {
			m.Kill()
		}
		time.Sleep(time.Minute) // the bubble's clock
		told := 0
		for _, record := range loud(logs.take()) {
			if strings.Contains(record, "of another cluster") && strings.HasPrefix(record, "WARN") {
				told++
			}
		}
		if dials := r.Counters().Dials; told != 1 || dials < 30 {
			t.Errorf("%d records of %d dials, want one", told, dials)
		}
	})
}

// A member of another cluster behind the name is not used, even when no other is left.
func TestMembersOfAnotherClusterAreNotUsed(t *testing.T) {
	runClusters(t, nil, func(r *rig, theirs *etcdtest.Cluster) {
		t := r.t
		if err := r.put(r.timeout(time.Second), "k", "v"); err != nil {
			t.Fatal(err)
		}
		for _, m := range r.cluster.Members() {
			m.Kill()
		}
		synctest.Wait()
		_, err := r.get(r.timeout(5 * time.Second))
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), fmt.Sprintf("%x", theirs.ClusterID())) {
			t.Errorf("with nobody else left: got %v, want the deadline, and the other cluster named", err)
		}
		var told *client.ClusterError
		if !errors.As(err, &told) || told.Got != theirs.ClusterID() || told.Want != r.cluster.ClusterID() {
			t.Errorf("got %v (%+v), want a *ClusterError", err, told)
		}
		if n := theirs.Member(0).Calls(pb.KV_Range_FullMethodName); n > 20 {
			t.Errorf("the other cluster was asked to read %d times, want only what a new connection proves", n)
		}
		r.cluster.Member(0).Start()
		if got, err := r.get(r.timeout(5 * time.Second)); err != nil || got != "v" {
			t.Errorf("after a member's return: got %q and error %v, want %q", got, err, "v")
		}
	})
}

// A client can be told which cluster it is for, or that any will do.
func TestClusterIDs(t *testing.T) {
	runClusters(t, func(c *client.Config, _, theirs *etcdtest.Cluster) { c.ClusterID = theirs.ClusterID() }, func(r *rig, theirs *etcdtest.Cluster) {
		if err := r.put(r.timeout(5*time.Second), "k", "v"); err != nil {
			r.t.Fatal(err)
		}
		if n := theirs.Member(0).Calls(pb.KV_Put_FullMethodName); n != 1 {
			r.t.Errorf("pinned: %d puts reached the other cluster, want the one", n)
		}
	})
	runClusters(t, func(c *client.Config, _, _ *etcdtest.Cluster) { c.AllowClusterChange = true }, func(r *rig, theirs *etcdtest.Cluster) {
		if err := r.put(r.timeout(time.Second), "k", "v"); err != nil {
			r.t.Fatal(err)
		}
		for _, m := range r.cluster.Members() {
			m.Kill()
		}
		synctest.Wait()
		if err := r.put(r.timeout(5*time.Second), "k", "v"); err != nil {
			r.t.Errorf("any cluster: %v", err)
		}
		if n := theirs.Member(0).Calls(pb.KV_Put_FullMethodName); n != 1 {
			r.t.Errorf("any cluster: %d puts reached the other one, want one", n)
		}
	})
}

// A single member that comes back is used at once, and its endpoint is one that can be
// asked.
func TestOneMemberComesBack(t *testing.T) {
	runBehindOne(t, 1, func(r *rig, _ *atomic.Int32) {
		t := r.t
		for i := range 3 {
			r.cluster.Member(0).Kill()
			synctest.Wait()
			r.cluster.Member(0).Start()
			start := time.Now()
			if _, err := r.get(r.timeout(time.Minute)); err != nil {
				t.Fatal(err)
			}
			if d := time.Since(start); d > 300*time.Millisecond {
				t.Errorf("round %d: a get took %v after the member's return, want at most a pause", i, d)
			}
			time.Sleep(10 * time.Second) // the bubble's clock
		}
		for _, s := range r.Endpoints() {
			if _, err := r.Status(r.timeout(time.Second), s.Address); err != nil {
				t.Errorf("status of %s: %v", s.Address, err)
			}
		}
	})
}

// The connection to a member that is not listed any more ends when another serves, also
// when it was doubted meanwhile.
func TestDoubtedMemberThatLeaves(t *testing.T) {
	var open sync.Map
	synctest.Test(t, func(t *testing.T) {
		cluster := etcdtest.Start(t, 3)
		c, err := client.New(client.Config{
			Endpoints: cluster.Addrs()[:2],
			Resolver:  resolver.Options{KeepOrder: true},
			DialOptions: []grpc.DialOption{grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
				conn, err := cluster.Dialer()(ctx, addr)
				if err != nil {
					return nil, err
				}
				counted := &countedConn{Conn: conn, open: &open, addr: addr}
				open.Store(counted, addr)
				return counted, nil
			})},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		r := &rig{t: t, cluster: cluster, Client: c, kv: pb.NewKVClient(c.Conn())}
		r.warm()
		cluster.Member(0).Hang()
		_, _ = r.get(r.timeout(time.Second)) // what waits has it probed
		if err := r.SetEndpoints(m3); err != nil {
			t.Fatal(err)
		}
		time.Sleep(200 * time.Millisecond) // the bubble's clock
		cluster.Member(0).Resume()
		time.Sleep(10 * time.Minute)
		open.Range(func(_, addr any) bool {
			if addr != m3 {
				t.Errorf("a connection to %v is open ten minutes after the list stopped having it", addr)
			}
			return true
		})
	})
}

type countedConn struct {
	net.Conn
	open *sync.Map
	addr string
}

func (c *countedConn) Close() error {
	c.open.Delete(c)
	return c.Conn.Close()
}

// A client of one member has one connection.
func TestOneMember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := etcdtest.Start(t, 1)
		cl, err := client.New(client.Config{
			Endpoints: c.Addrs(), OneMember: true,
			DialOptions: []grpc.DialOption{grpc.WithContextDialer(c.Dialer())},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer cl.Close()
		if _, err := cl.Put(t.Context(), "k", "v"); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute)
		if n := cl.Counters().Dials; n != 1 || len(cl.Endpoints()) != 1 {
			t.Errorf("%d connections were made, to %v; want one", n, cl.Endpoints())
		}
	})
}

// A client of one member takes no list of them, in no form.
func TestOneMemberIsNotTwo(t *testing.T) {
	const two = "10.0.0.1:2379,10.0.0.2:2379"
	want := func(err error) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), "one endpoint is wanted, and there are 2") {
			t.Errorf("got %v, want an error with their number", err)
		}
	}
	_, err := client.New(client.Config{Endpoints: []string{two}, OneMember: true})
	want(err)
	cl, err := client.New(client.Config{Endpoints: []string{"10.0.0.1:2379"}, OneMember: true})
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	want(cl.SetEndpoints("10.0.0.1:2379", "10.0.0.2:2379"))
	_, err = cl.Defragment(t.Context(), two)
	want(err)
	_, err = cl.Status(t.Context(), two)
	want(err)
}
