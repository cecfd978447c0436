package recipe_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/concurrency/recipe"
)

// puts reports whether a request is a transaction that takes space.
func puts(req any) bool {
	txn, ok := req.(*pb.TxnRequest)
	return ok && slices.ContainsFunc(slices.Concat(txn.Success, txn.Failure), func(op *pb.RequestOp) bool { return op.GetRequestPut() != nil })
}

// fill takes the cluster's space, until a next call with false. The write that takes the last of
// it is applied, and answered like the others.
func (r *rig) fill(full, last bool) {
	if !full {
		r.faulty().Intercept(nil)
		return
	}
	var first atomic.Bool
	first.Store(last)
	r.faulty().Intercept(func(_ context.Context, _ string, req any, next func() (any, error)) (any, error) {
		if !puts(req) {
			return next()
		}
		if first.Swap(false) {
			if _, err := next(); err != nil {
				return nil, err
			}
		}
		return nil, rpctypes.ErrGRPCNoSpace
	})
}

// While there is no space callers are told so, and do not wait. They leave nothing behind.
func TestNoSpace(t *testing.T) {
	for name, last := range map[string]bool{"refused": false, "applied": true} {
		t.Run(name, func(t *testing.T) {
			run(t, func(r *rig) {
				t := r.t
				ctx := t.Context()
				rw, d := r.rwmutex(), r.doubleBarrier("d", 1)
				for what, call := range map[string]func() error{
					"Hold":  func() error { return recipe.NewBarrier(r.client(), "b").Hold(ctx) },
					"Lock":  func() error { return rw.Lock(ctx) },
					"RLock": func() error { return rw.RLock(ctx) },
					"Enter": func() error { return d.Enter(ctx) },
				} {
					r.fill(true, last)
					began := time.Now()
					err := call()
					wantIs(t, what, err, rpctypes.ErrGRPCNoSpace)
					if took := time.Since(began); took > time.Second || client.IsAmbiguous(err) {
						t.Errorf("%s: %v after %v (ambiguous: %v), want it at once, and certainty", what, err, took, client.IsAmbiguous(err))
					}
				}
				for _, prefix := range []string{"b", "l/", "d/"} {
					r.wantKeys(prefix, 0)
				}

				q, p := recipe.NewQueue(r.client(), "q"), recipe.NewPriorityQueue(r.client(), "p")
				for what, call := range map[string]func() error{
					"Enqueue":               func() error { return q.Enqueue(ctx, "x") },
					"Enqueue by a priority": func() error { return p.Enqueue(ctx, "x", 7) },
				} {
					r.fill(true, last)
					if err := call(); last != (err == nil) || !last && (!errors.Is(err, rpctypes.ErrGRPCNoSpace) || client.IsAmbiguous(err)) {
						t.Errorf("%s: %v, want no error if it was applied: %v", what, err, last)
					}
				}
				r.fill(false, false)
				if !last {
					r.wantKeys("q/", 0)
					r.wantKeys("p/", 0)
					r.do("Enqueue", q.Enqueue(ctx, "x"))
				}
				r.fill(true, last)
				got, err := q.Dequeue(ctx) // which needs space, too
				if unsettled := new(recipe.UnsettledError); !errors.As(err, &unsettled) || !errors.Is(err, rpctypes.ErrGRPCNoSpace) {
					t.Errorf("Dequeue: %q, %v; want an UnsettledError that is %v", got, err, rpctypes.ErrGRPCNoSpace)
				}
				r.fill(false, false)
				if got, err := q.Dequeue(ctx); err != nil || got != "x" {
					t.Errorf("Dequeue: %q, %v; want the item", got, err)
				}
				r.wantKeys("q/", 0)
			})
		})
	}
}

// What is under way when the space ends, and arrives late, is deleted then.
func TestNoSpaceInDoubt(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		end := time.Now().Add(20 * time.Second)
		applied := make(chan struct{})
		var first atomic.Bool
		first.Store(true)
		r.faulty().Intercept(func(_ context.Context, _ string, req any, next func() (any, error)) (any, error) {
			switch {
			case !puts(req):
				return next()
			case first.Swap(false):
				go func() {
					defer close(applied)
					time.Sleep(10 * time.Second)
					_, _ = next()
				}()
				return nil, rpctypes.ErrGRPCTimeout
			case time.Now().Before(end):
				return nil, rpctypes.ErrGRPCNoSpace
			default:
				return next()
			}
		})
		wantIs(t, "Lock", r.rwmutex().Lock(t.Context()), rpctypes.ErrGRPCNoSpace)
		<-applied
		r.wantKeys("l/", 1)
		time.Sleep(2 * time.Second)
		r.wantKeys("l/", 0)
		time.Sleep(time.Minute)
	})
}

// What is too large is refused, and not sent again and again.
func TestTooLarge(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		large := strings.Repeat("x", 5<<20) // gRPC's servers take 4 MiB
		for what, call := range map[string]func() error{
			"Enqueue":               func() error { return recipe.NewQueue(r.client(), "q").Enqueue(t.Context(), large) },
			"Enqueue by a priority": func() error { return recipe.NewPriorityQueue(r.client(), "p").Enqueue(t.Context(), large, 7) },
		} {
			began := time.Now()
			err := call()
			if took := time.Since(began); err == nil || !strings.Contains(err.Error(), "larger than max") || took > time.Second {
				t.Errorf("%s: %v after %v, want the refusal at once", what, err, took)
			}
		}
		r.wantKeys("q/", 0)
		r.wantKeys("p/", 0)
	})
}
