package client_test

import (
	"context"
	"encoding/json"
	"expvar"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/stats"

	"github.com/getcd/getcd/balancer"
	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/resolver"
)

// exampleConfig is how to reach a fake cluster, its members in their order.
func exampleConfig(cluster *etcdtest.Cluster) client.Config {
	return client.Config{
		Endpoints:   cluster.Addrs(),
		Resolver:    resolver.Options{KeepOrder: true},
		DialOptions: cluster.DialOptions(),
	}
}

// The counters become JSON under /debug/vars.
func ExampleClient_Counters() {
	cluster := etcdtest.NewCluster(3)
	defer cluster.Close()
	c, err := client.New(exampleConfig(cluster))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()

	expvar.Publish("etcd", expvar.Func(func() any { return c.Counters() }))

	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for range 3 {
		if _, err := c.Get(ctx, "greeting"); err != nil {
			fmt.Println(err)
		}
	}
	var vars map[string]uint64
	if err := json.Unmarshal([]byte(expvar.Get("etcd").String()), &vars); err != nil {
		fmt.Println(err)
	}
	fmt.Println(vars["Calls"], "calls,", vars["Failovers"], "failovers")
	// Output: 3 calls, 0 failovers
}

// follow tells of each change until ctx ends.
func follow(ctx context.Context, c *client.Client, tell func([]balancer.Status)) {
	for {
		changed := c.EndpointsChanged() // before Endpoints, to miss nothing
		tell(c.Endpoints())
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

func ExampleClient_EndpointsChanged() {
	cluster := etcdtest.NewCluster(3)
	defer cluster.Close()
	c, err := client.New(exampleConfig(cluster))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()

	last := ""
	follow(ctx, c, func(endpoints []balancer.Status) {
		for _, s := range endpoints {
			switch {
			case s.Role != balancer.Active || s.Address == last:
			case last == "":
				fmt.Println("a member is active")
				last = s.Address
				kill(cluster, s.Address)
			default:
				fmt.Println("another member is active")
				last = s.Address
				cancel() // that was enough
			}
		}
	})
	// Output:
	// a member is active
	// another member is active
}

func kill(cluster *etcdtest.Cluster, addr string) {
	for _, m := range cluster.Members() {
		if m.Addr() == addr {
			m.Kill()
		}
	}
}

// Records go where the program's own go.
func ExampleConfig_logger() {
	cluster := etcdtest.NewCluster(1)
	defer cluster.Close()
	cfg := exampleConfig(cluster)
	cfg.Logger = slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		Level: slog.LevelInfo,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{} // or else the output would never be the same
			}
			return a
		},
	}))
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	c, err := client.Dial(ctx, cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := c.Close(); err != nil { // the last record is written
		fmt.Println(err)
	}
	// Unordered output:
	// level=INFO msg="etcd: addresses changed" addresses=[member-1:2379]
	// level=INFO msg="etcd: active endpoint changed" from="" to=member-1:2379
}

// meter is a stats handler that counts attempts by method, and how they ended.
type meter struct {
	mu            sync.Mutex
	began, failed map[string]int
}

type methodKey struct{}

func newMeter() *meter { return &meter{began: make(map[string]int), failed: make(map[string]int)} }

func (m *meter) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context {
	return context.WithValue(ctx, methodKey{}, info.FullMethodName)
}

func (m *meter) HandleRPC(ctx context.Context, s stats.RPCStats) {
	method, _ := ctx.Value(methodKey{}).(string)
	m.mu.Lock()
	defer m.mu.Unlock()
	switch s := s.(type) {
	case *stats.Begin:
		m.began[method]++
	case *stats.End:
		if s.Error != nil {
			m.failed[method]++
		}
	}
}

func (m *meter) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

func (m *meter) HandleConn(context.Context, stats.ConnStats) {}

// count returns how many attempts of the method began, and how many failed.
func (m *meter) count(method string) (began, failed int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.began[method], m.failed[method]
}

// total returns how many attempts began.
func (m *meter) total() (n uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, began := range m.began {
		n += uint64(began)
	}
	return n
}

// gRPC's stats handlers see each attempt. Here a member refuses the first one.
func ExampleConfig_dialOptions() {
	cluster := etcdtest.NewCluster(1)
	defer cluster.Close()
	var refused atomic.Bool
	cluster.Member(0).Intercept(func(_ context.Context, method string, _ any, next func() (any, error)) (any, error) {
		if method == pb.Lease_LeaseLeases_FullMethodName && !refused.Swap(true) {
			return nil, rpctypes.ErrGRPCNoLeader
		}
		return next()
	})
	cfg := exampleConfig(cluster)
	meter := newMeter()
	cfg.DialOptions = append(cfg.DialOptions, grpc.WithStatsHandler(meter))
	cfg.OneMember = true
	c, err := client.New(cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()

	if _, err := c.Leases(context.Background()); err != nil {
		fmt.Println(err)
		return
	}
	began, failed := meter.count(pb.Lease_LeaseLeases_FullMethodName)
	fmt.Println(began, "attempts,", failed, "failed")
	// Output: 2 attempts, 1 failed
}
