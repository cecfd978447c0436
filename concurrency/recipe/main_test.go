package recipe_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.uber.org/goleak"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/concurrency/recipe"
	"github.com/getcd/getcd/concurrency/session"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lease"
	"github.com/getcd/getcd/watch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	_ recipe.Client  = (*client.Client)(nil)
	_ recipe.Session = (*session.Session)(nil)
	_ recipe.Session = (*lease.Keeper)(nil)
)

// rig is a fake cluster in a synctest bubble. The recipes use the first member; the
// second, which no test harms, tells what is there.
type rig struct {
	t       *testing.T
	cluster *etcdtest.Cluster
	admin   kv.KV
	closers []func() error
}

func run(t *testing.T, test func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := etcdtest.Start(t, 2)
		r := &rig{t: t, cluster: c, admin: kv.New(c.Member(1).Conn(t))}
		defer func() {
			for _, done := range r.closers {
				_ = done()
			}
		}()
		test(r)
	})
}

func (r *rig) faulty() *etcdtest.Member { return r.cluster.Member(0) }

// client is one of a process of its own.
func (r *rig) client() recipe.Client {
	r.t.Helper()
	conn := r.faulty().Conn(r.t)
	w := watch.New(conn)
	r.closers = append(r.closers, w.Close)
	return recipe.NewClient(kv.New(conn), w)
}

// session is kept over the member that no test harms.
func (r *rig) session() *session.Session {
	r.t.Helper()
	leases := lease.New(r.cluster.Member(1).Conn(r.t))
	r.closers = append(r.closers, leases.Close)
	s, err := session.New(r.t.Context(), leases, session.WithTTL(30*time.Second))
	if err != nil {
		r.t.Fatalf("session.New: %v", err)
	}
	return s
}

func (r *rig) keys(prefix string) []string {
	r.t.Helper()
	resp, err := r.admin.Get(r.t.Context(), prefix, kv.WithPrefix(), kv.WithKeysOnly())
	if err != nil {
		r.t.Fatalf("Get: %v", err)
	}
	var keys []string
	for _, k := range resp.Kvs {
		keys = append(keys, string(k.Key))
	}
	return keys
}

func (r *rig) wantKeys(prefix string, n int) {
	r.t.Helper()
	synctest.Wait()
	if keys := r.keys(prefix); len(keys) != n {
		r.t.Errorf("there are %d keys under %q, want %d: %q", len(keys), prefix, n, keys)
	}
}

func (r *rig) do(what string, err error) {
	r.t.Helper()
	if err != nil {
		r.t.Errorf("%s: %v", what, err)
	}
}

// later calls f in a goroutine; the function that it returns reports whether it has
// returned, with the error that it returned.
func later(f func() error) func() (bool, error) {
	result := make(chan error, 1)
	go func() { result <- f() }()
	var done bool
	var err error
	return func() (bool, error) {
		synctest.Wait()
		select {
		case err = <-result:
			done = true
		default:
		}
		return done, err
	}
}

func wantWaiting(t *testing.T, what string, result func() (bool, error)) {
	t.Helper()
	if done, err := result(); done {
		t.Errorf("%s has returned %v, want it to wait", what, err)
	}
}

func wantDone(t *testing.T, what string, result func() (bool, error), targets ...error) {
	t.Helper()
	done, err := result()
	if !done {
		t.Errorf("%s waits, want it to have returned", what)
		return
	}
	if len(targets) == 0 && err != nil {
		t.Errorf("%s: %v", what, err)
	}
	wantIs(t, what, err, targets...)
}

func wantIs(t *testing.T, what string, err error, targets ...error) {
	t.Helper()
	for _, target := range targets {
		if !errors.Is(err, target) {
			t.Errorf("%s: got error %v, want one that is %v", what, err, target)
		}
	}
}

func cancelled(t *testing.T) (context.Context, context.CancelFunc) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	return ctx, cancel
}

// changes reports whether a request is a transaction that may change something.
func changes(req any) bool {
	txn, ok := req.(*pb.TxnRequest)
	return ok && slices.ContainsFunc(slices.Concat(txn.Success, txn.Failure), func(op *pb.RequestOp) bool { return op.GetRequestRange() == nil })
}
