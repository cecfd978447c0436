package lock_test

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lease"
	"github.com/getcd/getcd/lock"
)

// fenced is what a lock has by which others can tell whether it is held.
type fenced interface {
	holder
	Token() int64
	Guard() kv.Cmp
	Txn(ctx context.Context) kv.Txn
}

func locks(r *rig) map[string]func(cc grpc.ClientConnInterface) fenced {
	return map[string]func(cc grpc.ClientConnInterface) fenced{
		"Mutex": func(cc grpc.ClientConnInterface) fenced { return r.locked(cc) },
		"Held":  func(cc grpc.ClientConnInterface) fenced { return r.hold(cc) },
	}
}

// Whoever gets the lock, by whatever means, has a greater token than all before, and
// what is guarded by a lock that was lost is not applied.
func TestFencing(t *testing.T) {
	forms(t, 1, func(r *rig) {
		t := r.t
		store := kv.New(r.admin)
		put := func(h fenced, val string) error {
			_, err := h.Txn(t.Context()).Then(kv.OpPut("guarded", val)).Commit()
			return err
		}
		guarded := func(want string) {
			t.Helper()
			resp, err := store.Get(t.Context(), "guarded")
			if err != nil || len(resp.Kvs) != 1 || string(resp.Kvs[0].Value) != want {
				t.Errorf("guarded is %v, %v, want %q", resp, err, want)
			}
		}
		token := int64(0)
		for range 2 {
			for name, lockIt := range locks(r) {
				h := lockIt(r.alone(0))
				if h.Token() <= token {
					t.Errorf("%s: the token is %d after %d", name, h.Token(), token)
				}
				token = h.Token()
				if resp, err := store.Get(t.Context(), h.Key()); err != nil || resp.Kvs[0].CreateRevision != token {
					t.Errorf("%s: the token is %d, want its key's create revision: %v, %v", name, token, resp, err)
				}
				if err := put(h, name); err != nil {
					t.Errorf("%s: Txn: %v", name, err)
				}
				guarded(name)
				// A comparison of its own that does not hold is no loss.
				resp, err := h.Txn(t.Context()).If(kv.Compare(kv.Value("guarded"), "=", "x")).Commit()
				if err != nil || resp.Succeeded || h.Err() != nil {
					t.Errorf("%s: Txn that fails: %v, %v, and then %v", name, resp, err, h.Err())
				}
				r.unlock(h)
				wantIs(t, name+": Txn after Unlock", put(h, "late"), lock.ErrNotHeld)
				if h, ok := h.(*lock.Held); ok && h.Token() != token {
					t.Errorf("the token after Unlock is %d, want %d", h.Token(), token)
				}

				h = lockIt(r.alone(0))
				r.delete(h.Key())
				if _, ok := h.(*lock.Held); ok {
					wantIs(t, name+": Txn after the key was deleted", put(h, "lost"), lock.ErrLost)
				}
				resp, err = store.Txn(t.Context()).If(h.Guard()).Then(kv.OpPut("guarded", "lost")).Commit()
				if err != nil || resp.Succeeded {
					t.Errorf("%s: a transaction with Guard after the loss: %v, %v", name, resp, err)
				}
				time.Sleep(time.Second) // a lock that is held only just is not watched yet
				wantIs(t, name+": Err", h.Err(), lock.ErrLost)
				wantIs(t, name+": Unlock", h.Unlock(t.Context()), lock.ErrLost)
				guarded(name)
				r.wantNothingLeft()
			}
		}
	})
}

// What Unlock has sent may reach the cluster late, from a member that was stopped.
// It must not free a later lock, not even one of the same lease, and so of the same
// key.
func TestLateUnlock(t *testing.T) {
	forms(t, 1, func(r *rig) {
		t := r.t
		for name, lockIt := range locks(r) {
			h := lockIt(r.alone(0))
			key := h.Key()
			stopped, late := make(chan struct{}), make(chan error, 10)
			deletes := func(req any) bool {
				switch req := req.(type) {
				case *v3lockpb.UnlockRequest:
					return true
				case *pb.TxnRequest:
					return len(req.Success) == 1 && req.Success[0].GetRequestDeleteRange() != nil
				}
				return false
			}
			r.cluster.Member(0).Intercept(func(_ context.Context, _ string, req any, next func() (any, error)) (any, error) {
				if !deletes(req) || len(late) > 0 {
					return next()
				}
				<-stopped
				resp, err := next()
				late <- err
				return resp, err
			})
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if err := h.Unlock(ctx); err != nil {
				t.Errorf("%s: Unlock in doubt, with the lease revoked: %v", name, err)
			}
			cancel()
			r.wantKeys()

			id := leaseOf(t, key)
			if _, err := lease.New(r.admin).GrantID(t.Context(), id, 60); err != nil {
				t.Fatalf("GrantID: %v", err)
			}
			next, err := lock.NewService(r.admin).Lock(t.Context(), "job", id)
			if err != nil || string(next.Key) != key {
				t.Fatalf("Lock: %v, %v, want the key %q again", next, err, key)
			}
			close(stopped)
			synctest.Wait()
			if err := <-late; err != nil {
				t.Errorf("%s: the late copy was not applied: %v", name, err)
			}
			r.wantKeys(key)
			r.cluster.Member(0).Intercept(nil)
			if _, err := lease.New(r.admin).Revoke(t.Context(), id); err != nil {
				t.Errorf("Revoke: %v", err)
			}
		}
	})
}

// A key that somebody has taken off the lock's lease is deleted all the same, though
// it was in doubt whether it was.
func TestUnlockSettlesItsDoubt(t *testing.T) {
	forms(t, 1, func(r *rig) {
		t := r.t
		for name, lockIt := range locks(r) {
			h := lockIt(r.alone(0))
			if _, err := kv.New(r.admin).Put(t.Context(), h.Key(), "no lease"); err != nil {
				t.Fatalf("Put: %v", err)
			}
			ended, cancel := context.WithCancel(t.Context())
			cancel()
			if err := h.Unlock(ended); err != nil {
				t.Errorf("%s: Unlock: %v", name, err)
			}
			r.wantNothingLeft()
		}
	})
}

func leaseOf(t *testing.T, key string) lease.ID {
	t.Helper()
	return leaseWith(t, "job/", key)
}

// leaseWith is the lease of a key below a prefix.
func leaseWith(t *testing.T, prefix, key string) lease.ID {
	t.Helper()
	id, err := strconv.ParseInt(strings.TrimPrefix(key, prefix), 16, 64)
	if err != nil {
		t.Fatalf("the key %q: %v", key, err)
	}
	return lease.ID(id)
}
