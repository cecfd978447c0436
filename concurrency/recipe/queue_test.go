package recipe_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/concurrency/recipe"
	"github.com/getcd/getcd/kv"
)

// queue is either of the two.
type queue interface {
	enqueue(ctx context.Context, val string) error
	Dequeue(ctx context.Context) (string, error)
}

type plain struct{ *recipe.Queue }

func (q plain) enqueue(ctx context.Context, val string) error { return q.Enqueue(ctx, val) }

type byPriority struct{ *recipe.PriorityQueue }

func (q byPriority) enqueue(ctx context.Context, val string) error { return q.Enqueue(ctx, val, 7) }

func onBothQueues(t *testing.T, test func(r *rig, q func() queue)) {
	t.Helper()
	t.Run("queue", func(t *testing.T) {
		run(t, func(r *rig) { test(r, func() queue { return plain{recipe.NewQueue(r.client(), "q")} }) })
	})
	t.Run("priority queue", func(t *testing.T) {
		run(t, func(r *rig) { test(r, func() queue { return byPriority{recipe.NewPriorityQueue(r.client(), "q")} }) })
	})
}

func (r *rig) dequeue(q queue, want string) {
	r.t.Helper()
	if got, err := q.Dequeue(r.t.Context()); err != nil || got != want {
		r.t.Errorf("Dequeue: %q, %v; want %q", got, err, want)
	}
}

func TestQueueOrder(t *testing.T) {
	onBothQueues(t, func(r *rig, q func() queue) {
		t := r.t
		a, b := q(), q()
		for _, val := range []string{"1", "2", "3", "", "5"} {
			r.do("Enqueue", a.enqueue(t.Context(), val))
		}
		for _, want := range []string{"1", "2", "3", "", "5"} {
			r.dequeue(b, want)
		}
		var got string
		waits := later(func() (err error) { got, err = b.Dequeue(t.Context()); return err })
		time.Sleep(time.Hour)
		wantWaiting(t, "Dequeue", waits)
		r.do("Enqueue", a.enqueue(t.Context(), "6"))
		wantDone(t, "Dequeue", waits)
		if got != "6" {
			t.Errorf("Dequeue: %q, want 6", got)
		}
		ctx, cancel := cancelled(t)
		waits = later(func() error { _, err := b.Dequeue(ctx); return err })
		wantWaiting(t, "Dequeue", waits)
		cancel()
		wantDone(t, "Dequeue", waits, context.Canceled)
		r.wantKeys("q", 0)
	})
}

func TestPriorities(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		q := recipe.NewPriorityQueue(r.client(), "q")
		for i, p := range []uint16{65535, 2, 0, 10, 2, 0} {
			r.do("Enqueue", q.Enqueue(t.Context(), fmt.Sprint(p, "#", i), p))
		}
		for _, want := range []string{"0#2", "0#5", "2#1", "2#4", "10#3", "65535#0"} {
			r.dequeue(byPriority{q}, want)
		}
	})
}

// The items of clientv3's queues.
func TestQueueOfOthers(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		for key, val := range map[string]string{"q/1700000000000000000": "a", "p/00003/0000000000000007": "b", "q2/1": "c"} {
			if _, err := r.admin.Put(t.Context(), key, val); err != nil {
				t.Fatalf("Put: %v", err)
			}
		}
		r.dequeue(plain{recipe.NewQueue(r.client(), "q")}, "a")
		p := recipe.NewPriorityQueue(r.client(), "p")
		r.do("Enqueue", p.Enqueue(t.Context(), "next", 3))
		if keys := r.keys("p/00003/0000000000000008"); len(keys) != 1 {
			t.Errorf("the keys are %q, want one with the next number", r.keys("p/"))
		}
		r.dequeue(byPriority{p}, "b")
		r.dequeue(byPriority{p}, "next")
		r.wantKeys("q2", 1)
	})
}

// Whatever becomes of an answer, an item is enqueued once and dequeued once.
func TestQueueThroughFailures(t *testing.T) {
	for name, fates := range map[string][]fate{
		"answer lost":        {lost},
		"request lost":       {never},
		"late":               {late},
		"late, request lost": {late, never, never},
		"lost twice":         {lost, lost},
		"late twice":         {late, late},
	} {
		t.Run(name, func(t *testing.T) {
			onBothQueues(t, func(r *rig, q func() queue) {
				t := r.t
				faults := func(n int) fate {
					if n > len(fates) {
						return fine
					}
					return fates[n-1]
				}
				a, b := q(), q()
				applied := r.faultyTxns(faults)
				r.do("Enqueue", a.enqueue(t.Context(), "1"))
				// Before what is late comes; nothing must come with it.
				r.faulty().Intercept(nil)
				r.dequeue(b, "1")
				applied()
				r.wantKeys("q", 0)

				r.do("Enqueue", a.enqueue(t.Context(), "2"))
				r.do("Enqueue", a.enqueue(t.Context(), "3"))
				applied = r.faultyTxns(faults)
				r.dequeue(b, "2")
				applied()
				r.faulty().Intercept(nil)
				r.dequeue(q(), "3")
				r.wantKeys("q", 0)
			})
		})
	}
}

// The answer to an enqueueing is lost, and the item gone when that is looked for.
func TestEnqueuedAndTaken(t *testing.T) {
	onBothQueues(t, func(r *rig, q func() queue) {
		t := r.t
		a, b := q(), q()
		r.do("Enqueue", a.enqueue(t.Context(), "1"))
		r.dequeue(b, "1")
		time.Sleep(time.Minute) // and what has happened in it is forgotten
		for range 2 {
			_, err := r.admin.Put(t.Context(), "other", "")
			r.do("Put", err)
		}
		if _, err := r.admin.Compact(t.Context(), r.cluster.Revision()); err != nil {
			t.Errorf("Compact: %v", err)
		}
		n := 0
		r.faulty().Intercept(func(_ context.Context, _ string, req any, next func() (any, error)) (any, error) {
			if !changes(req) {
				return next()
			}
			n++
			if n != 1 {
				return next()
			}
			_, _ = next()
			r.dequeue(b, "2") //nolint:contextcheck // another client's
			return nil, rpctypes.ErrGRPCTimeout
		})
		r.do("Enqueue", a.enqueue(t.Context(), "2"))
		r.wantKeys("q", 0)
	})
}

// The answer to a claim is lost, and others have claimed since.
func TestClaimedAndOthersSince(t *testing.T) {
	for name, applied := range map[string]bool{"own claim applied": true, "another's": false} {
		t.Run(name, func(t *testing.T) {
			onBothQueues(t, func(r *rig, q func() queue) {
				t := r.t
				a, b := q(), q()
				for _, val := range []string{"1", "2", "3"} {
					r.do("Enqueue", a.enqueue(t.Context(), val))
				}
				// Items may be older than the history that is kept.
				if _, err := r.admin.Compact(t.Context(), r.cluster.Revision()); err != nil {
					t.Errorf("Compact: %v", err)
				}
				n := 0
				r.faulty().Intercept(func(_ context.Context, _ string, req any, next func() (any, error)) (any, error) {
					if !changes(req) {
						return next()
					}
					n++
					if n != 1 {
						return next()
					}
					if applied {
						_, _ = next()
						r.dequeue(b, "2") //nolint:contextcheck // another client's
					} else {
						r.dequeue(b, "1") //nolint:contextcheck // another client's
					}
					return nil, rpctypes.ErrGRPCTimeout
				})
				if applied {
					r.dequeue(a, "1")
				} else {
					r.dequeue(a, "2")
				}
				r.dequeue(a, "3")
				r.wantKeys("q", 0)
			})
		})
	}
}

// A Dequeue that had to give up does not lose its item: the next one returns it.
func TestUnsettled(t *testing.T) {
	for name, first := range map[string]fate{"applied": lost, "not applied": never, "late": late} {
		t.Run(name, func(t *testing.T) {
			onBothQueues(t, func(r *rig, q func() queue) {
				t := r.t
				a := q()
				r.do("Enqueue", a.enqueue(t.Context(), "1"))
				applied := r.faultyTxns(func(n int) fate {
					if n == 1 {
						return first
					}
					return never
				})
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				begin := time.Now()
				_, err := a.Dequeue(ctx)
				if _, ok := errors.AsType[*recipe.UnsettledError](err); !ok || !client.IsAmbiguous(err) {
					t.Errorf("Dequeue: %v, want an *UnsettledError", err)
				}
				if took := time.Since(begin); took < 3*time.Second || took > 5*time.Second {
					t.Errorf("Dequeue took %v, want 1s and 3s", took)
				}
				applied()
				r.faulty().Intercept(nil)
				r.dequeue(a, "1")
				r.wantKeys("q", 0)
			})
		})
	}
}

func TestUnsettledEnqueue(t *testing.T) {
	onBothQueues(t, func(r *rig, q func() queue) {
		t := r.t
		a := q()
		r.faultyTxns(func(int) fate { return never })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := a.enqueue(ctx, "1")
		if _, ok := errors.AsType[*recipe.UnsettledError](err); !ok || !client.IsAmbiguous(err) {
			t.Errorf("Enqueue: %v, want an *UnsettledError", err)
		}
		// With the cluster back in time, it is known not to have been applied.
		r.faultyTxns(func(n int) fate {
			if n < 6 {
				return never
			}
			return fine
		})
		ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		err = a.enqueue(ctx, "2")
		if !errors.Is(err, context.DeadlineExceeded) || client.IsAmbiguous(err) {
			t.Errorf("Enqueue: %v, want the context's error, and no doubt", err)
		}
		r.wantKeys("q", 0)
	})
}

// Who has taken an item is known without the history of the store, however many were
// taken since, and whoever else has.
func TestClaimedAndHistoryForgotten(t *testing.T) {
	for name, applied := range map[string]bool{"own claim applied": true, "not applied": false} {
		t.Run(name, func(t *testing.T) {
			onBothQueues(t, func(r *rig, q func() queue) {
				const n = 200
				a, b := q(), q()
				for i := range n {
					r.do("Enqueue", a.enqueue(r.t.Context(), fmt.Sprint(i)))
				}
				r.afterFirstChange(applied, func() {
					for i := range n {
						if i > 0 || !applied {
							r.dequeue(b, fmt.Sprint(i))
						}
					}
					r.do("Enqueue", b.enqueue(r.t.Context(), "last"))
					r.compact()
				})
				if applied {
					r.dequeue(a, "0")
				}
				r.dequeue(a, "last")
				r.wantKeys("q", 0)
			})
		})
	}
}

// afterFirstChange loses the answer to the next transaction that changes something, or
// the request, and does something else before the caller is told.
func (r *rig) afterFirstChange(applied bool, do func()) {
	first := true
	r.faulty().Intercept(func(_ context.Context, _ string, req any, next func() (any, error)) (any, error) {
		if !changes(req) || !first {
			return next()
		}
		first = false
		if applied {
			_, _ = next()
		}
		do()
		return nil, rpctypes.ErrGRPCTimeout
	})
}

func (r *rig) compact() {
	r.t.Helper()
	if _, err := r.admin.Compact(r.t.Context(), r.cluster.Revision()); err != nil {
		r.t.Errorf("Compact: %v", err)
	}
}

// A consumer whose answer is lost while more others have taken items than are
// remembered cannot find out what it has got; and says so.
func TestClaimForgotten(t *testing.T) {
	onBothQueues(t, func(r *rig, q func() queue) {
		const others = 65
		a := q()
		for i := range others + 2 {
			r.do("Enqueue", a.enqueue(r.t.Context(), fmt.Sprint(i)))
		}
		r.afterFirstChange(true, func() {
			for i := range others {
				r.dequeue(q(), fmt.Sprint(i+1))
			}
		})
		if val, err := a.Dequeue(r.t.Context()); !client.IsAmbiguous(err) {
			r.t.Errorf("Dequeue: %q, %v; want that it is not known", val, err)
		}
		r.dequeue(a, fmt.Sprint(others+1))
	})
}

// A consumer that is slow, so that more others have taken items than are remembered before its
// claim arrives, has lost no answer: it knows that it got nothing, and takes another one.
func TestSlowClaim(t *testing.T) {
	onBothQueues(t, func(r *rig, q func() queue) {
		const others = 66
		a := q()
		for i := range others + 1 {
			r.do("Enqueue", a.enqueue(r.t.Context(), fmt.Sprint(i)))
		}
		takeThem := func() {
			for i := range others {
				r.dequeue(q(), fmt.Sprint(i))
			}
		}
		begun := false
		r.faulty().Intercept(func(_ context.Context, _ string, req any, next func() (any, error)) (any, error) {
			if changes(req) && !begun {
				begun = true // theirs pass
				takeThem()
			}
			return next()
		})
		r.dequeue(a, fmt.Sprint(others))
	})
}

// Several goroutines may use one Queue: each finds its own claim.
func TestClaimsOfOneConsumer(t *testing.T) {
	onBothQueues(t, func(r *rig, q func() queue) {
		a := q()
		for i := range 3 {
			r.do("Enqueue", a.enqueue(r.t.Context(), fmt.Sprint(i)))
		}
		r.afterFirstChange(true, func() {
			r.dequeue(a, "1")
			r.dequeue(a, "2")
		})
		r.dequeue(a, "0")
	})
}

// What became of an item whose enqueueing was not answered, and which was taken, the
// history of the claims tells. When that is compacted, it is said.
func TestEnqueuedAndForgotten(t *testing.T) {
	onBothQueues(t, func(r *rig, q func() queue) {
		a, b := q(), q()
		r.do("Enqueue", a.enqueue(r.t.Context(), "0"))
		r.do("Enqueue", b.enqueue(r.t.Context(), "1"))
		r.afterFirstChange(true, func() {
			for _, want := range []string{"0", "1", "2"} {
				r.dequeue(b, want)
			}
			r.compact()
		})
		if err := a.enqueue(r.t.Context(), "2"); err != nil && !client.IsAmbiguous(err) {
			r.t.Errorf("Enqueue: %v, want that it is not known, or none", err)
		}
		r.wantKeys("q", 0)
	})
}

// The key of the claims is the queues' own.
func TestForeignTrace(t *testing.T) {
	onBothQueues(t, func(r *rig, q func() queue) {
		a := q()
		r.do("Enqueue", a.enqueue(r.t.Context(), "0"))
		if _, err := r.admin.Put(r.t.Context(), "__q/claim", "something else"); err != nil {
			r.t.Fatal(err)
		}
		if _, err := a.Dequeue(r.t.Context()); err == nil || !strings.Contains(err.Error(), `"__q/claim"`) {
			r.t.Errorf("Dequeue: %v, want an error that names the key", err)
		}
		r.wantKeys("q", 1)
	})
}

// Many producers and consumers, and a member that loses requests and answers, or
// is late: every item comes out once.
func TestQueueExactlyOnce(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			onBothQueues(t, func(r *rig, q func() queue) { exactlyOnce(r, q, seed) })
		})
	}
}

func exactlyOnce(r *rig, q func() queue, seed uint64) {
	const producers, consumers, each = 4, 4, 25
	var mu sync.Mutex
	rng := rand.New(rand.NewPCG(seed, 0))
	applied := r.faultyTxns(func(int) fate {
		mu.Lock()
		defer mu.Unlock()
		if n := rng.IntN(16); n < 4 {
			return fate(n)
		}
		return fine
	})
	ctx, cancel := context.WithCancel(r.t.Context())
	defer cancel()
	var want, got []string
	var making, taking sync.WaitGroup
	for p := range producers {
		queue := q()
		making.Go(func() {
			for i := range each {
				val := fmt.Sprintf("%d/%02d", p, i)
				r.do("Enqueue", queue.enqueue(ctx, val))
				mu.Lock()
				want = append(want, val)
				mu.Unlock()
			}
		})
	}
	for range consumers {
		queue := q()
		taking.Go(func() {
			for {
				// Some give up, and begin again.
				short, stop := context.WithTimeout(ctx, 2*time.Second)
				val, err := queue.Dequeue(short)
				stop()
				mu.Lock()
				if err == nil {
					got = append(got, val)
				}
				mu.Unlock()
				if ctx.Err() != nil {
					return
				}
			}
		})
	}
	making.Wait()
	time.Sleep(time.Minute) // what is late has come
	synctest.Wait()
	cancel()
	taking.Wait()
	applied()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		r.t.Errorf("got %d items\n%q\nwant %d\n%q", len(got), got, len(want), want)
	}
	r.wantKeys("q", 0)
}

func TestQueueMisuse(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		r.faulty().Intercept(func(_ context.Context, _ string, req any, next func() (any, error)) (any, error) {
			if changes(req) {
				return nil, rpctypes.ErrGRPCPermissionDenied
			}
			return next()
		})
		err := recipe.NewQueue(r.client(), "q").Enqueue(t.Context(), "1")
		if err == nil || client.IsAmbiguous(err) {
			t.Errorf("Enqueue: %v, want permission denied, and no doubt", err)
		}
		if _, err := r.admin.Put(t.Context(), "q/00007/abc", "", kv.WithPrevKV()); err != nil {
			t.Fatalf("Put: %v", err)
		}
		if err := recipe.NewPriorityQueue(r.client(), "q").Enqueue(t.Context(), "1", 7); err == nil {
			t.Error("Enqueue after a key without a number succeeded")
		}
	})
}
