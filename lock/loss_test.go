package lock_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/internal/testconn"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lease"
	"github.com/getcd/getcd/lock"
)

// The holder that is cut off knows it before another one gets the lock.
func TestDoneBeforeAnotherHolds(t *testing.T) {
	for name, cut := range cuts() {
		t.Run(name, func(t *testing.T) {
			forms(t, 2, func(r *rig) {
				a, b := r.locked(r.alone(0)), r.mutex(r.alone(1))
				first := a.Token()
				lostAt, gotAt := r.succession(a,
					func() {
						time.Sleep(time.Minute)
						cut(r.cluster.Member(0))
						<-a.Done()
						wantIs(r.t, "Err", a.Err(), lease.ErrExpired)
					},
					func() holder {
						if err := b.Lock(r.t.Context()); err != nil {
							r.t.Errorf("Lock: %v", err)
						}
						if b.Token() <= first || a.Token() != first {
							r.t.Errorf("tokens are %d for the new holder and %d for the old one, want more than %d, and %d", b.Token(), a.Token(), first, first)
						}
						return b
					})
				if got := gotAt.Sub(lostAt); got <= 0 || got > 2*time.Second {
					r.t.Errorf("another got it %v after the loss, want about the margin, 1s", got)
				}
			})
		})
	}
}

func TestKeyDeletedWhileHeld(t *testing.T) {
	forms(t, 1, func(r *rig) {
		t := r.t
		m := r.locked(r.alone(0))
		time.Sleep(time.Minute)
		begin := time.Now()
		r.delete(m.Key())
		<-m.Done()
		if got := time.Since(begin); got > 0 {
			t.Errorf("Done %v after the deletion, want at once", got)
		}
		wantIs(t, "Err", m.Err(), lock.ErrLost)
		wantIs(t, "Unlock", m.Unlock(t.Context()), lock.ErrLost)
		r.wantNothingLeft()
	})
}

// Even when the member at the other end of the watch has fallen silent.
func TestKeyDeletedWhileWatchIsSilent(t *testing.T) {
	forms(t, 2, func(r *rig) {
		t := r.t
		m := r.locked(&testconn.SplitStreams{ClientConnInterface: r.alone(1), Streams: r.alone(0), Method: pb.Watch_Watch_FullMethodName})
		time.Sleep(time.Minute)
		r.cluster.Member(0).Hang()
		begin := time.Now()
		r.delete(m.Key())
		<-m.Done()
		if got := time.Since(begin); got > 5*time.Second {
			t.Errorf("Done %v after the deletion, want at most half a TTL, 5s", got)
		}
		r.cluster.Member(0).Resume()
		wantIs(t, "Unlock", m.Unlock(t.Context()), lock.ErrLost)
	})
}

func TestWaiterSeesHandOverOnSilentWatch(t *testing.T) {
	forms(t, 2, func(r *rig) {
		t := r.t
		a := r.locked(r.alone(1))
		b := r.mutex(&testconn.SplitStreams{ClientConnInterface: r.alone(1), Streams: r.alone(0), Method: pb.Watch_Watch_FullMethodName})
		r.cluster.Member(0).Hang()
		var wg sync.WaitGroup
		wg.Go(func() {
			time.Sleep(time.Minute)
			r.unlock(a)
		})
		begin := time.Now()
		if err := b.Lock(t.Context()); err != nil {
			t.Fatalf("Lock: %v", err)
		}
		if got := time.Since(begin); got > 65*time.Second {
			t.Errorf("Lock took %v, want at most half a TTL after the Unlock, 1m5s", got)
		}
		wg.Wait()
		r.cluster.Member(0).Resume()
		r.unlock(b)
		r.wantNothingLeft()
	})
}

// A waiter whose key or lease is taken from it queues again.
func TestWaiterStartsOver(t *testing.T) {
	for _, tc := range []struct {
		name string
		take func(r *rig, key string)
	}{
		{"key deleted", func(r *rig, key string) { r.delete(key) }},
		{"lease revoked", func(r *rig, key string) {
			var id int64
			if _, err := fmt.Sscanf(key, "job/%x", &id); err != nil {
				r.t.Fatalf("key %q is not job/LEASE: %v", key, err)
			}
			if _, err := pb.NewLeaseClient(r.admin).LeaseRevoke(r.t.Context(), &pb.LeaseRevokeRequest{ID: id}); err != nil {
				r.t.Fatalf("LeaseRevoke: %v", err)
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			forms(t, 1, func(r *rig) {
				t := r.t
				a, b := r.locked(r.alone(0)), r.mutex(r.alone(0))
				result := make(chan error, 1)
				go func() { result <- b.Lock(t.Context()) }()
				time.Sleep(time.Minute)
				old, rev := waiting(r, a)
				tc.take(r, old)
				time.Sleep(time.Minute)
				if again, newRev := waiting(r, a); again == "" || newRev == rev || again == old && !r.shared {
					t.Errorf("the waiter's key is %q of revision %d, want another one than %q of %d", again, newRev, old, rev)
				}
				r.unlock(a)
				if err := <-result; err != nil {
					t.Fatalf("Lock: %v", err)
				}
				r.unlock(b)
				r.wantNothingLeft()
			})
		})
	}
}

// waiting is the key in the queue that is not the holder's, and its create revision.
func waiting(r *rig, holder *lock.Mutex) (key string, rev int64) {
	r.t.Helper()
	for _, kv := range r.kvs() {
		if key := string(kv.Key); key != holder.Key() {
			return key, kv.CreateRevision
		}
	}
	return "", 0
}

// Waiters survive the loss of the member that they wait on, and holders that of
// the member that they renew on.
func TestKilledMember(t *testing.T) {
	forms(t, 3, func(r *rig) {
		t := r.t
		a, b := r.locked(r.client()), r.mutex(r.client())
		result := make(chan error, 1)
		go func() { result <- b.Lock(t.Context()) }()
		time.Sleep(time.Minute)
		r.cluster.Member(0).Kill()
		time.Sleep(time.Minute)
		if err := a.Err(); err != nil {
			t.Errorf("the holder's error a minute after its member was killed: %v", err)
		}
		begin := time.Now()
		r.unlock(a)
		if err := <-result; err != nil {
			t.Fatalf("Lock: %v", err)
		}
		if got := time.Since(begin); got > 100*time.Millisecond {
			t.Errorf("the waiter got the lock %v after the Unlock, want at once", got)
		}
		r.unlock(b)
		r.wantNothingLeft()
	})
}

func TestUnlockWithEndedContext(t *testing.T) {
	forms(t, 1, func(r *rig) {
		t := r.t
		m := r.locked(r.alone(0))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := m.Unlock(ctx); err != nil {
			t.Errorf("Unlock: %v; want the lock freed all the same", err)
		}
		r.wantNothingLeft()
	})
}

func TestUnlockWithoutCluster(t *testing.T) {
	forms(t, 2, func(r *rig) {
		t := r.t
		m := r.locked(r.alone(0))
		r.cluster.Member(0).Kill()
		begin := time.Now()
		if err := m.Unlock(timeout(t, time.Second)); err == nil || errors.Is(err, lock.ErrLost) {
			t.Errorf("Unlock: got %v, want that the cluster could not be reached", err)
		}
		if got := time.Since(begin); got > 4*time.Second {
			t.Errorf("Unlock took %v, want at most 3 s more than its context, 4s", got)
		}
		wantIs(t, "Err", m.Err(), lock.ErrNotHeld)
		time.Sleep(10 * time.Second)
		r.wantNothingLeft()
	})
}

func TestLockAfterLoss(t *testing.T) {
	forms(t, 1, func(r *rig) {
		t := r.t
		m := r.locked(r.alone(0))
		first, done := m.Token(), m.Done()
		r.delete(m.Key())
		<-done
		if err := m.Lock(t.Context()); err != nil {
			t.Fatalf("Lock after a loss, without Unlock: %v", err)
		}
		if m.Token() <= first || isDone(m.Done()) {
			t.Errorf("token %d after %d, done %v; want it greater, and not done", m.Token(), first, isDone(m.Done()))
		}
		r.unlock(m)
		r.wantNothingLeft()
	})
}

// A Lock after a loss, without a cluster, has 3 s beyond its context for cleaning up, and not 3 s
// for the lock that was lost and 3 s for its own.
func TestLockAfterLossWithoutCluster(t *testing.T) {
	forms(t, 2, func(r *rig) {
		t := r.t
		m := r.mutex(r.alone(0))
		if err := m.Lock(t.Context()); err != nil {
			t.Fatalf("Lock: %v", err)
		}
		r.cluster.Member(0).Freeze()
		defer r.cluster.Member(0).Thaw()
		<-m.Done()
		ctx := timeout(t, time.Second)
		begin := time.Now()
		if err := m.Lock(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Lock: %v, want the deadline's error", err)
		}
		if took := time.Since(begin); took > 4*time.Second {
			t.Errorf("Lock took %v, want at most 3s beyond its context", took)
		}
	})
}

func TestGuardedTxn(t *testing.T) {
	forms(t, 1, func(r *rig) {
		t := r.t
		m := r.mutex(r.alone(0))
		_, err := m.Txn(t.Context()).Then(kv.OpPut("x", "0")).Commit()
		wantIs(t, "Txn without a lock", err, lock.ErrNotHeld)
		store := kv.New(r.alone(0))
		if resp, err := store.Txn(t.Context()).If(m.Guard()).Then(kv.OpPut("x", "0")).Commit(); err != nil || resp.Succeeded {
			t.Errorf("Guard without a lock: %v, %v; want it not to hold", resp, err)
		}

		if err := m.Lock(t.Context()); err != nil {
			t.Fatalf("Lock: %v", err)
		}
		resp, err := m.Txn(t.Context()).
			If(kv.Compare(kv.Version("x"), "=", 0)).
			Then(kv.OpPut("x", "1")).
			Else(kv.OpGet("x")).
			Commit()
		if err != nil || !resp.Succeeded || resp.Header.GetRevision() == 0 {
			t.Errorf("Txn: %v, %v; want success and a header", resp, err)
		}
		resp, err = m.Txn(t.Context()).
			If(kv.Compare(kv.Version("x"), "=", 0)).
			Then(kv.OpPut("x", "2")).
			Else(kv.OpGet("x")).
			Commit()
		if err != nil || resp.Succeeded || string(resp.Responses[0].GetResponseRange().Kvs[0].Value) != "1" {
			t.Errorf("Txn whose own comparison fails: %v, %v; want its Else branch and no error", resp, err)
		}
		if resp, err := store.Txn(t.Context()).If(m.Guard()).Commit(); err != nil || !resp.Succeeded {
			t.Errorf("Guard: %v, %v; want it to hold", resp, err)
		}
		if _, err := m.Txn(t.Context()).Else().Then().Commit(); err == nil || !strings.Contains(err.Error(), "order") {
			t.Errorf("Then after Else: got error %v, want one that tells the order", err)
		}

		if got, err := store.Get(t.Context(), "x"); err != nil || string(got.Kvs[0].Value) != "1" {
			t.Errorf("x is %v, %v; want 1", got, err)
		}
		r.unlock(m)
	})
}

// withSilentWatch is a Mutex that holds its lock, and whose watch tells nothing.
func withSilentWatch(t *testing.T, r *rig) *lock.Mutex {
	t.Helper()
	m := r.locked(&testconn.SplitStreams{ClientConnInterface: r.alone(1), Streams: r.alone(0), Method: pb.Watch_Watch_FullMethodName})
	t.Cleanup(r.cluster.Member(0).Resume)
	r.cluster.Member(0).Hang()
	return m
}

// The server knows of the loss before the client does, and decides.
func TestTxnLearnsOfTheLoss(t *testing.T) {
	forms(t, 2, func(r *rig) {
		t := r.t
		m := withSilentWatch(t, r)
		r.delete(m.Key())
		_, err := m.Txn(t.Context()).Then(kv.OpPut("x", "3")).Commit()
		wantIs(t, "Txn after the loss", err, lock.ErrLost)
		if r.exists("x") {
			t.Error("the transaction was applied without the lock")
		}
		if !isDone(m.Done()) {
			t.Error("Done is open although the guard has failed")
		}
		wantIs(t, "Err", m.Err(), lock.ErrLost)
		wantIs(t, "Unlock", m.Unlock(t.Context()), lock.ErrLost)
	})
}

// Not even a key of the same name is freed when it is not the own one.
func TestUnlockFreesOnlyItsOwn(t *testing.T) {
	forms(t, 2, func(r *rig) {
		t := r.t
		m := withSilentWatch(t, r)
		key := m.Key()
		r.delete(key)
		if _, err := pb.NewKVClient(r.admin).Put(t.Context(), &pb.PutRequest{Key: []byte(key)}); err != nil {
			t.Fatalf("Put: %v", err)
		}
		wantIs(t, "Unlock", m.Unlock(t.Context()), lock.ErrLost)
		if !r.exists(key) {
			t.Error("Unlock has deleted a key that was not its own")
		}
	})
}

// A watch that is not confirmed is opened on another member, long before half a
// TTL has passed.
func TestWatchMovesToAnotherMember(t *testing.T) {
	forms(t, 2, func(r *rig) {
		t := r.t
		a := r.locked(r.alone(1))
		r.cluster.Member(0).InterceptStream(func(ss grpc.ServerStream, method string, next func(grpc.ServerStream) error) error {
			if method == pb.Watch_Watch_FullMethodName {
				<-ss.Context().Done()
				return ss.Context().Err()
			}
			return next(ss)
		})
		b := r.mutex(r.client(), lock.WithTTL(time.Minute))
		var wg sync.WaitGroup
		wg.Go(func() {
			time.Sleep(10 * time.Second)
			r.unlock(a)
		})
		begin := time.Now()
		if err := b.Lock(t.Context()); err != nil {
			t.Fatalf("Lock: %v", err)
		}
		if got := time.Since(begin); got != 10*time.Second {
			t.Errorf("Lock took %v, want to end with the Unlock, 10s", got)
		}
		wg.Wait()
		r.unlock(b)
	})
}

// A waiter whose member falls silent after it has confirmed the watch watches on
// another one before long, rather than be told by the next look at its place.
func TestWaiterLeavesTheSilentMember(t *testing.T) {
	forms(t, 3, func(r *rig) {
		t := r.t
		a, b := r.locked(r.alone(1)), r.mutex(r.client(), lock.WithTTL(time.Minute))
		var wg sync.WaitGroup
		wg.Go(func() {
			time.Sleep(10 * time.Second)
			r.cluster.Member(0).Hang()
			time.Sleep(10 * time.Second)
			r.unlock(a)
		})
		begin := time.Now()
		if err := b.Lock(t.Context()); err != nil {
			t.Fatalf("Lock: %v", err)
		}
		if got := time.Since(begin); got != 20*time.Second {
			t.Errorf("Lock took %v, want to end with the Unlock, 20s", got)
		}
		wg.Wait()
		r.cluster.Member(0).Resume()
		r.unlock(b)
		r.wantNothingLeft()
	})
}
