package lock_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lease"
	"github.com/getcd/getcd/lock"
)

// sharing runs a test with Pools.
func sharing(t *testing.T, members int, test func(r *rig)) {
	t.Helper()
	run(t, members, func(r *rig) {
		r.shared = true
		defer r.closePools()
		test(r)
	})
}

// lockNamed locks another name than "job".
func (r *rig) lockNamed(cc grpc.ClientConnInterface, name string) *lock.Mutex {
	r.t.Helper()
	m := r.named(cc, name)
	if err := m.Lock(r.t.Context()); err != nil {
		r.t.Fatalf("Lock: %v", err)
	}
	return m
}

// A free lock takes one transaction to lock and one to unlock, and nothing else.
func TestOneRoundTripEach(t *testing.T) {
	sharing(t, 1, func(r *rig) {
		t := r.t
		cc := r.alone(0)
		m := r.locked(cc) // the first gets the lease
		r.unlock(m)
		var mu sync.Mutex
		var requests []string
		r.cluster.Member(0).Intercept(func(_ context.Context, method string, _ any, next func() (any, error)) (any, error) {
			mu.Lock()
			requests = append(requests, method)
			mu.Unlock()
			return next()
		})
		take := func() []string {
			mu.Lock()
			defer mu.Unlock()
			defer func() { requests = nil }()
			return requests
		}
		txn := []string{pb.KV_Txn_FullMethodName}
		for range 10 {
			if err := m.Lock(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := take(); !slices.Equal(got, txn) {
				t.Errorf("Lock has sent %q, want one transaction", got)
			}
			r.unlock(m)
			if got := take(); !slices.Equal(got, txn) {
				t.Errorf("Unlock has sent %q, want one transaction", got)
			}
			err := m.Run(t.Context(), func(context.Context) error { return nil })
			if got := take(); err != nil || len(got) != 2 {
				t.Errorf("Run has sent %q, %v, want two transactions", got, err)
			}
		}
		r.cluster.Member(0).Intercept(nil)
		if got := r.cluster.Member(0).Calls(pb.Watch_Watch_FullMethodName); got != 0 {
			t.Errorf("%d watch streams for locks that were held but a moment, want none", got)
		}
		if n := r.leases(); n != 1 {
			t.Errorf("%d leases, want 1", n)
		}
		r.wantNothingLeft()
	})
}

// One that waits puts its key, asks whether the key before it is a contender's, and, when that one
// goes, whether it is first. clientv3's Mutex sends a transaction and three reads.
func TestRequestsOfAWaiter(t *testing.T) {
	sharing(t, 1, func(r *rig) {
		t := r.t
		cc, member := r.alone(0), r.cluster.Member(0)
		b := r.mutex(cc)
		a := r.locked(cc)
		if err := b.TryLock(t.Context()); !errors.Is(err, lock.ErrLocked) { // b has its lease then
			t.Fatalf("TryLock: %v", err)
		}
		before, ranges := member.Calls(pb.KV_Txn_FullMethodName), member.Calls(pb.KV_Range_FullMethodName)
		result := make(chan error, 1)
		go func() { result <- b.Lock(t.Context()) }()
		time.Sleep(time.Second)
		r.unlock(a)
		if err := <-result; err != nil {
			t.Fatalf("Lock: %v", err)
		}
		r.unlock(b)
		if txns := member.Calls(pb.KV_Txn_FullMethodName) - before; txns != 5 { // two of them to unlock
			t.Errorf("%d transactions, want 5", txns)
		}
		if got := member.Calls(pb.KV_Range_FullMethodName) - ranges; got != 0 {
			t.Errorf("%d reads, want none", got)
		}
		r.wantNothingLeft()
	})
}

// goroutines counts them exactly, where runtime.NumGoroutine may include some
// that have ended.
func goroutines() int {
	stacks := make([]byte, 8<<20)
	return bytes.Count(stacks[:runtime.Stack(stacks, true)], []byte("\ngoroutine ")) + 1
}

// Locks that are held share one lease, one renewal stream and one watch stream, have no
// goroutine each, and all of them learn at once that their key was deleted.
func TestThousandLocks(t *testing.T) {
	sharing(t, 1, func(r *rig) {
		t := r.t
		const n = 1000
		cc, member := r.alone(0), r.cluster.Member(0)
		r.lockNamed(cc, "first")
		time.Sleep(time.Minute)
		before := goroutines()
		locks := make([]*lock.Mutex, n)
		for i := range locks {
			locks[i] = r.lockNamed(cc, fmt.Sprint("lock", i))
		}
		time.Sleep(time.Minute)
		if got := goroutines(); got > before+10 { // of gRPC's, say
			t.Errorf("%d goroutines more for %d locks, want none of them", got-before, n)
		}
		for method, what := range map[string]string{pb.Lease_LeaseKeepAlive_FullMethodName: "renewal", pb.Watch_Watch_FullMethodName: "watch"} {
			if got := member.Calls(method); got != 1 {
				t.Errorf("%d %s streams, want 1", got, what)
			}
		}
		if got := r.leases(); got != 1 {
			t.Errorf("%d leases, want 1", got)
		}
		txns := member.Calls(pb.KV_Txn_FullMethodName)
		time.Sleep(time.Minute)
		// Every 4 to 5 s, 100 at a time.
		if got := member.Calls(pb.KV_Txn_FullMethodName) - txns; got > 24*n/100 {
			t.Errorf("%d requests in a minute to look at the keys", got)
		}
		begin := time.Now()
		for i := range 100 {
			r.delete(locks[i].Key())
			<-locks[i].Done()
		}
		if got := time.Since(begin); got > 0 {
			t.Errorf("learned of deletions after %v, want at once", got)
		}
		for i, m := range locks {
			if err := m.Err(); i < 100 != errors.Is(err, lock.ErrLost) || i >= 100 && err != nil {
				t.Fatalf("lock %d: Err is %v", i, err)
			}
		}
		for _, m := range locks[500:] {
			r.unlock(m)
		}
		if err := r.pools[cc].Close(t.Context()); err != nil {
			t.Errorf("Close: %v", err)
		}
		if err := locks[100].Err(); !errors.Is(err, lock.ErrLost) || !errors.Is(err, lock.ErrClosed) || !errors.Is(err, net.ErrClosed) {
			t.Errorf("Err after Close: %v, want ErrLost and ErrClosed", err)
		}
		wantIs(t, "Unlock after Close", locks[100].Unlock(t.Context()), lock.ErrLost)
		wantIs(t, "Lock after Close", locks[100].Lock(t.Context()), lock.ErrClosed)
		if resp, err := kv.New(r.admin).Get(t.Context(), "", kv.WithPrefix(), kv.WithCountOnly()); err != nil || resp.Count != 0 {
			t.Errorf("%v, %v: keys are left", resp, err)
		}
		if got := r.leases(); got != 0 {
			t.Errorf("%d leases are left", got)
		}
	})
}

// A lock whose session is lost is lost, in time, with all others of it; and what is locked
// then has another session.
func TestSessionLost(t *testing.T) {
	for name, cut := range cuts() {
		t.Run(name, func(t *testing.T) {
			sharing(t, 2, func(r *rig) {
				t := r.t
				cc := r.alone(0)
				a, beside := r.locked(cc), r.lockNamed(cc, "beside")
				rival := r.mutex(r.alone(1))
				old := leaseOf(t, a.Key())
				var besideLost time.Time
				var wg sync.WaitGroup
				wg.Go(func() { <-beside.Done(); besideLost = time.Now() })
				lostAt, gotAt := r.succession(a,
					func() { time.Sleep(time.Minute); cut(r.cluster.Member(0)) },
					func() holder {
						if err := rival.Lock(t.Context()); err != nil {
							t.Errorf("Lock: %v", err)
						}
						return rival
					})
				wg.Wait()
				if !besideLost.Equal(lostAt) || !lostAt.Before(gotAt) {
					t.Errorf("lost at %v and %v, want it at once and before another one had it, at %v", lostAt, besideLost, gotAt)
				}
				wantIs(t, "Err", beside.Err(), lease.ErrExpired)
				if name == "kill" {
					return
				}
				r.cluster.Member(0).Resume()
				r.cluster.Member(0).Thaw()
				r.cluster.Member(0).SetNoLeader(false)
				if err := a.Lock(t.Context()); err != nil {
					t.Fatalf("Lock after the loss: %v", err)
				}
				if got := leaseOf(t, a.Key()); got == old {
					t.Error("it has the lease that was lost")
				}
				if err := beside.Lock(t.Context()); err != nil {
					t.Fatalf("Lock after the loss, without Unlock: %v", err)
				}
				r.unlock(a)
				r.unlock(beside)
				r.wantNothingLeft()
			})
		})
	}
}

// The lease is revoked behind the pool's back: whoever notices first, all start over.
func TestSessionRevoked(t *testing.T) {
	sharing(t, 1, func(r *rig) {
		t := r.t
		cc := r.alone(0)
		a, other := r.locked(cc), r.named(cc, "other")
		id := leaseOf(t, a.Key())
		if _, err := lease.New(r.admin).Revoke(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		if err := other.Lock(t.Context()); err != nil { // with the lease that is gone, and then with another
			t.Fatalf("Lock: %v", err)
		}
		wantIs(t, "Err", a.Err(), lock.ErrLost)
		if strings.HasSuffix(other.Key(), fmt.Sprintf("%x", int64(id))) {
			t.Error("it has the lease that is gone")
		}
		wantIs(t, "Unlock", a.Unlock(t.Context()), lock.ErrLost)
		r.unlock(other)
		r.wantNothingLeft()
	})
}

// Mutexes of one name and one pool exclude each other, in the order in which they came: each has
// another lease, which ends when it was not used for a while.
func TestOneNameInOnePool(t *testing.T) {
	sharing(t, 1, func(r *rig) {
		t := r.t
		const n = 8
		cc := r.alone(0)
		first := r.locked(cc)
		var order []int
		var mu sync.Mutex
		var wg sync.WaitGroup
		for i := range n {
			m := r.mutex(cc)
			wg.Go(func() {
				err := m.Run(t.Context(), func(context.Context) error {
					mu.Lock()
					order = append(order, i)
					mu.Unlock()
					time.Sleep(time.Second)
					return nil
				})
				if err != nil {
					t.Errorf("Run: %v", err)
				}
			})
			synctest.Wait()
		}
		keys := r.keys()
		slices.Sort(keys)
		if got := len(slices.Compact(keys)); got != n+1 {
			t.Errorf("%d keys, want %d", got, n+1)
		}
		if got := r.leases(); got != n+1 {
			t.Errorf("%d leases, want %d", got, n+1)
		}
		r.unlock(first)
		wg.Wait()
		if !slices.IsSorted(order) || len(order) != n {
			t.Errorf("the order was %v, want that of coming", order)
		}
		time.Sleep(time.Minute)
		if got := r.leases(); got != 1 {
			t.Errorf("%d leases after a minute, want that of the first", got)
		}
		r.wantNothingLeft()
	})
}

// Nothing is watched on a server that answers as no etcd does: then each key has a watch of its own.
func TestWatchThroughOthers(t *testing.T) {
	sharing(t, 1, func(r *rig) {
		t := r.t
		r.cluster.Member(0).Tap(pb.Watch_Watch_FullMethodName, etcdtest.Tap{Received: func(_ context.Context, request any) error {
			if create := request.(*pb.WatchRequest).GetCreateRequest(); create != nil {
				create.WatchId = 0 // the server chooses, as a proxy does
			}
			return nil
		}})
		m := r.locked(r.alone(0))
		time.Sleep(time.Minute)
		begin := time.Now()
		r.delete(m.Key())
		<-m.Done()
		if got := time.Since(begin); got > 0 {
			t.Errorf("Done %v after the deletion, want at once", got)
		}
		wantIs(t, "Unlock", m.Unlock(t.Context()), lock.ErrLost)
		r.wantNothingLeft()
	})
}

// The stream is lost, and the key deleted before there is another.
func TestDeletionBetweenStreams(t *testing.T) {
	sharing(t, 1, func(r *rig) {
		t := r.t
		member := r.cluster.Member(0)
		m, stays := r.locked(r.alone(0), lock.WithTTL(time.Minute)), r.lockNamed(r.alone(0), "stays")
		time.Sleep(10 * time.Second)
		refuse := true
		var mu sync.Mutex
		member.InterceptStream(func(ss grpc.ServerStream, method string, next func(grpc.ServerStream) error) error {
			mu.Lock()
			defer mu.Unlock()
			if method == pb.Watch_Watch_FullMethodName && refuse {
				return status.Error(codes.Unavailable, "busy")
			}
			mu.Unlock()
			defer mu.Lock()
			return next(ss)
		})
		member.Kill()
		member.Start()
		time.Sleep(3 * time.Second)
		r.delete(m.Key())
		time.Sleep(3 * time.Second)
		mu.Lock()
		refuse = false
		mu.Unlock()
		begin := time.Now()
		<-m.Done()
		if got := time.Since(begin); got > 2*time.Second {
			t.Errorf("Done %v after there was a stream again, want at most 2s", got)
		}
		if err := stays.Err(); err != nil {
			t.Errorf("Err: %v", err)
		}
		wantIs(t, "Unlock", m.Unlock(t.Context()), lock.ErrLost)
		r.unlock(stays)
		r.wantNothingLeft()
	})
}

// A second Close returns when the first has freed the locks, and not before.
func TestSecondCloseWaitsForTheFirst(t *testing.T) {
	run(t, 1, func(r *rig) {
		t := r.t
		p := r.pool(r.alone(0))
		m, err := p.Mutex("job")
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Lock(t.Context()); err != nil {
			t.Fatal(err)
		}
		revoke := make(chan struct{})
		r.cluster.Member(0).Intercept(func(_ context.Context, method string, _ any, next func() (any, error)) (any, error) {
			if method == pb.Lease_LeaseRevoke_FullMethodName {
				<-revoke
			}
			return next()
		})
		var closed atomic.Int32
		var all sync.WaitGroup
		for range 2 {
			all.Go(func() {
				if err := p.Close(t.Context()); err != nil {
					t.Errorf("Close: %v", err)
				}
				closed.Add(1)
			})
			synctest.Wait()
		}
		if n := closed.Load(); n != 0 {
			t.Errorf("%d of two calls of Close have returned before the lease was revoked", n)
		}
		close(revoke)
		all.Wait()
		r.wantNothingLeft()
	})
}

func TestNewPoolMisuse(t *testing.T) {
	if _, err := lock.NewPool(nil, lock.WithTTL(0)); err == nil || !strings.Contains(err.Error(), "from 1 s") {
		t.Errorf("NewPool: got error %v, want one that says what the TTL may be", err)
	}
	if _, err := lock.NewPool(nil, nil); err == nil {
		t.Error("NewPool with a nil option: got no error")
	}
	p, err := lock.NewPool(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Mutex(""); err == nil || !strings.Contains(err.Error(), "name is empty") {
		t.Errorf("Mutex: got error %v, want one that says that the name is empty", err)
	}
	for range 2 {
		if err := p.Close(t.Context()); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
}
