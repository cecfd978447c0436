package cache_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.uber.org/goleak"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/middleware/cache"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a cached connection to a cluster in memory, in a synctest bubble, and one without.
type rig struct {
	t       *testing.T
	cluster *etcdtest.Cluster
	cached  *cache.Conn
	stub    pb.KVClient // of the cached connection
	plain   grpc.ClientConnInterface
	direct  pb.KVClient // of the one without
	store   kv.KV       // likewise
}

// run makes a rig whose cache has the prefixes of the test, after before has put what is to be
// there at first.
func run(t *testing.T, prefixes []string, opts []cache.Option, before, test func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		cluster := etcdtest.Start(t, 1)
		plain := cluster.Conn(t)
		r := &rig{t: t, cluster: cluster, plain: plain, direct: pb.NewKVClient(plain), store: kv.New(plain)}
		if before != nil {
			before(r)
		}
		r.cached = cache.NewConn(cluster.Conn(t), prefixes, opts...)
		defer func() { _ = r.cached.Close() }()
		r.stub = pb.NewKVClient(r.cached)
		r.ready()
		test(r)
	})
}

func (r *rig) ready() {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
	defer cancel()
	if err := r.cached.WaitReady(ctx); err != nil {
		r.t.Fatal(err)
	}
	synctest.Wait() // until the watches are made, too
}

func (r *rig) put(key, value string) int64 {
	r.t.Helper()
	resp, err := r.store.Put(r.t.Context(), key, value)
	if err != nil {
		r.t.Fatal(err)
	}
	return resp.Header.Revision
}

func (r *rig) get(req *pb.RangeRequest) *pb.RangeResponse {
	r.t.Helper()
	resp, err := r.stub.Range(r.t.Context(), req)
	if err != nil {
		r.t.Fatal(err)
	}
	return resp
}

// calls is how many requests of a kind the member has had.
func (r *rig) calls(method string) int { return r.cluster.Member(0).Calls(method) }

func (r *rig) stats() cache.PrefixStats { return r.cached.Stats().Prefixes[0] }
