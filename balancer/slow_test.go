package balancer_test

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/internal/policy"
)

// slowLink is the way to one member: all its connections share rate bytes a second in
// each direction. It has no buffer, so that a sender feels how slow it is.
type slowLink struct {
	rate     float64
	up, down chan struct{} // capacity 1: the turn of one connection
	carried  atomic.Int64  // bytes, both ways
}

func newSlowLink(rate float64) *slowLink {
	return &slowLink{rate: rate, up: make(chan struct{}, 1), down: make(chan struct{}, 1)}
}

// carry lets n bytes pass.
func (l *slowLink) carry(way chan struct{}, n int) {
	way <- struct{}{}
	l.carried.Add(int64(n))
	time.Sleep(time.Duration(float64(n) / l.rate * float64(time.Second))) // the bubble's clock
	<-way
}

type slowConn struct {
	net.Conn
	link *slowLink
}

const packet = 4 << 10

func (c *slowConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p[:min(len(p), packet)])
	c.link.carry(c.link.down, n)
	return n, err
}

func (c *slowConn) Write(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var m int
		m, err = c.Conn.Write(p[n:min(len(p), n+packet)])
		c.link.carry(c.link.up, m)
		n += m
	}
	return n, err
}

// runSlow is run on links of rate bytes a second, one for each member.
func runSlow(t *testing.T, members int, rate float64, test func(r *rig)) {
	t.Helper()
	var mu sync.Mutex
	links := make(map[string]*slowLink)
	runLinks(t, members, func(addr string) *slowLink {
		mu.Lock()
		defer mu.Unlock()
		if links[addr] == nil {
			links[addr] = newSlowLink(rate)
		}
		return links[addr]
	}, test)
}

// runLinks is run on the links that link returns for the members' addresses.
func runLinks(t *testing.T, members int, link func(addr string) *slowLink, test func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		cluster := etcdtest.Start(t, members)
		c, err := client.New(client.Config{
			Endpoints: cluster.Addrs(),
			DialOptions: []grpc.DialOption{grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
				conn, err := cluster.Dialer()(ctx, addr)
				if err != nil {
					return nil, err
				}
				return &slowConn{conn, link(addr)}, nil
			})},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = c.Close()
			time.Sleep(time.Minute) // grpc takes its time to say goodbye on a slow link
		})
		test(&rig{t: t, cluster: cluster, Client: c, kv: pb.NewKVClient(c.Conn())})
	})
}

// wantAllPuts sends n puts of size bytes at once, of which all must succeed within
// limit.
func (r *rig) wantAllPuts(n, size int, limit time.Duration) {
	r.t.Helper()
	start := time.Now()
	value := strings.Repeat("v", size)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			if err := r.put(r.timeout(10*time.Minute), fmt.Sprint("k", i), value); err != nil {
				r.t.Errorf("put %d after %v: %v", i, time.Since(start), err)
			}
		})
	}
	wg.Wait()
	if d := time.Since(start); d > limit {
		r.t.Errorf("%d puts of %d bytes took %v, want at most %v", n, size, d, limit)
	}
	if c := r.Counters(); c.Severed > 0 || c.GivenUp > 0 || c.Failovers > 0 {
		r.t.Errorf("got %+v, want nothing severed, given up or failed over", c)
	}
}

// A large value on a slow link is no stall: bytes that move are a sign of life.
func TestLargeValuesOnSlowLinks(t *testing.T) {
	for _, c := range []struct {
		members, puts, size int
		rate                float64
	}{
		{3, 60, 1e6, 2e6},
		{1, 60, 1e6, 2e6},
		{3, 30, 100e3, 0.5e6},
		{3, 1, 1.4e6, 0.2e6},
		{3, 1, 1.4e6, 0.03e6},
		{1, 1, 1.4e6, 0.05e6},
	} {
		t.Run(fmt.Sprintf("%d×%d at %g to %d", c.puts, c.size, c.rate, c.members), func(t *testing.T) {
			runSlow(t, c.members, c.rate, func(r *rig) {
				ideal := float64(c.puts*c.size) / c.rate
				r.wantAllPuts(c.puts, c.size, time.Duration(1.2*ideal*float64(time.Second)))
			})
		})
	}
}

// large returns a key with a value of size bytes.
func large(size int) []*mvccpb.KeyValue {
	return []*mvccpb.KeyValue{{Key: []byte("large"), Value: make([]byte, size)}}
}

// answerLarge has the members answer reads of the key "large" with a value of size bytes,
// and the first of them late.
func (r *rig) answerLarge(size int, late time.Duration) {
	var asked atomic.Int32
	for _, m := range r.cluster.Members() {
		m.Intercept(func(_ context.Context, _ string, req any, next func() (any, error)) (any, error) {
			resp, err := next()
			if q, ok := req.(*pb.RangeRequest); ok && string(q.GetKey()) == "large" && err == nil {
				if asked.Add(1) == 1 {
					time.Sleep(late) // the bubble's clock
				}
				resp.(*pb.RangeResponse).Kvs = large(size) //nolint:forcetypeassert // it is a Range
			}
			return resp, err
		})
	}
}

// A large answer on a slow link is waited for where it is arriving.
func TestLargeAnswersOnSlowLinks(t *testing.T) {
	for _, members := range []int{1, 3} {
		runSlow(t, members, 2e6, func(r *rig) {
			t := r.t
			r.answerLarge(20_000_000, 0)
			start := time.Now()
			resp, err := r.kv.Range(r.timeout(45*time.Second), &pb.RangeRequest{Key: []byte("large")})
			if err != nil || len(resp.GetKvs()) == 0 {
				t.Fatalf("%d members: got error %v after %v, want the answer", members, err, time.Since(start))
			}
			if d := time.Since(start); d > 12*time.Second {
				t.Errorf("%d members: took %v, want at most 12 s", members, d)
			}
			if c := r.Counters(); c.Severed > 0 {
				t.Errorf("%d members: got %+v, want nothing severed", members, c)
			}
		})
	}
}

// It is not asked for a second time where all members are behind one line, or not for
// long: a copy would take the first one's place.
func TestLargeAnswersAreNotHedged(t *testing.T) {
	const size, rate = 20_000_000, 2e6
	for name, late := range map[string]time.Duration{"at once": 0, "after a while": 300 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			line := sync.OnceValue(func() *slowLink { return newSlowLink(rate) }) // made in the bubble
			runLinks(t, 3, func(string) *slowLink { return line() }, func(r *rig) {
				t := r.t
				r.answerLarge(size, late)
				start := time.Now()
				resp, err := r.kv.Range(r.timeout(45*time.Second), &pb.RangeRequest{Key: []byte("large")})
				if err != nil || len(resp.GetKvs()) == 0 {
					t.Fatalf("got error %v after %v, want the answer", err, time.Since(start))
				}
				n, carried := r.Counters().Hedges, line().carried.Load()
				if n > 1 || carried > size*11/10 {
					t.Errorf("%d hedges, and %d bytes for an answer of %d, want 1 at most, and 1.1 times as many", n, carried, size)
				}
			})
		})
	}
}

// Bytes of something else do not hide for ever that a member answers no request, and
// those that crawl do not hide it at all.
func TestBytesDoNotHideAStall(t *testing.T) {
	for name, c := range map[string]struct {
		message int
		within  time.Duration
	}{
		"flowing":  {10_000, 35 * time.Second},
		"crawling": {100, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, 2, nil, func(r *rig) {
				t := r.t
				r.warm()
				stop := make(chan struct{})
				r.cluster.Member(0).InterceptStream(func(s grpc.ServerStream, method string, next func(grpc.ServerStream) error) error {
					if method != pb.Maintenance_Snapshot_FullMethodName {
						return next(s)
					}
					for {
						select {
						case <-stop:
							return nil
						case <-s.Context().Done():
							return nil
						case <-time.After(50 * time.Millisecond): // the bubble's clock
						}
						if err := s.SendMsg(&pb.SnapshotResponse{Blob: make([]byte, c.message)}); err != nil {
							return err
						}
					}
				})
				snapshot, err := pb.NewMaintenanceClient(r.Conn()).Snapshot(r.timeout(5*time.Minute), &pb.SnapshotRequest{})
				if err != nil {
					t.Fatal(err)
				}
				go func() {
					for err == nil {
						_, err = snapshot.Recv()
					}
				}()
				r.cluster.Member(0).Intercept(func(ctx context.Context, _ string, _ any, _ func() (any, error)) (any, error) {
					<-ctx.Done() // health checks, too
					return nil, ctx.Err()
				})
				start := time.Now()
				put := make(chan error, 1)
				go func() { put <- r.put(r.timeout(5*time.Minute), "k", "v") }()
				for r.active() == m1 && time.Since(start) < time.Minute {
					time.Sleep(50 * time.Millisecond)
				}
				if d := time.Since(start); d > c.within {
					t.Errorf("the member was left after %v, want at most %v", d, c.within)
				}
				if err := <-put; !client.IsAmbiguous(err) {
					t.Errorf("put: got %v, want an error that is ambiguous", err)
				}
				if d := time.Since(start); d > c.within+policy.DefaultPatience {
					t.Errorf("the put was given up after %v, want at most %v and the patience", d, c.within)
				}
				close(stop)
			})
		})
	}
}

// A member that hangs for a moment now and then costs no write.
func TestHiccups(t *testing.T) {
	for name, hiccup := range map[string]struct{ begin, end func(*etcdtest.Member) }{
		"stopped":         {(*etcdtest.Member).Freeze, (*etcdtest.Member).Thaw},
		"answers nothing": {(*etcdtest.Member).Hang, (*etcdtest.Member).Resume},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, 3, nil, func(r *rig) {
				t := r.t
				r.warm()
				done := make(chan struct{})
				var wg sync.WaitGroup
				for i := range 4 {
					wg.Go(func() {
						for n := 0; ; n++ {
							select {
							case <-done:
								return
							case <-time.After(20 * time.Millisecond): // the bubble's clock
							}
							if err := r.put(r.timeout(10*time.Second), fmt.Sprint("k", i), fmt.Sprint(n)); err != nil {
								t.Errorf("put: %v", err)
							}
						}
					})
				}
				for i := range 12 {
					m := r.cluster.Member(i % 3)
					hiccup.begin(m)
					time.Sleep(1500 * time.Millisecond)
					hiccup.end(m)
					time.Sleep(3500 * time.Millisecond)
				}
				close(done)
				wg.Wait()
			})
		})
	}
}

// A process that gets little time to run does not take its own lateness for its
// members'. This runs by the real clock, since a bubble's is never late.
func TestBusyProcess(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 3 s of a whole processor")
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	cluster := etcdtest.Start(t, 3)
	c, err := client.New(client.Config{
		Endpoints:   cluster.Addrs(),
		DialOptions: []grpc.DialOption{grpc.WithContextDialer(cluster.Dialer())},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 50 {
		if _, err := c.Put(t.Context(), "k", "v"); err != nil {
			t.Fatal(err)
		}
	}
	end := time.Now().Add(3 * time.Second)
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			for n := 0; time.Now().Before(end); n++ { //nolint:revive // it is to be busy
			}
		})
	}
	for i := range 4 {
		wg.Go(func() {
			for time.Now().Before(end) {
				if _, err := c.Put(t.Context(), fmt.Sprint("k", i), "v"); err != nil {
					t.Errorf("put: %v", err)
				}
			}
		})
	}
	wg.Wait()
	if n := c.Counters(); n.Severed > 0 || n.GivenUp > 0 {
		t.Errorf("got %+v, want nothing severed or given up", n)
	}
}
