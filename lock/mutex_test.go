package lock_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lease"
	"github.com/getcd/getcd/lock"
)

func TestMutexOneClient(t *testing.T) {
	run(t, 1, func(r *rig) {
		t := r.t
		m := r.mutex(r.alone(0))
		if m.Key() != "" || m.Token() != 0 || !isDone(m.Done()) {
			t.Errorf("before Lock: key %q, token %d, done %v; want none, 0 and done", m.Key(), m.Token(), isDone(m.Done()))
		}
		wantIs(t, "Err before Lock", m.Err(), lock.ErrNotHeld)
		wantIs(t, "Unlock before Lock", m.Unlock(t.Context()), lock.ErrNotHeld)

		if err := m.Lock(t.Context()); err != nil {
			t.Fatalf("Lock: %v", err)
		}
		done := m.Done()
		if keys := r.keys(); len(keys) != 1 || keys[0] != m.Key() {
			t.Errorf("keys are %q, want the Mutex's, %q, alone", keys, m.Key())
		}
		if m.Token() <= 0 || isDone(done) || m.Err() != nil {
			t.Errorf("held: token %d, done %v, error %v; want one above 0, not done, none", m.Token(), isDone(done), m.Err())
		}
		wantIs(t, "second Lock", m.Lock(t.Context()), lock.ErrAlreadyLocked)
		wantIs(t, "TryLock while held", m.TryLock(t.Context()), lock.ErrAlreadyLocked)
		time.Sleep(time.Hour)
		if err := m.Err(); err != nil {
			t.Errorf("Err after an hour: %v", err)
		}

		r.unlock(m)
		if !isDone(done) {
			t.Error("Done is open after Unlock")
		}
		wantIs(t, "Err after Unlock", m.Err(), lock.ErrNotHeld)
		wantIs(t, "second Unlock", m.Unlock(t.Context()), lock.ErrNotHeld)
		r.wantNothingLeft()
	})
}

// Ten clients on three members, each wants the lock five times.
func TestMutexContention(t *testing.T) {
	run(t, 3, func(r *rig) {
		t := r.t
		const clients, rounds = 10, 5
		var (
			holders atomic.Int32
			mu      sync.Mutex
			tokens  []int64
			wg      sync.WaitGroup
		)
		for i := range clients {
			m := r.mutex(r.alone(i % 3))
			wg.Go(func() {
				for range rounds {
					if err := m.Lock(t.Context()); err != nil {
						t.Errorf("Lock: %v", err)
						return
					}
					if n := holders.Add(1); n != 1 {
						t.Errorf("%d holders at once", n)
					}
					mu.Lock()
					tokens = append(tokens, m.Token())
					mu.Unlock()
					time.Sleep(3 * time.Second)
					holders.Add(-1)
					if err := m.Unlock(t.Context()); err != nil {
						t.Errorf("Unlock: %v", err)
					}
				}
			})
		}
		begin := time.Now()
		wg.Wait()
		if len(tokens) != clients*rounds {
			t.Errorf("locked %d times, want %d", len(tokens), clients*rounds)
		}
		for i := 1; i < len(tokens); i++ {
			if tokens[i] <= tokens[i-1] {
				t.Errorf("token %d is %d after %d, want it to grow", i, tokens[i], tokens[i-1])
			}
		}
		// Handing over takes events, not polls.
		if got, want := time.Since(begin), clients*rounds*3*time.Second; got > want+time.Second {
			t.Errorf("took %v, want hardly more than %v", got, want)
		}
		r.wantNothingLeft()
	})
}

func TestTryLock(t *testing.T) {
	run(t, 1, func(r *rig) {
		t := r.t
		a, b := r.locked(r.alone(0)), r.mutex(r.alone(0))
		begin := time.Now()
		wantIs(t, "TryLock", b.TryLock(t.Context()), lock.ErrLocked)
		if got := time.Since(begin); got > 0 {
			t.Errorf("TryLock took %v, want no waiting", got)
		}
		if keys := r.keys(); len(keys) != 1 || keys[0] != a.Key() {
			t.Errorf("keys are %q, want the holder's, %q, alone", keys, a.Key())
		}
		r.unlock(a)
		if err := b.TryLock(t.Context()); err != nil {
			t.Errorf("TryLock of a free lock: %v", err)
		}
		r.unlock(b)
		r.wantNothingLeft()
	})
}

func TestCancelledWaiterLeavesNothing(t *testing.T) {
	run(t, 1, func(r *rig) {
		t := r.t
		a, b := r.locked(r.alone(0)), r.mutex(r.alone(0))
		begin := time.Now()
		err := b.Lock(timeout(t, time.Minute))
		wantIs(t, "Lock", err, context.DeadlineExceeded)
		if got := time.Since(begin); got != time.Minute {
			t.Errorf("Lock returned after %v, want when its context ended, 1m0s", got)
		}
		if keys := r.keys(); len(keys) != 1 || keys[0] != a.Key() {
			t.Errorf("keys are %q, want the holder's, %q, alone", keys, a.Key())
		}
		r.unlock(a)
		r.wantNothingLeft()
	})
}

// With the cluster gone, Lock still returns soon after its context; what it
// leaves goes with its TTL.
func TestCancelledWaiterWithoutCluster(t *testing.T) {
	run(t, 2, func(r *rig) {
		t := r.t
		a, b := r.locked(r.alone(1)), r.mutex(r.alone(0))
		time.AfterFunc(20*time.Second, r.cluster.Member(0).Freeze)
		begin := time.Now()
		err := b.Lock(timeout(t, 22*time.Second))
		wantIs(t, "Lock", err, context.DeadlineExceeded)
		if got := time.Since(begin); got > 25*time.Second {
			t.Errorf("Lock returned after %v, want at most 3 s after its context, 25s", got)
		}
		time.Sleep(10 * time.Second)
		if keys := r.keys(); len(keys) != 1 || keys[0] != a.Key() {
			t.Errorf("keys are %q, want the holder's, %q, alone", keys, a.Key())
		}
		r.unlock(a)
	})
}

// Whatever request is lost, a cancelled acquisition leaves nothing behind.
func TestCancelledAcquisitionLeavesNothing(t *testing.T) {
	for _, method := range []string{pb.Lease_LeaseGrant_FullMethodName, pb.KV_Txn_FullMethodName} {
		t.Run(method, func(t *testing.T) {
			run(t, 1, func(r *rig) {
				t := r.t
				r.cluster.Member(0).Intercept(func(ctx context.Context, m string, _ any, next func() (any, error)) (any, error) {
					resp, err := next()
					if m == method { // applied, and never answered
						<-ctx.Done()
						return nil, ctx.Err()
					}
					return resp, err
				})
				err := r.mutex(r.alone(0)).Lock(timeout(t, time.Second))
				wantIs(t, "Lock", err, context.DeadlineExceeded)
				r.cluster.Member(0).Intercept(nil)
				r.wantNothingLeft()
			})
		})
	}
}

// A put whose answer is lost is found by reading, and not put twice.
func TestAmbiguousPut(t *testing.T) {
	for _, tc := range []struct {
		name      string
		applied   bool
		readFails bool // then sending it again must find out
		puts      int32
	}{{"applied", true, false, 1}, {"applied, and not read", true, true, 2}, {"not applied", false, false, 2}} {
		t.Run(tc.name, func(t *testing.T) {
			run(t, 1, func(r *rig) {
				t := r.t
				var puts, reads atomic.Int32
				r.cluster.Member(0).Intercept(func(ctx context.Context, m string, req any, next func() (any, error)) (any, error) {
					if m == pb.KV_Range_FullMethodName && reads.Add(1) == 1 && tc.readFails {
						// Some other write makes the revisions differ.
						if _, err := pb.NewKVClient(r.admin).Put(ctx, &pb.PutRequest{Key: []byte("noise")}); err != nil {
							t.Errorf("Put: %v", err)
						}
						return nil, status.Error(codes.Unavailable, "connection lost")
					}
					txn, ok := req.(*pb.TxnRequest)
					if !ok || len(txn.Compare) == 0 {
						return next()
					}
					if puts.Add(1) > 1 {
						return next()
					}
					if tc.applied {
						if _, err := next(); err != nil {
							return nil, err
						}
					}
					return nil, status.Error(codes.Unavailable, "connection lost")
				})
				m := r.locked(r.alone(0))
				r.cluster.Member(0).Intercept(nil)
				if got := puts.Load(); got != tc.puts {
					t.Errorf("the put was sent %d times, want %d", got, tc.puts)
				}
				if keys := r.keys(); len(keys) != 1 || keys[0] != m.Key() {
					t.Errorf("keys are %q, want the holder's, %q, alone", keys, m.Key())
				}
				if ok, err := m.Txn(t.Context()).Then(kv.OpPut("x", "1")).Commit(); err != nil || !ok.Succeeded {
					t.Errorf("Txn: %v, %v; want the token to be right", ok, err)
				}
				r.unlock(m)
				r.wantNothingLeft()
			})
		})
	}
}

func TestServerErrorEndsLock(t *testing.T) {
	run(t, 1, func(r *rig) {
		t := r.t
		r.cluster.Member(0).Intercept(func(_ context.Context, m string, _ any, next func() (any, error)) (any, error) {
			if m == pb.KV_Txn_FullMethodName {
				return nil, status.Error(codes.PermissionDenied, "etcdserver: permission denied")
			}
			return next()
		})
		m := r.mutex(r.alone(0))
		if err := m.Lock(t.Context()); status.Code(err) != codes.PermissionDenied {
			t.Errorf("Lock: got %v, want code PermissionDenied", err)
		}
		r.cluster.Member(0).Intercept(nil)
		r.wantNothingLeft()
		if err := m.Lock(t.Context()); err != nil {
			t.Errorf("Lock after an error: %v", err)
		}
		r.unlock(m)
	})
}

// The holder that is cut off knows it before another one gets the lock.
func TestDoneBeforeAnotherHolds(t *testing.T) {
	for _, tc := range []struct {
		name string
		cut  func(r *rig)
	}{
		{"hang", func(r *rig) { r.cluster.Member(0).Hang() }},
		{"freeze", func(r *rig) { r.cluster.Member(0).Freeze() }},
		{"kill", func(r *rig) { r.cluster.Member(0).Kill() }},
		{"no leader", func(r *rig) { r.cluster.Member(0).SetNoLeader(true) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			run(t, 2, func(r *rig) {
				t := r.t
				a := r.locked(r.alone(0))
				first := a.Token()
				var lostAt, gotAt time.Time
				var wg sync.WaitGroup
				wg.Go(func() {
					<-a.Done()
					lostAt = time.Now()
				})
				b := r.mutex(r.alone(1))
				wg.Go(func() {
					if err := b.Lock(t.Context()); err != nil {
						t.Errorf("Lock: %v", err)
					}
					gotAt = time.Now()
				})
				time.Sleep(time.Minute)
				tc.cut(r)
				wg.Wait()
				if !lostAt.Before(gotAt) {
					t.Errorf("lost %v after another got it, want it before", lostAt.Sub(gotAt))
				}
				if got := gotAt.Sub(lostAt); got > 2*time.Second {
					t.Errorf("another got it %v after the loss, want about the margin, 1s", got)
				}
				wantIs(t, "Err", a.Err(), lock.ErrLost)
				wantIs(t, "Err", a.Err(), lease.ErrExpired)
				if b.Token() <= first {
					t.Errorf("token is %d after %d, want it to grow", b.Token(), first)
				}
				if a.Token() != first {
					t.Errorf("token of the lost lock is %d, want still %d", a.Token(), first)
				}

				// What the late holder still does is harmless.
				wantIs(t, "Unlock", a.Unlock(timeout(t, 5*time.Second)), lock.ErrLost)
				if err := b.Err(); err != nil || !r.exists(b.Key()) {
					t.Errorf("the stale Unlock hurt the new holder: %v", err)
				}
				r.unlock(b)
			})
		})
	}
}

func TestKeyDeletedWhileHeld(t *testing.T) {
	run(t, 1, func(r *rig) {
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
	run(t, 2, func(r *rig) {
		t := r.t
		m := r.locked(&splitStreams{ClientConnInterface: r.alone(1), streams: r.alone(0), method: pb.Watch_Watch_FullMethodName})
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
	run(t, 2, func(r *rig) {
		t := r.t
		a := r.locked(r.alone(1))
		b := r.mutex(&splitStreams{ClientConnInterface: r.alone(1), streams: r.alone(0), method: pb.Watch_Watch_FullMethodName})
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
			run(t, 1, func(r *rig) {
				t := r.t
				a, b := r.locked(r.alone(0)), r.mutex(r.alone(0))
				result := make(chan error, 1)
				go func() { result <- b.Lock(t.Context()) }()
				time.Sleep(time.Minute)
				old := waiting(r, a)
				tc.take(r, old)
				time.Sleep(time.Minute)
				if again := waiting(r, a); again == old || again == "" {
					t.Errorf("the waiter's key is %q, want another one than %q", again, old)
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

// waiting is the key in the queue that is not the holder's.
func waiting(r *rig, holder *lock.Mutex) string {
	for _, key := range r.keys() {
		if key != holder.Key() {
			return key
		}
	}
	return ""
}

// Waiters survive the loss of the member that they wait on, and holders that of
// the member that they renew on.
func TestKilledMember(t *testing.T) {
	run(t, 3, func(r *rig) {
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
	run(t, 1, func(r *rig) {
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
	run(t, 2, func(r *rig) {
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
	run(t, 1, func(r *rig) {
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

func TestGuardedTxn(t *testing.T) {
	run(t, 1, func(r *rig) {
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
	m := r.locked(&splitStreams{ClientConnInterface: r.alone(1), streams: r.alone(0), method: pb.Watch_Watch_FullMethodName})
	t.Cleanup(r.cluster.Member(0).Resume)
	r.cluster.Member(0).Hang()
	return m
}

// The server knows of the loss before the client does, and decides.
func TestTxnLearnsOfTheLoss(t *testing.T) {
	run(t, 2, func(r *rig) {
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
	run(t, 2, func(r *rig) {
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
	run(t, 2, func(r *rig) {
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

// etcd's own lock service, and with it etcdctl and clientv3, queues in the same
// way.
func TestInteroperates(t *testing.T) {
	run(t, 1, func(r *rig) {
		t := r.t
		a := r.locked(r.alone(0))
		rpc := lock.New(r.alone(0))
		leases := lease.New(r.alone(0))
		defer func() { _ = leases.Close() }()
		g, err := leases.Grant(t.Context(), 600)
		if err != nil {
			t.Fatalf("Grant: %v", err)
		}
		var held *v3lockpb.LockResponse
		result := make(chan error, 1)
		go func() {
			var err error
			held, err = rpc.Lock(t.Context(), "job", g.ID)
			result <- err
		}()
		synctest.Wait()
		b := r.mutex(r.alone(0))
		wantIs(t, "TryLock", b.TryLock(t.Context()), lock.ErrLocked)
		select {
		case err := <-result:
			t.Fatalf("the lock service gave away a lock that is held: %v", err)
		default:
		}
		r.unlock(a)
		if err := <-result; err != nil {
			t.Fatalf("Lock RPC: %v", err)
		}
		wantIs(t, "TryLock", b.TryLock(t.Context()), lock.ErrLocked)
		if _, err := rpc.Unlock(t.Context(), string(held.Key)); err != nil {
			t.Fatalf("Unlock RPC: %v", err)
		}
		if err := b.TryLock(t.Context()); err != nil {
			t.Errorf("TryLock after the lock service's Unlock: %v", err)
		}
		r.unlock(b)
	})
}

func TestSharedLeaseService(t *testing.T) {
	run(t, 1, func(r *rig) {
		t := r.t
		cc := r.alone(0)
		leases := lease.New(cc)
		a := r.locked(cc, lock.WithLease(leases))
		b, err := lock.NewMutex(cc, "other", lock.WithLease(leases))
		if err != nil {
			t.Fatalf("NewMutex: %v", err)
		}
		if err := b.Lock(t.Context()); err != nil {
			t.Fatalf("Lock: %v", err)
		}
		if got := r.cluster.Member(0).Calls(pb.Lease_LeaseKeepAlive_FullMethodName); got != 1 {
			t.Errorf("%d renewal streams, want 1", got)
		}
		_ = leases.Close()
		<-a.Done()
		wantIs(t, "Err", a.Err(), lease.ErrClosed)
		wantIs(t, "Unlock", b.Unlock(t.Context()), lock.ErrLost)
		wantIs(t, "Lock with a closed lease service", a.Lock(t.Context()), lease.ErrClosed)
		r.wantNothingLeft()
	})
}

func TestNewMutexMisuse(t *testing.T) {
	for _, tc := range []struct {
		name string
		ttl  time.Duration
		want string
	}{
		{"", lock.DefaultTTL, "name is empty"},
		{"job", 0, "from 1 s"},
		{"job", -time.Second, "from 1 s"},
		{"job", 1500 * time.Millisecond, "whole seconds"},
		{"job", (lease.MaxTTL + 1) * time.Second, "9000000000"},
	} {
		_, err := lock.NewMutex(nil, tc.name, lock.WithTTL(tc.ttl))
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("NewMutex(%q, TTL %v): got error %v, want one that says %q", tc.name, tc.ttl, err, tc.want)
		}
	}
}
