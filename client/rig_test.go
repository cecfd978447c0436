package client_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.uber.org/goleak"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/balancer"
	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/resolver"
)

func TestMain(m *testing.M) {
	// Lookups of the names in these tests would go on after their clients are closed.
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("there is no DNS")
	}}
	goleak.VerifyTestMain(m)
}

// rig is a client of a fake cluster, in a synctest bubble. The members are tried
// in their order.
type rig struct {
	t       *testing.T
	cluster *etcdtest.Cluster
	*client.Client

	kv pb.KVClient // etcd's own stub, so that requests are what the test says
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

// refuse makes a hook that answers err and applies nothing.
func refuse(err error) etcdtest.UnaryHook {
	return func(context.Context, string, any, func() (any, error)) (any, error) { return nil, err }
}

// applyThen makes a hook that applies the request and answers err.
func applyThen(err error) etcdtest.UnaryHook {
	return func(_ context.Context, _ string, _ any, next func() (any, error)) (any, error) {
		if _, nextErr := next(); nextErr != nil {
			return nil, nextErr
		}
		return nil, err
	}
}

const healthCheck = "/grpc.health.v1.Health/Check"

// hangAllBut makes a hook that answers nothing but calls of the method.
func hangAllBut(method string) etcdtest.UnaryHook {
	return func(ctx context.Context, m string, _ any, next func() (any, error)) (any, error) {
		if m == method {
			return next()
		}
		<-ctx.Done()
		return nil, ctx.Err()
	}
}

func endpointsOf(e *client.Error) []string {
	var out []string
	for _, a := range e.Attempts {
		out = append(out, a.Endpoint)
	}
	slices.Sort(out)
	return out
}

// warm lets the client learn how quick its member is.
func (r *rig) warm() {
	r.t.Helper()
	for range 10 {
		if _, err := r.get(r.timeout(time.Second)); err != nil {
			r.t.Fatal(err)
		}
	}
	time.Sleep(time.Millisecond) // what comes then is later; the bubble's clock stands still otherwise
}

// active is the active endpoint's address. The table has it a moment after calls may go on.
func (r *rig) active() string {
	synctest.Wait()
	for _, s := range r.Endpoints() {
		if s.Role == balancer.Active {
			return s.Address
		}
	}
	return ""
}

// hangLinearizable makes a hook under which a member has not noticed yet that the
// leader is gone: what takes the leader waits.
func hangLinearizable(ctx context.Context, method string, req any, next func() (any, error)) (any, error) {
	r, ok := req.(*pb.RangeRequest)
	if ok && !r.Serializable || method == pb.KV_Put_FullMethodName {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return next()
}
