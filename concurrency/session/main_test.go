package session_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/getcd/getcd/concurrency/session"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lease"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a fake cluster in a synctest bubble: sessions are made over the first
// member, and the last one, which no test harms, tells what is there.
type rig struct {
	t       *testing.T
	cluster *etcdtest.Cluster
	leases  lease.Lease
	admin   lease.Lease
	store   kv.KV
}

func run(t *testing.T, test func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := etcdtest.Start(t, 2)
		admin := c.Member(1).Conn(t)
		r := &rig{t: t, cluster: c, leases: lease.New(c.Member(0).Conn(t)), admin: lease.New(admin), store: kv.New(admin)}
		defer r.leases.Close()
		test(r)
	})
}

func (r *rig) session(opts ...session.Option) *session.Session {
	r.t.Helper()
	s, err := session.New(r.t.Context(), r.leases, opts...)
	if err != nil {
		r.t.Fatalf("New: %v", err)
	}
	return s
}

func (r *rig) put(id lease.ID) {
	r.t.Helper()
	if _, err := r.store.Put(r.t.Context(), "k", "v", kv.WithLease(id)); err != nil {
		r.t.Fatalf("Put: %v", err)
	}
}

// wantLeft checks whether the key k, and a lease, are left.
func (r *rig) wantLeft(want bool) {
	r.t.Helper()
	got, err := r.store.Get(r.t.Context(), "k")
	if err != nil {
		r.t.Fatalf("Get: %v", err)
	}
	leases, err := r.admin.Leases(r.t.Context())
	if err != nil {
		r.t.Fatalf("Leases: %v", err)
	}
	if (got.Count == 1) != want || (len(leases.Leases) == 1) != want {
		r.t.Errorf("%d keys and %d leases are left, want them: %v", got.Count, len(leases.Leases), want)
	}
}

func wantIs(t *testing.T, what string, err error, targets ...error) {
	t.Helper()
	for _, target := range targets {
		if !errors.Is(err, target) {
			t.Errorf("%s: got error %v, want one that is %v", what, err, target)
		}
	}
}

func isDone(s *session.Session) bool {
	select {
	case <-s.Done():
		return true
	default:
		return false
	}
}

func timeout(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
