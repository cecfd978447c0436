package lock_test

import (
	"testing"
	"testing/synctest"

	"go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"

	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lease"
	"github.com/getcd/getcd/lock"
)

// A key below the lock's name that is no waiter's does not block it.
func TestMutexBesideKeysOfOthers(t *testing.T) {
	forms(t, 1, func(r *rig) {
		t := r.t
		store := kv.New(r.admin)
		for _, key := range []string{"job/1", "job/v", "job/1/2"} {
			if _, err := store.Put(t.Context(), key, "v"); err != nil {
				t.Fatalf("Put: %v", err)
			}
		}
		sub, err := lock.New(r.alone(0), "job/sub")
		if err != nil {
			t.Fatalf("New: %v", err)
		}
		if err := sub.TryLock(t.Context()); err != nil {
			t.Errorf("TryLock of a lock below another: %v", err)
		}
		a, b := r.mutex(r.alone(0)), r.mutex(r.alone(0))
		if err := a.TryLock(t.Context()); err != nil {
			t.Fatalf("TryLock: %v", err)
		}
		wantIs(t, "TryLock of another", b.TryLock(t.Context()), lock.ErrLocked)
		r.unlock(a)
		if err := b.Lock(t.Context()); err != nil {
			t.Errorf("Lock: %v", err)
		}
		r.unlock(b)
		r.unlock(sub)
	})
}

// Etcd's lock service, and clientv3, count every key; they and a Mutex still exclude
// each other, in whatever order they come.
func TestMutexBesideEtcdsClients(t *testing.T) {
	forms(t, 1, func(r *rig) {
		t := r.t
		put := func(key string) {
			if _, err := kv.New(r.admin).Put(t.Context(), key, "v"); err != nil {
				t.Fatalf("Put: %v", err)
			}
		}
		leases := lease.New(r.admin)
		grant := func() lease.ID {
			g, err := leases.Grant(t.Context(), 3600)
			if err != nil {
				t.Fatalf("Grant: %v", err)
			}
			return g.ID
		}
		// It is first by every count, and somebody puts over its key, without the lease.
		id := grant()
		resp, err := v3lockpb.NewLockClient(r.admin).Lock(t.Context(), &v3lockpb.LockRequest{Name: []byte("job"), Lease: int64(id)})
		if err != nil {
			t.Fatalf("Lock: %v", err)
		}
		put("job/1") // is in the way of etcd's clients that come after it
		m := r.mutex(r.alone(0))
		wantIs(t, "TryLock beside etcd's holder", m.TryLock(t.Context()), lock.ErrLocked)
		put(string(resp.Key))
		wantIs(t, "TryLock beside etcd's holder, whose key was put over", m.TryLock(t.Context()), lock.ErrLocked)

		if _, err := leases.Revoke(t.Context(), id); err != nil {
			t.Fatalf("Revoke: %v", err)
		}
		if err := m.TryLock(t.Context()); err != nil {
			t.Fatalf("TryLock after it: %v", err)
		}
		id = grant()
		got := make(chan error, 1)
		go func() {
			_, err := v3lockpb.NewLockClient(r.admin).Lock(t.Context(), &v3lockpb.LockRequest{Name: []byte("job"), Lease: int64(id)})
			got <- err
		}()
		synctest.Wait()
		wantIs(t, "TryLock of a third", r.mutex(r.alone(0)).TryLock(t.Context()), lock.ErrLocked)
		select {
		case err := <-got:
			t.Errorf("etcd's Lock returned %v beside a holder", err)
		default:
		}
		r.unlock(m)
		r.delete("job/1")
		r.delete(string(resp.Key))
		if err := <-got; err != nil {
			t.Errorf("etcd's Lock: %v", err)
		}
	})
}
