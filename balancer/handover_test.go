package balancer_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/internal/policy"
)

// slowly makes a hook that lets calls of the method take d.
func slowly(method string, d time.Duration) etcdtest.UnaryHook {
	return func(_ context.Context, m string, _ any, next func() (any, error)) (any, error) {
		if m == method {
			time.Sleep(d) // the bubble's clock
		}
		return next()
	}
}

// lock sends the Lock RPC, which waits by its nature.
func (r *rig) lock(d time.Duration) error {
	lease, err := r.Grant(r.timeout(time.Minute), 600)
	if err != nil {
		return err
	}
	_, err = v3lockpb.NewLockClient(r.Conn()).Lock(r.timeout(d), &v3lockpb.LockRequest{Name: []byte("l"), Lease: int64(lease.ID)})
	return err
}

// under starts a write and a call that waits, lets test make the client leave their
// member, and wants both to be answered.
func (r *rig) under(test func()) {
	t := r.t
	put, lock := make(chan error, 1), make(chan error, 1)
	go func() { lock <- r.lock(10 * time.Minute) }()
	go func() { put <- r.put(r.timeout(10*time.Minute), "k", "v") }()
	synctest.Wait()
	time.Sleep(10 * time.Millisecond) // the bubble's clock
	start := time.Now()
	test()
	if err := <-put; err != nil {
		t.Errorf("put: %v after %v", err, time.Since(start))
	}
	if err := <-lock; err != nil {
		t.Errorf("lock: %v after %v", err, time.Since(start))
	}
	if c := r.Counters(); c.HandedOver == 0 || c.Severed > 0 || c.GivenUp > 0 {
		t.Errorf("got %+v, want a connection handed over, and nothing severed or given up", c)
	}
}

// slowBoth makes a put take 6.5 s, and a lock a minute.
func slowBoth(m *etcdtest.Member) {
	put, lock := slowly(pb.KV_Put_FullMethodName, 6500*time.Millisecond), slowly(v3lockpb.Lock_Lock_FullMethodName, time.Minute)
	m.Intercept(func(ctx context.Context, method string, req any, next func() (any, error)) (any, error) {
		return put(ctx, method, req, func() (any, error) { return lock(ctx, method, req, next) })
	})
}

// What is under way on a connection that is left on purpose goes on until it ends.
func TestHandOver(t *testing.T) {
	for name, leave := range map[string]func(r *rig){
		"other endpoints": func(r *rig) {
			if err := r.SetEndpoints(m2, m3); err != nil {
				r.t.Error(err)
			}
		},
		"unwell": func(r *rig) { r.cluster.Member(0).SetServing(false) },
		"false doubt": func(r *rig) {
			r.cluster.Member(0).Hang()
			_, _ = r.get(r.timeout(time.Second))
			time.Sleep(300 * time.Millisecond)
			r.cluster.Member(0).Resume()
		},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, 3, nil, func(r *rig) {
				r.warm()
				slowBoth(r.cluster.Member(0))
				r.under(func() { leave(r) })
				if got := r.active(); got == m1 {
					r.t.Errorf("active: got %q, want another", got)
				}
			})
		})
	}
}

// A server that wants to end a connection says so (GOAWAY), and lets what is under way
// on it end.
func TestGoAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := etcdtest.Start(t, 2, grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionAge: 5 * time.Second}))
		c, err := client.New(client.Config{
			Endpoints:   cluster.Addrs(),
			DialOptions: []grpc.DialOption{grpc.WithContextDialer(cluster.Dialer())},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		r := &rig{t: t, cluster: cluster, Client: c, kv: pb.NewKVClient(c.Conn())}
		r.warm()
		for _, m := range cluster.Members() {
			slowBoth(m)
		}
		r.under(func() {
			for range 1000 {
				if _, err := r.get(r.timeout(time.Second)); err != nil {
					t.Errorf("get: %v", err)
				}
				time.Sleep(20 * time.Millisecond)
			}
		})
	})
}

// A connection that was left is looked after: when its member falls silent, what is
// under way on it is not waited for until its deadline.
func TestSilenceAfterAHandOver(t *testing.T) {
	run(t, 3, nil, func(r *rig) {
		t := r.t
		r.warm()
		r.cluster.Member(0).Intercept(slowly(pb.KV_Put_FullMethodName, time.Hour))
		put := make(chan error, 1)
		go func() { put <- r.put(r.timeout(10*time.Minute), "k", "v") }()
		synctest.Wait()
		if err := r.SetEndpoints(m2, m3); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second) // the bubble's clock
		select {
		case err := <-put:
			t.Fatalf("put: %v, while its member is there", err)
		default:
		}
		start := time.Now()
		r.cluster.Member(0).Freeze()
		if err := <-put; !client.IsAmbiguous(err) {
			t.Errorf("put: got %v, want an error that is ambiguous", err)
		}
		if d := time.Since(start); d > policy.DefaultPatience+time.Second {
			t.Errorf("it took %v after its member fell silent, want at most the patience and what it takes to notice", d)
		}
		r.cluster.Member(0).Thaw()
	})
}

// A client that is made in the middle of an election sends its first write when it is
// over: a member that has not noticed would lose it.
func TestFirstWriteWaitsForAProof(t *testing.T) {
	for name, c := range map[string]struct {
		members int
		hang    func(*etcdtest.Member)
	}{
		"does not know": {3, func(m *etcdtest.Member) {
			m.Intercept(func(ctx context.Context, method string, _ any, next func() (any, error)) (any, error) {
				switch method {
				case pb.KV_Range_FullMethodName, pb.KV_Put_FullMethodName:
					<-ctx.Done() // what takes a leader waits for one that is gone
					return nil, ctx.Err()
				}
				return next()
			})
		}},
		"knows": {3, func(m *etcdtest.Member) { m.SetNoLeader(true) }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cluster := etcdtest.Start(t, c.members)
				for _, m := range cluster.Members() {
					c.hang(m)
				}
				cl, err := client.New(client.Config{
					Endpoints:   cluster.Addrs(),
					DialOptions: []grpc.DialOption{grpc.WithContextDialer(cluster.Dialer())},
				})
				if err != nil {
					t.Fatal(err)
				}
				defer cl.Close()
				put := make(chan error, 1)
				go func() {
					_, err := cl.Put(t.Context(), "k", "v")
					put <- err
				}()
				time.Sleep(1500 * time.Millisecond) // the bubble's clock: the election
				start := time.Now()
				for _, m := range cluster.Members() {
					m.Intercept(nil)
					m.SetNoLeader(false)
				}
				if err := <-put; err != nil {
					t.Errorf("put: %v, want it to wait", err)
				}
				if d := time.Since(start); d > 1500*time.Millisecond {
					t.Errorf("it took %v after the election, want at most 1.5 s", d)
				}
			})
		})
	}
}
