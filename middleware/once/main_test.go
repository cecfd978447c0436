package once_test

import (
	"bytes"
	"context"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/middleware/once"
	"github.com/getcd/getcd/resolver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// slotsPrefix is that of the tests.
const slotsPrefix = "once/"

var errLost = status.Error(codes.Unavailable, "the answer is lost")

// rig is a client whose writes happen once, in a bubble, and a connection that is none of its.
type rig struct {
	t       *testing.T
	cluster *etcdtest.Cluster
	c       *client.Client
	outside kv.KV
	stub    pb.KVClient // etcd's, on the outside
}

func run(t *testing.T, members int, configure func(*client.Config), test func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		cluster := etcdtest.Start(t, members)
		r := &rig{t: t, cluster: cluster, c: dial(t, cluster, configure)}
		conn := cluster.Conn(t)
		r.outside, r.stub = kv.New(conn), pb.NewKVClient(conn)
		synctest.Wait()
		test(r)
	})
}

// dial makes a client with once, unless configure takes it away.
func dial(t *testing.T, cluster *etcdtest.Cluster, configure func(*client.Config)) *client.Client {
	t.Helper()
	cfg := client.Config{
		Endpoints:  cluster.Addrs(),
		Resolver:   resolver.Options{KeepOrder: true},
		Middleware: []client.Middleware{once.Of(slotsPrefix)},
		DialOptions: []grpc.DialOption{grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
			return cluster.Dialer()(ctx, addr)
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
			t.Error(err)
		}
	})
	return c
}

func (r *rig) timeout(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(r.t.Context(), d)
	r.t.Cleanup(cancel)
	return ctx
}

// put puts a key, and fails the test if that fails.
func (r *rig) put(key, value string) *kv.PutResponse {
	r.t.Helper()
	resp, err := r.c.Put(r.timeout(time.Minute), key, value)
	if err != nil {
		r.t.Fatalf("putting %s: %v", key, err)
	}
	return resp
}

// get returns a key as the store has it; nil if it has none.
func (r *rig) get(key string) *mvccpb.KeyValue {
	r.t.Helper()
	resp, err := r.outside.Get(r.t.Context(), key)
	if err != nil {
		r.t.Fatal(err)
	}
	if len(resp.Kvs) == 0 {
		return nil
	}
	return resp.Kvs[0]
}

// slots returns the keys of all slots.
func (r *rig) slots() []*mvccpb.KeyValue {
	r.t.Helper()
	resp, err := r.outside.Get(r.t.Context(), slotsPrefix, kv.WithPrefix())
	if err != nil {
		r.t.Fatal(err)
	}
	return resp.Kvs
}

// tape keeps copies of the writes that a member gets.
type tape struct {
	mu     sync.Mutex
	copies []*pb.TxnRequest
}

// write returns the transaction of a write, and not one that makes or deletes slots.
func write(method string, req any) (*pb.TxnRequest, bool) {
	r, ok := req.(*pb.TxnRequest)
	if !ok || method != pb.KV_Txn_FullMethodName || len(r.GetCompare()) != 1 {
		return nil, false
	}
	c := r.GetCompare()[0]
	fence := len(r.GetSuccess()) == 1 && r.GetSuccess()[0].GetRequestDeleteRange() != nil
	return r, c.GetTarget() == pb.Compare_MOD && bytes.Contains(c.GetKey(), []byte(slotsPrefix)) && !fence
}

// hook calls do for each write, the n-th being 0, and what is not one is answered.
func (tp *tape) hook(do func(n int, ctx context.Context, next func() (any, error)) (any, error)) etcdtest.UnaryHook {
	return func(ctx context.Context, method string, req any, next func() (any, error)) (any, error) {
		r, ok := write(method, req)
		if !ok {
			return next()
		}
		tp.mu.Lock()
		n := len(tp.copies)
		tp.copies = append(tp.copies, proto.CloneOf(r))
		tp.mu.Unlock()
		return do(n, ctx, next)
	}
}

// all returns what was kept so far.
func (tp *tape) all() []*pb.TxnRequest {
	tp.mu.Lock()
	defer tp.mu.Unlock()
	return slices.Clone(tp.copies)
}

// replay sends all copies once more, and fails the test if one is applied.
func (tp *tape) replay(r *rig) {
	r.t.Helper()
	for _, m := range r.cluster.Members() {
		m.Intercept(nil)
	}
	for _, copied := range tp.all() {
		resp, err := r.stub.Txn(r.t.Context(), copied)
		if err != nil {
			r.t.Errorf("a late copy: %v", err)
		} else if resp.GetSucceeded() {
			r.t.Errorf("a late copy was applied: %v", copied)
		}
	}
}

// The points at which an answer can be lost.
func lostBefore(context.Context, func() (any, error)) (any, error) { return nil, errLost }

func lostAfter(_ context.Context, next func() (any, error)) (any, error) {
	if _, err := next(); err != nil {
		return nil, err
	}
	return nil, errLost
}

func neverAnswered(ctx context.Context, next func() (any, error)) (any, error) {
	_, _ = next()
	<-ctx.Done()
	return nil, ctx.Err()
}

func neverApplied(ctx context.Context, _ func() (any, error)) (any, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}
