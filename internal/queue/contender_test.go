package queue_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/getcd/getcd/internal/queue"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lease"
)

func TestLeaseOf(t *testing.T) {
	for key, want := range map[string]lease.ID{
		"q/1": 1, "q/694d8fffbeef": 0x694d8fffbeef, "q/7fffffffffffffff": 1<<63 - 1, "q/-1": -1,
		"q/": 0, "q": 0, "q/0": 0, "q/-0": 0, "q/01": 0, "q/+1": 0, "q/BEEF": 0, "q/0x1": 0, "q/1/": 0, "q/1/2": 0,
		"q//1": 0, "q/sub": 0, "q/8000000000000000": 0, "q/1_0": 0, "r/1": 0,
	} {
		id, ok := queue.LeaseOf("q/", key)
		if ok != (want != 0) || ok && (id != want || queue.Key("q/", id) != key) {
			t.Errorf("LeaseOf(%q) is %x, %v, want %x", key, int64(id), ok, int64(want))
		}
	}
}

func (r *rig) put(key string, opts ...kv.OpOption) {
	r.t.Helper()
	if _, err := r.kv.Put(r.t.Context(), key, "v", opts...); err != nil {
		r.t.Fatalf("Put: %v", err)
	}
}

func (r *rig) lease() lease.ID {
	r.t.Helper()
	g, err := r.leases.Grant(r.t.Context(), 3600)
	if err != nil {
		r.t.Fatalf("Grant: %v", err)
	}
	return g.ID
}

// What is below the prefix and no contender's keeps nobody from its turn.
func TestKeysOfOthersAreInNobodysWay(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		for _, key := range []string{"q/", "q/1", "q/beef", "q/BEEF", "q/sub", "q/sub/1", "q/-", "q/f/", "q/6-1"} {
			r.put(key)
		}
		r.put("q/2", kv.WithLease(r.lease()))
		r.put("q/beef") // again
		for i := range 200 {
			r.put(fmt.Sprintf("q/%x", 0x1000+i))
		}
		// Many of one revision.
		var ops []kv.Op
		for i := range 100 {
			ops = append(ops, kv.OpPut(fmt.Sprintf("q/a%xx", i), ""))
		}
		if _, err := r.kv.Txn(t.Context()).Then(ops...).Commit(); err != nil {
			t.Fatalf("Txn: %v", err)
		}
		a, id := r.take()
		b, _ := r.take()
		r.wantFirst(a, true)
		r.wantFirst(b, false)
		leader, err := queue.First(t.Context(), r.kv, r.leases, "q/")
		if err != nil || len(leader.Kvs) != 1 || string(leader.Kvs[0].Key) != a.Key || string(leader.Kvs[0].Value) != "v" {
			t.Errorf("First: got %v, %v, want the key %q with its value", leader, err, a.Key)
		}
		result := make(chan error, 1)
		go func() { result <- b.Wait(t.Context()) }()
		synctest.Wait()
		begin := time.Now()
		if err := queue.Revoke(t.Context(), r.leases, id); err != nil {
			t.Fatalf("Revoke: %v", err)
		}
		if err := <-result; err != nil || time.Since(begin) > 0 {
			t.Errorf("Wait: %v after %v, want the turn at once", err, time.Since(begin))
		}
	})
}

// Who has the turn keeps it while its lease lives, whatever others do to its key: it
// does not look at that. When the lease is gone, the key is nobody's.
func TestTheTurnDoesNotDependOnTheBinding(t *testing.T) {
	for name, opts := range map[string]func(r *rig) []kv.OpOption{
		"no lease":      func(*rig) []kv.OpOption { return nil },
		"another lease": func(r *rig) []kv.OpOption { return []kv.OpOption{kv.WithLease(r.lease())} },
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(r *rig) {
				t := r.t
				a, id := r.take()
				r.put(a.Key, opts(r)...)
				b, _ := r.take()
				r.wantFirst(b, false)
				if leader, err := queue.First(t.Context(), r.kv, r.leases, "q/"); err != nil || string(leader.Kvs[0].Key) != a.Key {
					t.Errorf("First: got %v, %v, want %q", leader, err, a.Key)
				}
				result := make(chan error, 1)
				begin := time.Now()
				go func() { result <- b.Wait(t.Context()) }()
				time.Sleep(time.Minute)
				synctest.Wait()
				select {
				case err := <-result:
					t.Fatalf("Wait returned %v after %v, while the other one's guard holds", err, time.Since(begin))
				default:
				}
				if err := queue.Revoke(t.Context(), r.leases, id); err != nil {
					t.Fatalf("Revoke: %v", err)
				}
				begin = time.Now()
				if err := <-result; err != nil || time.Since(begin) > b.TTL/2 {
					t.Errorf("Wait: %v after %v, want the turn within half a TTL", err, time.Since(begin))
				}
			})
		})
	}
}
