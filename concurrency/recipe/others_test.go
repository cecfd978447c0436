package recipe_test

import (
	"testing"

	"github.com/getcd/getcd/concurrency/recipe"
)

// What is below a lock's or barrier's key and stands for nobody is in nobody's way.
func TestKeysOfOthersAreInNobodysWay(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		ctx := t.Context()
		for _, key := range []string{
			"l/1", "l/sub/write/1", "l/writer", "l/write-1", "l/write/1", "l/read/1", "l/write/sub/1",
			"b/1", "b/waitersX", "b/waiters/1", "b/waiters/sub/1",
		} {
			if _, err := r.admin.Put(ctx, key, "v"); err != nil {
				t.Fatalf("Put: %v", err)
			}
		}
		w, reader := r.rwmutex(), r.rwmutex()
		locked := later(func() error { return w.Lock(ctx) })
		wantDone(t, "Lock", locked)
		waits := later(func() error { return reader.RLock(ctx) })
		wantWaiting(t, "RLock", waits)
		r.do("Unlock", w.Unlock(ctx))
		wantDone(t, "RLock", waits)
		waits = later(func() error { return w.Lock(ctx) })
		wantWaiting(t, "Lock", waits)
		r.do("RUnlock", reader.RUnlock(ctx))
		wantDone(t, "Lock", waits)

		one, two := r.doubleBarrier("b", 2), r.doubleBarrier("b", 2)
		first := later(func() error { return one.Enter(ctx) })
		wantWaiting(t, "Enter of one of two", first)
		second := later(func() error { return two.Enter(ctx) })
		wantDone(t, "Enter", first)
		wantDone(t, "Enter", second)
		first = later(func() error { return one.Leave(ctx) })
		wantWaiting(t, "Leave of one of two", first)
		second = later(func() error { return two.Leave(ctx) })
		wantDone(t, "Leave", first)
		wantDone(t, "Leave", second)
	})
}

func (r *rig) doubleBarrier(key string, count int) *recipe.DoubleBarrier {
	return recipe.NewDoubleBarrier(r.client(), r.session(), key, count)
}
