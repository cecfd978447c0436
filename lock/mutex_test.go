package lock_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lease"
	"github.com/getcd/getcd/lock"
)

func TestMutexOneClient(t *testing.T) {
	forms(t, 1, func(r *rig) {
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
		r.wantKeys(m.Key())
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
	forms(t, 3, func(r *rig) {
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
	forms(t, 1, func(r *rig) {
		t := r.t
		a, b := r.locked(r.alone(0)), r.mutex(r.alone(0))
		begin := time.Now()
		wantIs(t, "TryLock", b.TryLock(t.Context()), lock.ErrLocked)
		if got := time.Since(begin); got > 0 {
			t.Errorf("TryLock took %v, want no waiting", got)
		}
		r.wantKeys(a.Key())
		r.unlock(a)
		if err := b.TryLock(t.Context()); err != nil {
			t.Errorf("TryLock of a free lock: %v", err)
		}
		r.unlock(b)
		r.wantNothingLeft()
	})
}

func TestCancelledWaiterLeavesNothing(t *testing.T) {
	forms(t, 1, func(r *rig) {
		t := r.t
		a, b := r.locked(r.alone(0)), r.mutex(r.alone(0))
		begin := time.Now()
		err := b.Lock(timeout(t, time.Minute))
		wantIs(t, "Lock", err, context.DeadlineExceeded)
		if got := time.Since(begin); got != time.Minute {
			t.Errorf("Lock returned after %v, want when its context ended, 1m0s", got)
		}
		r.wantKeys(a.Key())
		r.unlock(a)
		r.wantNothingLeft()
	})
}

// The reason why the caller gave up is part of the error.
func TestCancelledWaiterTellsTheCause(t *testing.T) {
	forms(t, 1, func(r *rig) {
		t := r.t
		a := r.locked(r.alone(0))
		errTired := errors.New("tired of waiting")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(errTired) })
		err := r.mutex(r.alone(0)).Lock(ctx)
		wantIs(t, "Lock", err, context.Canceled)
		wantIs(t, "Lock", err, errTired)
		r.unlock(a)
	})
}

// With the cluster gone, Lock still returns soon after its context; what it
// leaves goes with its TTL.
func TestCancelledWaiterWithoutCluster(t *testing.T) {
	forms(t, 2, func(r *rig) {
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
		r.wantKeys(a.Key())
		r.unlock(a)
	})
}

// Whatever request is lost, a cancelled acquisition leaves nothing behind.
func TestCancelledAcquisitionLeavesNothing(t *testing.T) {
	for _, method := range []string{pb.Lease_LeaseGrant_FullMethodName, pb.KV_Txn_FullMethodName} {
		t.Run(method, func(t *testing.T) {
			forms(t, 1, func(r *rig) {
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
		shared    int32 // the same with a session's lease: nothing is sent twice in one session
	}{{"applied", true, false, 1, 1}, {"applied, and not read", true, true, 2, 1}, {"not applied", false, false, 2, 2}} {
		t.Run(tc.name, func(t *testing.T) {
			forms(t, 1, func(r *rig) {
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
				want := tc.puts
				if r.shared {
					want = tc.shared
				}
				if got := puts.Load(); got != want {
					t.Errorf("the put was sent %d times, want %d", got, want)
				}
				r.wantKeys(m.Key())
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
	forms(t, 1, func(r *rig) {
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

// etcd's own lock service, and with it etcdctl and clientv3, queues in the same
// way.
func TestInteroperates(t *testing.T) {
	forms(t, 1, func(r *rig) {
		t := r.t
		a := r.locked(r.alone(0))
		rpc := lock.NewService(r.alone(0))
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
	forms(t, 1, func(r *rig) {
		t := r.t
		cc := r.alone(0)
		leases := lease.New(cc)
		a := r.locked(cc, lock.WithLeaseService(leases))
		b, err := lock.New(cc, "other", lock.WithLeaseService(leases))
		if err != nil {
			t.Fatalf("New: %v", err)
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
		{"job", (lease.MaxTTL + 1) * time.Second, "etcdserver: too large lease TTL"},
	} {
		_, err := lock.New(nil, tc.name, lock.WithTTL(tc.ttl))
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("New(%q, TTL %v): got error %v, want one that says %q", tc.name, tc.ttl, err, tc.want)
		}
	}
}
