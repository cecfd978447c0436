package cas_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/concurrency/cas"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/kv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errLost = status.Error(codes.Unavailable, "the answer is lost")

// rig is a Store on a client, in a bubble, and the cluster seen from outside.
type rig struct {
	t       *testing.T
	cluster *etcdtest.Cluster
	s       *cas.Store
	outside kv.KV
}

func run(t *testing.T, test func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		cluster := etcdtest.Start(t, 3)
		r := &rig{t: t, cluster: cluster, outside: kv.New(cluster.Conn(t))}
		r.s = r.store("cas/host-1/")
		test(r)
	})
}

// store is a Store of a process of its own.
func (r *rig) store(prefix string) *cas.Store {
	r.t.Helper()
	c, err := client.New(client.Config{Endpoints: r.cluster.Addrs(), DialOptions: r.cluster.DialOptions()})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = c.Close() })
	s, err := cas.New(c, prefix)
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

func (r *rig) timeout(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(r.t.Context(), d)
	r.t.Cleanup(cancel)
	return ctx
}

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

// intercept has hook handle each transaction that would write to a key of the test.
func (r *rig) intercept(hook func(ctx context.Context, next func() (any, error)) (any, error)) {
	for _, m := range r.cluster.Members() {
		m.Intercept(func(ctx context.Context, method string, req any, next func() (any, error)) (any, error) {
			if txn, ok := req.(*pb.TxnRequest); ok && method == pb.KV_Txn_FullMethodName && len(txn.GetCompare()) == 2 {
				return hook(ctx, next)
			}
			return next()
		})
	}
}

// loseFirst loses the answer of the first such transaction, before or after it was applied.
func (r *rig) loseFirst(apply bool) {
	var lost atomic.Bool
	r.intercept(func(_ context.Context, next func() (any, error)) (any, error) {
		if lost.Swap(true) {
			return next()
		}
		if apply {
			if _, err := next(); err != nil {
				return nil, err
			}
		}
		return nil, errLost
	})
}

// Each call says what it has done, whether its answer comes or is lost.
func TestEachCall(t *testing.T) {
	for name, prepare := range map[string]func(r *rig){
		"answered":       func(*rig) {},
		"lost before":    func(r *rig) { r.loseFirst(false) },
		"lost afterward": func(r *rig) { r.loseFirst(true) },
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(r *rig) {
				t, s, ctx := r.t, r.s, r.timeout(time.Minute)
				same := func(what string, got cas.Result, err error, done bool) {
					t.Helper()
					now := r.get("k")
					switch {
					case err != nil || got.Done != done:
						t.Fatalf("%s: got %+v, %v, want done: %v", what, got, err, done)
					case done && now != nil && got.Revision != now.GetModRevision():
						t.Errorf("%s: got revision %d, want %d", what, got.Revision, now.GetModRevision())
					case !done && got.Kv.String() != now.String():
						t.Errorf("%s: got %v, want %v", what, got.Kv, now)
					}
				}
				prepare(r)
				made, err := s.Create(ctx, "k", "1")
				same("Create", made, err, true)
				prepare(r)
				again, err := s.Create(ctx, "k", "1")
				same("Create of what is there", again, err, false)
				prepare(r)
				replaced, err := s.Replace(ctx, "k", made.Revision, "2")
				same("Replace", replaced, err, true)
				prepare(r)
				old, err := s.Replace(ctx, "k", made.Revision, "3")
				same("Replace of an old one", old, err, false)
				prepare(r)
				modified, err := s.Modify(ctx, "k", func(now *mvccpb.KeyValue) (string, error) { return string(now.GetValue()) + "!", nil })
				same("Modify", modified, err, true)
				if v := string(r.get("k").GetValue()); v != "2!" {
					t.Errorf("the value is %q, want 2!", v)
				}
				prepare(r)
				kept, err := s.Delete(ctx, "k", made.Revision)
				same("Delete of an old one", kept, err, false)
				prepare(r)
				deleted, err := s.Delete(ctx, "k", modified.Revision)
				same("Delete", deleted, err, true)
				if k := r.get("k"); k != nil || deleted.Revision <= modified.Revision {
					t.Errorf("Delete: got %+v, and the store has %v", deleted, k)
				}
			})
		})
	}
}

// Another client writes the very same value while an answer is lost. Only one of the two has
// created the key.
func TestSameValueFromAnother(t *testing.T) {
	run(t, func(r *rig) {
		var lost atomic.Bool
		r.intercept(func(ctx context.Context, next func() (any, error)) (any, error) {
			if lost.Swap(true) {
				return next()
			}
			_, err := r.outside.Put(ctx, "k", "1")
			return nil, errors.Join(errLost, err)
		})
		got, err := r.s.Create(r.timeout(time.Minute), "k", "1")
		if err != nil || got.Done || string(got.Kv.GetValue()) != "1" {
			r.t.Errorf("got %+v, %v, want that the other one has created it", got, err)
		}
	})
}

// 8 clients count together, while every third answer is lost, half of these after the
// transaction was applied.
func TestContention(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		r.intercept(func(_ context.Context, next func() (any, error)) (any, error) {
			switch rand.IntN(6) {
			case 0:
				return nil, errLost
			case 1:
				_, _ = next()
				return nil, errLost
			default:
				return next()
			}
		})
		const clients, each = 8, 25
		var wg sync.WaitGroup
		var mu sync.Mutex
		revisions := make(map[int64]bool)
		for i := range clients {
			s := r.store(fmt.Sprintf("cas/%d/", i))
			wg.Go(func() {
				for range each {
					got, err := s.Modify(r.timeout(time.Hour), "n", func(now *mvccpb.KeyValue) (string, error) {
						n, _ := strconv.Atoi(string(now.GetValue()))
						return strconv.Itoa(n + 1), nil
					})
					mu.Lock()
					if err != nil || !got.Done || revisions[got.Revision] {
						t.Errorf("got %+v, %v, want an increment at a revision of its own", got, err)
					}
					revisions[got.Revision] = true
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if n := r.get("n"); string(n.GetValue()) != strconv.Itoa(clients*each) || n.GetVersion() != clients*each {
			t.Errorf("after %d increments the key is %v", clients*each, n)
		}
	})
}

// What fails says whether it was applied.
func TestErrors(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		if _, err := r.s.Create(r.timeout(time.Minute), "warm", ""); err != nil {
			t.Fatal(err)
		}
		_, err := r.s.Create(r.timeout(time.Minute), "k", "", kv.WithLease(404))
		if !errors.Is(err, rpctypes.ErrLeaseNotFound) || client.IsAmbiguous(err) || !strings.Contains(err.Error(), `"k" is not changed`) {
			t.Errorf("got %v, want %v, and certainty", err, rpctypes.ErrLeaseNotFound)
		}
		// The context ends while nobody answers.
		for _, m := range r.cluster.Members() {
			m.Hang()
		}
		_, err = r.s.Create(r.timeout(time.Second), "k", "")
		if !errors.Is(err, context.DeadlineExceeded) || !client.IsAmbiguous(err) {
			t.Errorf("got %v (ambiguous: %v), want the deadline, and doubt", err, client.IsAmbiguous(err))
		}
		for _, m := range r.cluster.Members() {
			m.Resume()
		}
		time.Sleep(time.Second)
		// The marker is used again, and first settles what is open.
		if got, err := r.s.Create(r.timeout(time.Minute), "other", ""); err != nil || !got.Done {
			t.Errorf("after a doubt: got %+v, %v", got, err)
		}
		stop := errors.New("not that one")
		if _, err := r.s.Modify(r.timeout(time.Minute), "k", func(*mvccpb.KeyValue) (string, error) { return "", stop }); !errors.Is(err, stop) {
			t.Errorf("got %v, want the function's error", err)
		}
		if _, err := r.s.Delete(t.Context(), "k", 0); err == nil {
			t.Error("Delete of revision 0: got no error")
		}
		if _, err := r.s.Modify(t.Context(), "k", nil); err == nil {
			t.Error("Modify by nil: got no error")
		}
		if _, err := cas.New(nil, "x"); err == nil {
			t.Error("New without a store: got no error")
		}
		if _, err := cas.New(r.outside, ""); err == nil {
			t.Error("New without a prefix: got no error")
		}
	})
}

// Without space a change fails at once, and what became of it is known when there is space again.
func TestNoSpace(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		for _, m := range r.cluster.Members() {
			m.Intercept(func(_ context.Context, _ string, req any, next func() (any, error)) (any, error) {
				if txn, ok := req.(*pb.TxnRequest); ok && len(txn.GetSuccess()) > 0 {
					return nil, rpctypes.ErrGRPCNoSpace
				}
				return next()
			})
		}
		began := time.Now()
		for range 2 {
			got, err := r.s.Create(t.Context(), "k", "v")
			if !errors.Is(err, rpctypes.ErrNoSpace) || client.IsAmbiguous(err) || time.Since(began) > time.Second {
				t.Errorf("Create: %+v, %v (ambiguous: %v) after %v; want %v at once", got, err, client.IsAmbiguous(err), time.Since(began), rpctypes.ErrNoSpace)
			}
		}
		for _, m := range r.cluster.Members() {
			m.Intercept(nil)
		}
		if _, err := r.s.Create(t.Context(), "k", "v"); err != nil {
			t.Errorf("Create: %v", err)
		}
		// Now the marker's key is there, and the transaction itself meets the alarm.
		r.intercept(func(context.Context, func() (any, error)) (any, error) { return nil, rpctypes.ErrGRPCNoSpace })
		if _, err := r.s.Create(t.Context(), "other", "v"); !errors.Is(err, rpctypes.ErrNoSpace) {
			t.Errorf("Create: %v, want %v", err, rpctypes.ErrNoSpace)
		}
	})
}
