package balancer_test

import (
	"context"
	"net"
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

// rig is a client of a fake cluster, in a synctest bubble. The members are tried
// in their order.
type rig struct {
	t       *testing.T
	cluster *etcdtest.Cluster
	*client.Client

	kv pb.KVClient // etcd's own stub, so that requests are what the test says

	frozen uint64 // the ID of the member that freeze has stopped
}

func run(t *testing.T, members int, configure func(*client.Config), test func(r *rig)) {
	t.Helper()
	runDialing(t, members, configure, func(string) {}, test)
}

// runDialing is run with a function that is called for each connection attempt.
func runDialing(t *testing.T, members int, configure func(*client.Config), dialing func(addr string), test func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &rig{t: t, cluster: etcdtest.Start(t, members)}
		cfg := client.Config{
			Endpoints: r.cluster.Addrs(),
			Resolver:  resolver.Options{KeepOrder: true},
			DialOptions: []grpc.DialOption{grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
				dialing(addr)
				return r.cluster.Dialer()(ctx, addr)
			})},
		}
		if configure != nil {
			configure(&cfg)
		}
		c, err := client.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := c.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
		r.Client, r.kv = c, pb.NewKVClient(c.Conn())
		synctest.Wait()
		test(r)
	})
}

// timeout is the test's context with a limit.
func (r *rig) timeout(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(r.t.Context(), d)
	r.t.Cleanup(cancel)
	return ctx
}

func (r *rig) put(ctx context.Context, key, value string) error {
	_, err := r.kv.Put(ctx, &pb.PutRequest{Key: []byte(key), Value: []byte(value)})
	return err
}

func (r *rig) get(ctx context.Context) (string, error) {
	resp, err := r.kv.Range(ctx, &pb.RangeRequest{Key: []byte("k")})
	if err != nil || len(resp.Kvs) == 0 {
		return "", err
	}
	return string(resp.Kvs[0].Value), nil
}

// version is how often the key "k" was written.
func (r *rig) version() int64 {
	r.t.Helper()
	resp, err := r.kv.Range(r.timeout(time.Minute), &pb.RangeRequest{Key: []byte("k")})
	if err != nil {
		r.t.Fatalf("reading: %v", err)
	}
	if len(resp.Kvs) == 0 {
		return 0
	}
	return resp.Kvs[0].Version
}

// once makes a hook that handles the first call of the method.
func once(method string, hook etcdtest.UnaryHook) etcdtest.UnaryHook {
	return times(1, method, hook)
}

// times makes a hook that handles the first n calls of the method. The policy's own requests count,
// too, and may come at any time.
func times(n int, method string, hook etcdtest.UnaryHook) etcdtest.UnaryHook {
	var calls atomic.Int64
	return func(ctx context.Context, m string, req any, next func() (any, error)) (any, error) {
		if m == method && calls.Add(1) <= int64(n) {
			return hook(ctx, m, req, next)
		}
		return next()
	}
}

const healthCheck = "/grpc.health.v1.Health/Check"

// onlyHealth is a hook under which a member answers nothing but health checks.
func onlyHealth(ctx context.Context, method string, _ any, next func() (any, error)) (any, error) {
	if method == healthCheck {
		return next()
	}
	<-ctx.Done()
	return nil, ctx.Err()
}
