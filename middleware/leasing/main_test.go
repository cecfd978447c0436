package leasing_test

import (
	"context"
	"errors"
	"iter"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.uber.org/goleak"

	"github.com/getcd/getcd/concurrency/session"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lease"
	"github.com/getcd/getcd/middleware/leasing"
	"github.com/getcd/getcd/watch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	prefix = "leasing/"
	ttl    = 30 * time.Second
)

// rig is a fake cluster in a synctest bubble. Member i serves the i-th KV alone; the
// last, which the faults of tests leave alone, is the test's own.
type rig struct {
	t       *testing.T
	cluster *etcdtest.Cluster
	admin   kv.KV
}

func run(t *testing.T, kvs int, test func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := etcdtest.Start(t, kvs+1)
		test(&rig{t: t, cluster: c, admin: kv.New(c.Member(kvs).Conn(t))})
	})
}

// services are those on member i.
func (r *rig) services(i int) (kv.KV, watch.Watcher, lease.Lease) {
	r.t.Helper()
	conn := r.cluster.Member(i).Conn(r.t)
	watcher, leases := watch.New(conn), lease.New(conn)
	r.t.Cleanup(func() {
		if err := errors.Join(watcher.Close(), leases.Close()); err != nil {
			r.t.Errorf("closing the services: %v", err)
		}
	})
	return kv.New(conn), watcher, leases
}

// kv is a KV on member i, which is closed at the end.
func (r *rig) kv(i int, opts ...session.Option) *leasing.KV {
	r.t.Helper()
	store, watcher, leases := r.services(i)
	l, err := leasing.New(r.t.Context(), store, watcher, leases, prefix, append([]session.Option{session.WithTTL(ttl)}, opts...)...)
	if err != nil {
		r.t.Fatalf("New: %v", err)
	}
	r.t.Cleanup(func() { _ = l.Close(context.Background()) })
	return l
}

// deaf is a watcher that sees what there is, and then nothing of the prefix, as in a
// process that is held up.
type deaf struct {
	watch.Watcher
	until chan struct{}
}

func (d deaf) Follow(ctx context.Context, key string, opts ...kv.OpOption) iter.Seq2[watch.Update, error] {
	if key != prefix {
		return d.Watcher.Follow(ctx, key, opts...)
	}
	return func(yield func(watch.Update, error) bool) {
		for u, err := range d.Watcher.Follow(ctx, key, opts...) {
			if err == nil {
				yield(u, nil)
				<-d.until
			}
			return
		}
	}
}

// sighted is a watcher that sees the prefix once. Another look takes for ever.
type sighted struct {
	watch.Watcher
	looks int
}

func (s *sighted) Follow(ctx context.Context, key string, opts ...kv.OpOption) iter.Seq2[watch.Update, error] {
	if key == prefix {
		if s.looks++; s.looks > 1 {
			return func(func(watch.Update, error) bool) { <-ctx.Done() }
		}
	}
	return s.Watcher.Follow(ctx, key, opts...)
}

// deafKV is a KV on member 0 that learns nothing by its watch until the channel is
// closed.
func (r *rig) deafKV() (*leasing.KV, chan struct{}) {
	r.t.Helper()
	store, watcher, leases := r.services(0)
	until := make(chan struct{})
	l, err := leasing.New(r.t.Context(), store, deaf{watcher, until}, leases, prefix, session.WithTTL(ttl))
	if err != nil {
		r.t.Fatalf("New: %v", err)
	}
	r.t.Cleanup(func() { _ = l.Close(context.Background()) })
	return l, until
}

// hold holds the first transaction up, before it is applied or after, until the
// function that it returns is called, and says when it was begun.
func (r *rig) hold(applied bool) (begun <-chan struct{}, release func()) {
	begin, end := make(chan struct{}), make(chan struct{})
	var once sync.Once
	r.cluster.Member(0).Intercept(func(_ context.Context, method string, _ any, next func() (any, error)) (any, error) {
		wait := func() {}
		if method == pb.KV_Txn_FullMethodName {
			once.Do(func() {
				wait = func() {
					close(begin)
					<-end
				}
			})
		}
		if !applied {
			wait()
			return next()
		}
		resp, err := next()
		wait()
		return resp, err
	})
	return begin, func() { close(end) }
}

// asked counts what member 0 has been asked about keys.
func (r *rig) asked() int {
	n := 0
	for _, method := range []string{pb.KV_Range_FullMethodName, pb.KV_Txn_FullMethodName, pb.KV_Put_FullMethodName, pb.KV_DeleteRange_FullMethodName} {
		n += r.cluster.Member(0).Calls(method)
	}
	return n
}

func (r *rig) put(store kv.KV, key, val string) {
	r.t.Helper()
	if _, err := store.Put(r.t.Context(), key, val); err != nil {
		r.t.Fatalf("Put %s: %v", key, err)
	}
}

const nothing = "nothing"

// value is what a key has.
func (r *rig) value(store kv.KV, key string) string {
	r.t.Helper()
	resp, err := store.Get(r.t.Context(), key)
	if err != nil {
		r.t.Fatalf("Get %s: %v", key, err)
	}
	if len(resp.Kvs) == 0 {
		return nothing
	}
	return string(resp.Kvs[0].Value)
}

func (r *rig) want(store kv.KV, key, want string) {
	r.t.Helper()
	if got := r.value(store, key); got != want {
		r.t.Errorf("%s is %s, want %s", key, got, want)
	}
}

// inMemory checks that reads of a key of the first KV ask nobody, and are right.
func (r *rig) inMemory(l kv.KV, key, want string) {
	r.t.Helper()
	before := r.asked()
	r.want(l, key, want)
	if after := r.asked(); after != before {
		r.t.Errorf("a Get of %s asked the cluster, want it from memory", key)
	}
}

// leased is the leasing keys that there are, and whose lease they have.
func (r *rig) leased() map[string]lease.ID {
	r.t.Helper()
	resp, err := r.admin.Get(r.t.Context(), prefix, kv.WithPrefix())
	if err != nil {
		r.t.Fatalf("Get: %v", err)
	}
	keys := make(map[string]lease.ID)
	for _, pair := range resp.Kvs {
		keys[string(pair.Key[len(prefix):])] = lease.ID(pair.Lease)
	}
	return keys
}

// rawWrite writes the key k as the protocol has it, with nothing but the store: with the
// owner's consent.
func (r *rig) rawWrite(val string) {
	r.t.Helper()
	const key = "k"
	for {
		resp, err := r.admin.Txn(r.t.Context()).
			If(kv.Compare(kv.CreateRevision(prefix+key), "=", 0)).
			Then(kv.OpPut(key, val)).
			Else(kv.OpPut(prefix+key, "REVOKE", kv.WithIgnoreLease())).
			Commit()
		if err != nil {
			r.t.Fatalf("writing %s past an owner: %v", key, err)
		}
		if resp.Succeeded {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}
