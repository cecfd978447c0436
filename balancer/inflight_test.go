package balancer_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/resolver"
)

// When a connection dies, the writes in flight on it are in doubt, at once, and no others:
// those that wait for one of its streams have not been sent.
func TestOnlyWritesInFlightAreInDoubt(t *testing.T) {
	const inFlight, queued = 8, 30
	for _, members := range []int{1, 2} {
		synctest.Test(t, func(t *testing.T) {
			cluster := etcdtest.Start(t, 2, grpc.MaxConcurrentStreams(inFlight+1)) // the health watch is one, too
			c, err := client.New(client.Config{
				Endpoints:   cluster.Addrs(),
				Resolver:    resolver.Options{KeepOrder: true},
				DialOptions: []grpc.DialOption{grpc.WithContextDialer(cluster.Dialer())},
			})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			r := &rig{t: t, cluster: cluster, Client: c, kv: pb.NewKVClient(c.Conn())}
			r.warm()
			if members == 1 {
				cluster.Member(1).Kill()
			}
			m := cluster.Member(0)
			m.Intercept(slowly(pb.KV_Put_FullMethodName, time.Minute))
			var mu sync.Mutex
			var doubtful, certain int
			var last time.Time
			var wg sync.WaitGroup
			for i := range inFlight + queued {
				wg.Go(func() {
					err := r.put(r.timeout(30*time.Second), fmt.Sprint("k", i), "v")
					mu.Lock()
					defer mu.Unlock()
					switch {
					case client.IsAmbiguous(err):
						doubtful++
						last = time.Now()
					case err != nil:
						certain++
					}
				})
			}
			time.Sleep(50 * time.Millisecond) // the bubble's clock
			if n := m.Calls(pb.KV_Put_FullMethodName); n != inFlight {
				t.Fatalf("the member has got %d puts, want %d", n, inFlight)
			}
			killed := time.Now()
			m.Kill()
			wg.Wait()
			if doubtful > inFlight || last.Sub(killed) > time.Millisecond {
				t.Errorf("%d puts were in doubt, the last one %v after the connection's end, want %d at most, at once", doubtful, last.Sub(killed), inFlight)
			}
			if want := map[int]int{1: queued, 2: 0}[members]; certain != want {
				t.Errorf("%d members: %d puts failed and were certain not to be applied, want %d", members, certain, want)
			}
		})
	}
}

// The proof that the first write waits for is asked for beside the question who the member
// is: when all is well the write takes a round trip from when the client is ready.
func TestFirstWritesProofCostsNothing(t *testing.T) {
	const oneWay = 50 * time.Millisecond
	for _, members := range []int{1, 3} {
		synctest.Test(t, func(t *testing.T) {
			cluster := etcdtest.Start(t, members)
			begun := time.Now()
			c, err := client.New(client.Config{
				Endpoints: cluster.Addrs(),
				DialOptions: []grpc.DialOption{grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
					conn, err := cluster.Dialer()(ctx, addr)
					if err != nil {
						return nil, err
					}
					return far(conn, oneWay), nil
				})},
			})
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				_ = c.Close()
				time.Sleep(time.Second) // what is on its way arrives; the bubble's clock
			}()
			if err := c.WaitReady(t.Context()); err != nil {
				t.Fatal(err)
			}
			ready := time.Now()
			if _, err := c.Put(t.Context(), "k", "v"); err != nil {
				t.Fatal(err)
			}
			// Before that there are two: HTTP/2's settings, and the member's name.
			if first, setUp := time.Since(ready), ready.Sub(begun); first > 2*oneWay+time.Millisecond || setUp > 4*oneWay+time.Millisecond {
				t.Errorf("%d members: ready after %v, and the first put took %v, want at most two round trips of %v, and one", members, setUp, first, 2*oneWay)
			}
		})
	}
}

// farConn is a connection on which everything arrives later.
type farConn struct {
	net.Conn

	delay   time.Duration
	in, out chan delayed
	rest    []byte
	ended   chan struct{}
	once    sync.Once
}

type delayed struct {
	b   []byte
	at  time.Time
	err error
}

func far(conn net.Conn, delay time.Duration) *farConn {
	c := &farConn{Conn: conn, delay: delay, in: make(chan delayed, 1000), out: make(chan delayed, 1000), ended: make(chan struct{})}
	go func() {
		for {
			b := make([]byte, 32<<10)
			n, err := conn.Read(b)
			c.in <- delayed{b[:n], time.Now().Add(delay), err}
			if err != nil {
				return
			}
		}
	}()
	go func() {
		for {
			select {
			case d := <-c.out:
				time.Sleep(time.Until(d.at)) // the bubble's clock
				_, _ = conn.Write(d.b)
			case <-c.ended:
				_ = conn.Close()
				return
			}
		}
	}()
	return c
}

// Read implements net.Conn.
func (c *farConn) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		select {
		case d := <-c.in:
			time.Sleep(time.Until(d.at))
			if c.rest = d.b; d.err != nil {
				return 0, d.err
			}
		case <-c.ended:
			return 0, net.ErrClosed
		}
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// Write implements net.Conn.
func (c *farConn) Write(p []byte) (int, error) {
	select {
	case c.out <- delayed{slices.Clone(p), time.Now().Add(c.delay), nil}:
		return len(p), nil
	case <-c.ended:
		return 0, net.ErrClosed
	}
}

// Close implements net.Conn.
func (c *farConn) Close() error {
	c.once.Do(func() { close(c.ended) })
	return nil
}
