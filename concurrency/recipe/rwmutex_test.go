package recipe_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/getcd/getcd/concurrency/recipe"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lease"
	"github.com/getcd/getcd/watch"
)

func (r *rig) rwmutex() *recipe.RWMutex {
	r.t.Helper()
	return recipe.NewRWMutex(r.client(), r.session(), "l")
}

func TestRWMutexOrder(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		ctx := t.Context()
		r1, r2, w1, w2, r3 := r.rwmutex(), r.rwmutex(), r.rwmutex(), r.rwmutex(), r.rwmutex()
		wantIs(t, "Unlock before Lock", w1.Unlock(ctx), recipe.ErrNotHeld)
		if w1.Token() != 0 {
			t.Errorf("the token without a lock is %d, want 0", w1.Token())
		}
		r.do("RLock", r1.RLock(ctx))
		r.do("RLock", r2.RLock(ctx))
		wantIs(t, "second RLock", r1.RLock(ctx), recipe.ErrHeld)
		wantIs(t, "Unlock after RLock", r1.Unlock(ctx), recipe.ErrNotHeld)
		writer1 := later(func() error { return w1.Lock(ctx) })
		wantWaiting(t, "writer 1", writer1)
		wantIs(t, "Lock under way", w1.Lock(ctx), recipe.ErrHeld)
		reader3 := later(func() error { return r3.RLock(ctx) })
		wantWaiting(t, "reader 3, after a writer", reader3)
		writer2 := later(func() error { return w2.Lock(ctx) })
		wantWaiting(t, "writer 2", writer2)

		r.do("RUnlock", r2.RUnlock(ctx))
		wantWaiting(t, "writer 1", writer1)
		r.do("RUnlock", r1.RUnlock(ctx))
		wantDone(t, "writer 1", writer1)
		wantWaiting(t, "reader 3", reader3)
		wantWaiting(t, "writer 2", writer2)
		if _, err := r.admin.Txn(ctx).If(w1.Guard()).Then(kv.OpPut("guarded", "")).Commit(); err != nil {
			t.Errorf("Txn: %v", err)
		}
		token := w1.Token()
		r.do("Unlock", w1.Unlock(ctx))
		wantDone(t, "reader 3", reader3)
		wantWaiting(t, "writer 2", writer2)
		r.do("RUnlock", r3.RUnlock(ctx))
		wantDone(t, "writer 2", writer2)
		if w2.Token() <= token {
			t.Errorf("the second writer's token is %d, want more than %d", w2.Token(), token)
		}
		resp, err := r.admin.Txn(ctx).If(w1.Guard()).Commit()
		if err != nil || resp.Succeeded {
			t.Errorf("the guard of a lock that is not held holds (%v)", err)
		}
		r.do("Unlock", w2.Unlock(ctx))
		r.wantKeys("l", 0)
		r.wantKeys("guarded", 1)
	})
}

func TestRWMutexContention(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		var readers, writers atomic.Int32
		var wg sync.WaitGroup
		for i := range 9 {
			m := r.rwmutex()
			wg.Go(func() {
				for range 5 {
					if i%3 == 0 {
						r.do("Lock", m.Lock(t.Context()))
						if n, o := writers.Add(1), readers.Load(); n != 1 || o != 0 {
							t.Errorf("%d writers and %d readers", n, o)
						}
						time.Sleep(time.Second)
						writers.Add(-1)
						r.do("Unlock", m.Unlock(t.Context()))
						continue
					}
					r.do("RLock", m.RLock(t.Context()))
					readers.Add(1)
					if n := writers.Load(); n != 0 {
						t.Errorf("%d writers beside readers", n)
					}
					time.Sleep(time.Second)
					readers.Add(-1)
					r.do("RUnlock", m.RUnlock(t.Context()))
				}
			})
		}
		begin := time.Now()
		wg.Wait()
		// 15 times a writer, and readers together between them.
		if took := time.Since(begin); took > 40*time.Second {
			t.Errorf("it took %v, want readers to share", took)
		}
		r.wantKeys("l", 0)
	})
}

func TestRWMutexWaiterGone(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		holder := r.rwmutex()
		r.do("Lock", holder.Lock(t.Context()))

		ctx, cancel := cancelled(t)
		m := r.rwmutex()
		waits := later(func() error { return m.RLock(ctx) })
		wantWaiting(t, "RLock", waits)
		cancel()
		wantDone(t, "RLock", waits, context.Canceled)
		r.wantKeys("l", 1)

		s := r.session()
		m = recipe.NewRWMutex(r.client(), s, "l")
		waits = later(func() error { return m.Lock(t.Context()) })
		wantWaiting(t, "Lock", waits)
		r.do("Close", s.Close(t.Context()))
		wantDone(t, "Lock", waits, recipe.ErrSession)
		r.wantKeys("l", 1)

		m = r.rwmutex()
		waits = later(func() error { return m.Lock(t.Context()) })
		wantWaiting(t, "Lock", waits)
		if _, err := r.admin.Delete(t.Context(), "l/", kv.WithPrefix()); err != nil {
			t.Fatalf("Delete: %v", err)
		}
		wantDone(t, "Lock", waits, recipe.ErrLost)
		wantIs(t, "Unlock of what was taken away", holder.Unlock(t.Context()), recipe.ErrLost)
	})
}

// Given up while the fate of its request was not known, a waiter does not come back.
func TestRWMutexNoGhost(t *testing.T) {
	for name, fates := range map[string]fate{"applied": lost, "late": late} {
		t.Run(name, func(t *testing.T) {
			run(t, func(r *rig) {
				t := r.t
				m := r.rwmutex()
				applied := r.faultyTxns(func(n int) fate {
					switch {
					case n == 1:
						return fates
					case n < 10:
						return never
					}
					return fine
				})
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
				defer cancel()
				wantIs(t, "Lock", m.Lock(ctx), context.DeadlineExceeded)
				applied()
				r.wantKeys("l/", 0)
				r.do("Lock", m.Lock(t.Context()))
				r.do("Unlock", m.Unlock(t.Context()))
			})
		})
	}
}

// Who gives up, or unlocks, while the cluster cannot be reached is gone soon after it
// can, though its session lives on.
func TestRWMutexGivenUpInAnOutage(t *testing.T) {
	for name, giveUp := range map[string]func(r *rig, m *recipe.RWMutex) error{
		"waiting": func(r *rig, m *recipe.RWMutex) error {
			holder := recipe.NewRWMutex(recipe.NewClient(r.admin, watch.New(r.cluster.Member(1).Conn(r.t))), r.session(), "l")
			r.do("Lock", holder.Lock(r.t.Context()))
			ctx, cancel := context.WithTimeout(r.t.Context(), 2*time.Second)
			defer cancel()
			time.AfterFunc(time.Second, r.faulty().Freeze)
			err := m.RLock(ctx)
			wantIs(r.t, "RLock", err, context.DeadlineExceeded)
			r.do("Unlock", holder.Unlock(r.t.Context()))
			return err
		},
		"unlocking": func(r *rig, m *recipe.RWMutex) error {
			r.do("Lock", m.Lock(r.t.Context()))
			r.faulty().Freeze()
			return m.Unlock(r.t.Context())
		},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(r *rig) {
				m := r.rwmutex()
				if err := giveUp(r, m); err == nil {
					t.Error("got no error while the cluster could not be reached")
				}
				r.wantKeys("l/", 1)
				r.faulty().Thaw()
				time.Sleep(2 * time.Second)
				r.wantKeys("l/", 0)
			})
		})
	}
}

// A session whose lease was revoked has ended, before it knows that itself.
func TestRWMutexLeaseGone(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		s := r.session()
		if _, err := lease.New(r.cluster.Member(1).Conn(t)).Revoke(t.Context(), s.ID()); err != nil {
			t.Fatalf("Revoke: %v", err)
		}
		err := recipe.NewRWMutex(r.client(), s, "l").Lock(t.Context())
		wantIs(t, "Lock", err, recipe.ErrSession)
		r.wantKeys("l/", 0)
	})
}
