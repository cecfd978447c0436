package batch_test

import (
	"context"
	"fmt"
	"path"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.uber.org/goleak"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/middleware/batch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a connection with batches to a fake cluster, in a synctest bubble.
type rig struct {
	t       *testing.T
	cluster *etcdtest.Cluster
	below   *link       // what the batches travel on
	kv      pb.KVClient // with batches
	plain   pb.KVClient // without
}

// way is how long a request takes to its member, and its answer back.
const way = 5 * time.Millisecond

func run(t *testing.T, test func(r *rig), opts ...grpc.DialOption) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := etcdtest.Start(t, 1)
		conn := c.Conn(t, opts...)
		below := &link{ClientConnInterface: conn}
		test(&rig{t, c, below, pb.NewKVClient(batch.NewConn(below)), pb.NewKVClient(conn)})
	})
}

// link is a connection that takes its time, and notes what travels on it.
type link struct {
	grpc.ClientConnInterface

	mu     sync.Mutex
	seen   []string
	failed error // for each call, which is applied first
	check  func(ctx context.Context, method string, req any, opts []grpc.CallOption)
}

func (l *link) Invoke(ctx context.Context, method string, req, reply any, opts ...grpc.CallOption) error {
	l.mu.Lock()
	l.seen = append(l.seen, text(method, req))
	failed, check := l.failed, l.check
	l.mu.Unlock()
	if check != nil {
		check(ctx, method, req, opts)
	}
	time.Sleep(way)
	err := l.ClientConnInterface.Invoke(ctx, method, req, reply, opts...)
	time.Sleep(way)
	if failed != nil {
		return failed
	}
	return err
}

// text is "Put", or "3 Ranges" for a transaction.
func text(method string, req any) string {
	txn, ok := req.(*pb.TxnRequest)
	if !ok || len(txn.Success) == 0 {
		return path.Base(method)
	}
	what := "other operations"
	switch txn.Success[0].Request.(type) {
	case *pb.RequestOp_RequestRange:
		what = "Ranges"
	case *pb.RequestOp_RequestPut:
		what = "Puts"
	case *pb.RequestOp_RequestDeleteRange:
		what = "DeleteRanges"
	}
	return fmt.Sprintf("%d %s", len(txn.Success), what)
}

// sent returns what has been sent since it was called last, sorted: those of one moment
// have no order.
func (l *link) sent() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	seen := l.seen
	l.seen = nil
	slices.Sort(seen)
	return seen
}

// largest returns how many operations the largest batch of puts had, of what sent returns.
func (r *rig) largest() int {
	n := 0
	for _, s := range r.below.sent() {
		ops := 1
		if _, err := fmt.Sscanf(s, "%d Puts", &ops); err == nil {
			n = max(n, ops)
		}
	}
	return n
}

func (r *rig) wantSent(want ...string) {
	r.t.Helper()
	slices.Sort(want)
	if got := r.below.sent(); !slices.Equal(got, want) {
		r.t.Errorf("sent %q, want %q", got, want)
	}
}

// at runs each of the functions in a goroutine of its own, one a microsecond after the
// other, and waits for them.
func at(fs ...func()) {
	var wg sync.WaitGroup
	for _, f := range fs {
		wg.Go(f)
		synctest.Wait()
		time.Sleep(time.Microsecond)
	}
	wg.Wait()
}

// times is f for 0 to n-1.
func times(n int, f func(i int)) []func() {
	out := make([]func(), n)
	for i := range out {
		out[i] = func() { f(i) }
	}
	return out
}

func key(i int) []byte { return fmt.Appendf(nil, "k%03d", i) }

func (r *rig) put(i int) func() {
	return func() {
		if _, err := r.kv.Put(r.t.Context(), &pb.PutRequest{Key: key(i), Value: []byte("v")}); err != nil {
			r.t.Errorf("Put %d: %v", i, err)
		}
	}
}

func (r *rig) get(i int) func() {
	return func() {
		resp, err := r.kv.Range(r.t.Context(), &pb.RangeRequest{Key: key(i)})
		if err != nil || len(resp.Kvs) > 1 || len(resp.Kvs) == 1 && string(resp.Kvs[0].Key) != string(key(i)) {
			r.t.Errorf("Range %d: %v, %v", i, resp, err)
		}
	}
}
