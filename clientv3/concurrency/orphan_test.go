package concurrency_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/getcd/getcd/clientv3/concurrency"
)

// The lease of an orphaned session lives on, so its elections and mutexes do.
func TestOrphanedSession(t *testing.T) {
	run(t, func(r *rig) {
		t, ctx := r.t, r.t.Context()
		s := r.session(concurrency.WithTTL(30))
		before := concurrency.NewElection(s, "before")
		if err := before.Campaign(ctx, "1"); err != nil {
			t.Fatal(err)
		}
		s.Orphan()
		<-s.Done()
		if err := before.Proclaim(ctx, "2"); err != nil {
			t.Errorf("Proclaim: %v", err)
		}
		if err := before.Resign(ctx); err != nil {
			t.Errorf("Resign: %v", err)
		}
		after := concurrency.NewElection(s, "after")
		if err := after.Campaign(ctx, "3"); err != nil {
			t.Errorf("Campaign: %v", err)
		}
		m := concurrency.NewMutex(s, "lock")
		r.lock(m)
		r.unlock(m)
		if err := m.TryLock(ctx); err != nil {
			t.Errorf("TryLock: %v", err)
		}
		r.wantKeys(1)

		// Another waits until the lease has expired.
		begin := time.Now()
		other := r.mutex()
		r.lock(other)
		if took := time.Since(begin); took < 20*time.Second || took > 40*time.Second {
			t.Errorf("another has the lock after %v, want the rest of the TTL", took)
		}
		if err := m.Lock(ctx); !errors.Is(err, rpctypes.ErrLeaseNotFound) {
			t.Errorf("Lock without a lease: %v", err)
		}
		if err := concurrency.NewElection(s, "late").Campaign(ctx, ""); !errors.Is(err, rpctypes.ErrLeaseNotFound) {
			t.Errorf("Campaign without a lease: %v", err)
		}
	})
}

// A lease that expires while its orphaned session waits ends the wait.
func TestOrphanedSessionWaits(t *testing.T) {
	run(t, func(r *rig) {
		t, ctx := r.t, r.t.Context()
		r.lock(r.mutex())
		s := r.session(concurrency.WithTTL(10))
		s.Orphan()
		begin := time.Now()
		if err := concurrency.NewMutex(s, "lock").Lock(ctx); !errors.Is(err, concurrency.ErrSessionExpired) {
			t.Errorf("Lock: %v, want ErrSessionExpired", err)
		}
		if took := time.Since(begin); took < 5*time.Second || took > 20*time.Second {
			t.Errorf("Lock took %v, want the TTL", took)
		}
	})
}

// A mutex of a closed session finds no lease, orphaned before or not.
func TestClosedSession(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		for _, orphan := range []bool{false, true} {
			s := r.session()
			if orphan {
				s.Orphan()
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			if err := concurrency.NewElection(s, "name").Campaign(t.Context(), ""); !errors.Is(err, rpctypes.ErrLeaseNotFound) {
				t.Errorf("Campaign, orphaned before: %v: %v", orphan, err)
			}
		}
	})
}

// counted is a context that counts what waits for its end.
type counted struct {
	context.Context //nolint:containedctx // it is one

	done    chan struct{}
	waiting atomic.Int32
}

func (c *counted) Done() <-chan struct{} { return c.done }

func (c *counted) AfterFunc(func()) func() bool {
	c.waiting.Add(1)
	return sync.OnceValue(func() bool { c.waiting.Add(-1); return true })
}

// What an orphaned session leaves on its context goes when nobody has the session any more.
func TestOrphanedSessionIsForgotten(t *testing.T) {
	run(t, func(r *rig) {
		parent := &counted{Context: context.WithoutCancel(r.t.Context()), done: make(chan struct{})}
		s, err := concurrency.NewSession(r.Client, concurrency.WithContext(parent))
		if err != nil {
			r.t.Fatal(err)
		}
		s.Orphan()
		synctest.Wait()
		for range 1000 {
			if parent.waiting.Load() == 0 {
				return
			}
			runtime.GC()
		}
		r.t.Errorf("%d wait for the context's end", parent.waiting.Load())
	})
}
