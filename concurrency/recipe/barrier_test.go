package recipe_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/concurrency/recipe"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/watch"
)

func TestBarrier(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		b, other := recipe.NewBarrier(r.client(), "b"), recipe.NewBarrier(r.client(), "b")
		r.do("Wait without a barrier", b.Wait(t.Context()))
		r.do("Release without a barrier", b.Release(t.Context()))
		r.do("Hold", b.Hold(t.Context()))
		wantIs(t, "second Hold", other.Hold(t.Context()), recipe.ErrKeyExists)

		ctx, cancel := cancelled(t)
		waits := later(func() error { return other.Wait(t.Context()) })
		gives := later(func() error { return other.Wait(ctx) })
		time.Sleep(time.Hour)
		wantWaiting(t, "Wait", waits)
		cancel()
		wantDone(t, "Wait with a context that has ended", gives, context.Canceled)
		r.do("Release", other.Release(t.Context()))
		wantDone(t, "Wait", waits)
		r.wantKeys("b", 0)
	})
}

// A barrier that is released and held again lets those go on that waited.
func TestBarrierAgain(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		b := recipe.NewBarrier(r.client(), "b")
		r.do("Hold", b.Hold(t.Context()))
		waits := later(func() error { return b.Wait(t.Context()) })
		wantWaiting(t, "Wait", waits)
		r.do("Release", b.Release(t.Context()))
		r.do("Hold", b.Hold(t.Context()))
		wantDone(t, "Wait", waits)
	})
}

// fate is what becomes of a transaction.
type fate int

const (
	fine  fate = iota
	lost       // applied, and the answer is lost
	never      // not applied
	late       // answered by an error, and applied ten seconds later
)

// faultyTxns decides what becomes of the n-th transaction from now on, from 1.
// applied waits for those that are late.
func (r *rig) faultyTxns(of func(n int) fate) (applied func()) {
	var n atomic.Int64
	var pending sync.WaitGroup
	r.faulty().Intercept(func(_ context.Context, _ string, req any, next func() (any, error)) (any, error) {
		if !changes(req) {
			return next()
		}
		switch of(int(n.Add(1))) {
		case lost:
			_, _ = next()
		case never:
		case late:
			pending.Go(func() {
				time.Sleep(10 * time.Second)
				_, _ = next()
			})
		default:
			return next()
		}
		return nil, rpctypes.ErrGRPCTimeout
	})
	return pending.Wait
}

// Hold does not fail because of a lost answer, and what it has given up does not
// come back.
func TestHoldThroughFailures(t *testing.T) {
	for name, test := range map[string]struct {
		fates []fate
		give  bool // its context ends
		want  int  // keys
	}{
		"answer lost":                 {fates: []fate{lost}, want: 1},
		"request lost":                {fates: []fate{never}, want: 1},
		"late":                        {fates: []fate{late}, want: 1},
		"answer lost, given up":       {fates: []fate{lost, never, never, never, never}, give: true},
		"late, given up":              {fates: []fate{late, never, never, never, never}, give: true},
		"late, given up with trouble": {fates: []fate{late, never, never, never, never, lost, never}, give: true},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(r *rig) {
				t := r.t
				applied := r.faultyTxns(func(n int) fate {
					if n > len(test.fates) {
						return fine
					}
					return test.fates[n-1]
				})
				ctx := t.Context()
				if test.give {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, 150*time.Millisecond)
					defer cancel()
				}
				err := recipe.NewBarrier(r.client(), "b").Hold(ctx)
				if test.give {
					wantIs(t, "Hold", err, context.DeadlineExceeded)
				} else {
					r.do("Hold", err)
				}
				applied()
				keys := r.keys("b")
				if n := len(keys); n > 0 && keys[n-1] == "b.fence" {
					keys = keys[:n-1]
				}
				if len(keys) != test.want {
					t.Errorf("the keys are %q, want %d", keys, test.want)
				}
			})
		})
	}
}

// When the cluster is away for so long that a request in doubt can't be withdrawn, Hold
// says so.
func TestHoldUnsettled(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		r.faultyTxns(func(n int) fate {
			if n == 1 {
				return lost
			}
			return never
		})
		ctx, cancel := context.WithTimeout(t.Context(), 150*time.Millisecond)
		defer cancel()
		err := recipe.NewBarrier(r.client(), "b").Hold(ctx)
		wantIs(t, "Hold", err, context.DeadlineExceeded)
		unsettled, ok := errors.AsType[*recipe.UnsettledError](err)
		if !ok || unsettled.Op != "Hold" || unsettled.Key != "b" || !client.IsAmbiguous(err) {
			t.Errorf("Hold: got error %v, want an *UnsettledError of Hold and b", err)
		}
		r.wantKeys("b", 1)
	})
}

// What is under way of such a Hold is refused when Release has returned, be there a barrier
// meanwhile or not.
func TestReleaseAfterAnUnsettledHold(t *testing.T) {
	for name, again := range map[string]bool{"released": false, "held again, and released": true} {
		t.Run(name, func(t *testing.T) {
			run(t, func(r *rig) {
				t := r.t
				var back atomic.Bool
				applied := r.faultyTxns(func(n int) fate {
					switch {
					case n == 1:
						return late
					case back.Load():
						return fine
					default:
						return never
					}
				})
				ctx, cancel := context.WithTimeout(t.Context(), 150*time.Millisecond)
				defer cancel()
				b := recipe.NewBarrier(r.client(), "b")
				if _, ok := errors.AsType[*recipe.UnsettledError](b.Hold(ctx)); !ok {
					t.Fatal("Hold is settled, want an *UnsettledError")
				}
				back.Store(true)
				if again {
					r.do("Hold", b.Hold(t.Context()))
				}
				r.do("Release", b.Release(t.Context()))
				applied()
				r.wantOnlyFence("b")
			})
		})
	}
}

func TestDoubleBarrier(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		const n = 4
		members := make([]*recipe.DoubleBarrier, n)
		for i := range members {
			members[i] = recipe.NewDoubleBarrier(r.client(), r.session(), "d", n)
		}
		for round := range 3 {
			enters := make([]func() (bool, error), n)
			for i, m := range members {
				for _, e := range enters[:i] {
					wantWaiting(t, "Enter", e)
				}
				enters[i] = later(func() error { return m.Enter(t.Context()) })
			}
			for _, e := range enters {
				wantDone(t, "Enter", e)
			}
			surplus := recipe.NewDoubleBarrier(r.client(), r.session(), "d", n)
			wantIs(t, "one too many", surplus.Enter(t.Context()), recipe.ErrTooManyClients)
			wantIs(t, "second Enter", members[0].Enter(t.Context()), recipe.ErrHeld)

			// In another order each time.
			leaves := make([]func() (bool, error), n)
			for i := range members {
				m := members[(i+round)%n]
				for _, l := range leaves[:i] {
					wantWaiting(t, "Leave", l)
				}
				leaves[i] = later(func() error { return m.Leave(t.Context()) })
			}
			for _, l := range leaves {
				wantDone(t, "Leave", l)
			}
			wantIs(t, "second Leave", members[0].Leave(t.Context()), recipe.ErrNotHeld)
			r.wantKeys("d", 0)
		}
	})
}

func TestDoubleBarrierGivenUp(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		a, b := recipe.NewDoubleBarrier(r.client(), r.session(), "d", 2), recipe.NewDoubleBarrier(r.client(), r.session(), "d", 2)
		ctx, cancel := cancelled(t)
		enter := later(func() error { return a.Enter(ctx) })
		wantWaiting(t, "Enter", enter)
		cancel()
		wantDone(t, "Enter", enter, context.Canceled)
		r.wantKeys("d", 0)

		first, second := later(func() error { return a.Enter(t.Context()) }), later(func() error { return b.Enter(t.Context()) })
		wantDone(t, "Enter", first)
		wantDone(t, "Enter", second)
		ctx, cancel = cancelled(t)
		leave := later(func() error { return a.Leave(ctx) })
		wantWaiting(t, "Leave", leave)
		cancel()
		wantDone(t, "Leave", leave, context.Canceled)
		leave = later(func() error { return a.Leave(t.Context()) })
		wantWaiting(t, "Leave again", leave)
		r.do("Leave", b.Leave(t.Context()))
		wantDone(t, "Leave again", leave)
	})
}

// A member that dies has left; one whose session ends is told so.
func TestDoubleBarrierSessions(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		s := r.session()
		a, b := recipe.NewDoubleBarrier(r.client(), s, "d", 2), recipe.NewDoubleBarrier(r.client(), r.session(), "d", 2)
		first, second := later(func() error { return a.Enter(t.Context()) }), later(func() error { return b.Enter(t.Context()) })
		wantDone(t, "Enter", first)
		wantDone(t, "Enter", second)
		leave := later(func() error { return b.Leave(t.Context()) })
		wantWaiting(t, "Leave", leave)
		s.Orphan()
		time.Sleep(31 * time.Second)
		wantDone(t, "Leave", leave)
		wantIs(t, "Leave without a session", a.Leave(t.Context()), recipe.ErrSession)
		wantIs(t, "Enter without a session", a.Enter(t.Context()), recipe.ErrSession)
		r.wantKeys("d/waiters", 0)

		s = r.session()
		alone := recipe.NewDoubleBarrier(r.client(), s, "d", 2)
		enter := later(func() error { return alone.Enter(t.Context()) })
		wantWaiting(t, "Enter", enter)
		r.do("Close", s.Close(t.Context()))
		wantDone(t, "Enter", enter, recipe.ErrSession)
		if err := recipe.NewDoubleBarrier(r.client(), r.session(), "d", 0).Enter(t.Context()); err == nil {
			t.Error("a group of none is accepted")
		}
	})
}

func TestWaitEvents(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		c := r.client()
		kinds := []mvccpb.Event_EventType{mvccpb.Event_PUT, mvccpb.Event_DELETE, mvccpb.Event_PUT}
		rev := r.cluster.Revision()
		for _, step := range []func() error{
			func() error { _, err := c.Delete(t.Context(), "k"); return err },
			func() error { _, err := c.Put(t.Context(), "k", "1"); return err },
			func() error { _, err := c.Put(t.Context(), "k", "2"); return err },
			func() error { _, err := c.Delete(t.Context(), "k"); return err },
			func() error { _, err := c.Put(t.Context(), "k/a", "3"); return err },
			func() error { _, err := c.Put(t.Context(), "k", "4"); return err },
		} {
			r.do("step", step())
		}
		e, err := recipe.WaitEvents(t.Context(), c, "k", rev, kinds)
		if err != nil || string(e.Kv.Value) != "4" {
			t.Errorf("WaitEvents: %v, %v; want 4", e, err)
		}
		e, err = recipe.WaitEvents(t.Context(), c, "k", rev, kinds, kv.WithPrefix())
		if err != nil || string(e.Kv.Value) != "3" {
			t.Errorf("WaitEvents with a prefix: %v, %v; want 3", e, err)
		}
		ctx, cancel := cancelled(t)
		cancel()
		_, err = recipe.WaitEvents(ctx, c, "k", 0, kinds)
		wantIs(t, "WaitEvents", err, context.Canceled)
		if _, err = recipe.WaitEvents(t.Context(), c, "k", 0, nil); err == nil {
			t.Error("WaitEvents for nothing succeeded")
		}
		if _, err = c.Compact(t.Context(), r.cluster.Revision()); err != nil {
			t.Fatalf("Compact: %v", err)
		}
		if _, err = recipe.WaitEvents(t.Context(), c, "k", rev, kinds); !errors.Is(err, rpctypes.ErrCompacted) {
			t.Errorf("WaitEvents in the past: %v, want ErrCompacted", err)
		}
		synctest.Wait()
	})
}

// What a group has left behind does not open the barrier to the next.
func TestDoubleBarrierStale(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		if _, err := r.admin.Put(t.Context(), "d/ready", ""); err != nil {
			t.Fatalf("Put: %v", err)
		}
		a, b := recipe.NewDoubleBarrier(r.client(), r.session(), "d", 2), recipe.NewDoubleBarrier(r.client(), r.session(), "d", 2)
		first := later(func() error { return a.Enter(t.Context()) })
		wantWaiting(t, "Enter", first)
		second := later(func() error { return b.Enter(t.Context()) })
		wantDone(t, "Enter", first)
		wantDone(t, "Enter", second)
	})
}

// A member that enters again does not keep one waiting that is late to see that all have left.
func TestDoubleBarrierOfTheNextRound(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		slow := recipe.NewDoubleBarrier(r.client(), r.session(), "d", 2)
		conn := r.cluster.Member(1).Conn(t)
		w := watch.New(conn)
		r.closers = append(r.closers, w.Close)
		quick := recipe.NewDoubleBarrier(recipe.NewClient(kv.New(conn), w), r.session(), "d", 2)
		r.faulty().Intercept(func(_ context.Context, _ string, req any, next func() (any, error)) (any, error) {
			if !changes(req) {
				time.Sleep(time.Second)
			}
			return next()
		})
		var rounds [2]func() (bool, error)
		for i, b := range []*recipe.DoubleBarrier{quick, slow} { // who enters first leaves last
			rounds[i] = later(func() error {
				for range 3 {
					if err := errors.Join(b.Enter(t.Context()), b.Leave(t.Context())); err != nil {
						return err
					}
				}
				return nil
			})
			time.Sleep(10 * time.Second)
		}
		time.Sleep(time.Hour)
		wantDone(t, "the quick one", rounds[0])
		wantDone(t, "the slow one", rounds[1])
		r.wantKeys("d", 0)
	})
}
