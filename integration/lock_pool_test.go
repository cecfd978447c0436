package integration_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	"go.uber.org/zap"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/lock"
)

// newPool is a pool on a client's connection and services.
func newPool(tb testing.TB, cl *client.Client, opts ...lock.Option) *lock.Pool {
	tb.Helper()
	p, err := lock.NewPool(cl.Conn(), append([]lock.Option{lock.WithLeaseService(cl), lock.WithWatcher(cl)}, opts...)...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := p.Close(context.Background()); err != nil {
			tb.Errorf("Close: %v", err)
		}
	})
	return p
}

// Ten thousand locks of one client are held with a constant number of goroutines, and so of streams,
// in 3 KiB each.
func TestTenThousandLocks(t *testing.T) {
	const locks = 10_000
	c := startCluster(t, cluster.Config{Size: 1})
	p := newPool(t, dial(t, client.Config{Endpoints: c.Endpoints()}))
	mutexes := make([]*lock.Mutex, locks)
	first, err := p.Mutex("first")
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Lock(t.Context()); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	memory, goroutines := inUse()
	begin := time.Now()
	var wg sync.WaitGroup
	for w := range 100 {
		wg.Go(func() {
			for i := w; i < locks; i += 100 {
				m, err := p.Mutex(fmt.Sprint("locks/", i))
				if err == nil {
					err = m.Lock(t.Context())
				}
				if err != nil {
					t.Errorf("lock %d: %v", i, err)
					return
				}
				mutexes[i] = m
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	t.Logf("locked in %v", time.Since(begin))
	time.Sleep(3 * time.Second) // all are watched
	after, more := inUse()
	// Until what is done on a busy machine later is over.
	for end := time.Now().Add(limit / 2); (after-memory > 3<<10*locks || more > goroutines+20) && time.Now().Before(end); {
		time.Sleep(time.Second)
		after, more = inUse()
	}
	t.Logf("%.2f KiB and %.3f goroutines for each lock", float64(after-memory)/locks/1024, float64(more-goroutines)/locks)
	if each := float64(after-memory) / locks / 1024; each > 3 {
		t.Errorf("%.1f KiB for each lock, want at most 3", each)
	}
	if more > goroutines+20 {
		t.Errorf("%d goroutines for %d locks, %d before; want a constant number", more, locks, goroutines)
	}
	for i, m := range mutexes {
		if err := m.Err(); err != nil {
			t.Fatalf("lock %d: %v", i, err)
		}
	}
}

// Behind etcd's gRPC proxy and over the JSON gateway the locks of a pool exclude each other, and a deleted
// key is noticed long before half a TTL.
func TestPoolThroughOthers(t *testing.T) {
	c, p := behindProxy(t)
	for name, cfg := range map[string]client.Config{
		"grpc-proxy":   {Endpoints: []string{p.Endpoint()}},
		"JSON gateway": {Endpoints: []string{"gateway+http://" + c.Endpoints()[0]}},
	} {
		t.Run(name, func(t *testing.T) {
			cl := dial(t, cfg)
			ctx := timeout(t)
			pool := newPool(t, cl, lock.WithTTL(time.Minute))
			var locks []*lock.Mutex
			for _, name := range []string{name, name, "beside " + name, "deleted " + name} {
				m, err := pool.Mutex(name)
				if err != nil {
					t.Fatal(err)
				}
				locks = append(locks, m)
			}
			first, rival, beside, deleted := locks[0], locks[1], locks[2], locks[3]
			for _, m := range []*lock.Mutex{first, beside, deleted} {
				if err := m.Lock(ctx); err != nil {
					t.Fatal(err)
				}
			}
			if err := rival.TryLock(ctx); !errors.Is(err, lock.ErrLocked) {
				t.Errorf("TryLock: got %v, want %v", err, lock.ErrLocked)
			}
			got := make(chan error, 1)
			go func() { got <- rival.Lock(ctx) }()
			time.Sleep(time.Second)
			if err := first.Unlock(ctx); err != nil {
				t.Error(err)
			}
			if err := <-got; err != nil {
				t.Error(err)
			}
			if _, err := cl.Delete(ctx, deleted.Key()); err != nil {
				t.Fatal(err)
			}
			begin := time.Now()
			select {
			case <-deleted.Done():
				t.Logf("noticed after %v", time.Since(begin))
			case <-time.After(15 * time.Second):
				t.Error("the deletion was not noticed in 15 s")
			}
			for _, m := range []*lock.Mutex{rival, beside} {
				if err := m.Unlock(ctx); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// inUse returns the bytes of heap and stacks in use, and the number of goroutines.
func inUse() (bytes int64, goroutines int) {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse), runtime.NumGoroutine()
}

// BenchmarkLock is an uncontended Lock and Unlock, beside clientv3's with a session.
func BenchmarkLock(b *testing.B) {
	c := startCluster(b, cluster.Config{Size: 1})
	for _, r := range mutexes(b, c) {
		b.Run(r.name, func(b *testing.B) {
			lock, unlock := r.make(b)
			for b.Loop() {
				if err := errors.Join(lock(b.Context()), unlock(b.Context())); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkContendedLock has 32 goroutines contend for one lock. "least" is how often the one that
// had it least often had it, as a part of the average.
func BenchmarkContendedLock(b *testing.B) {
	const contenders = 32
	c := startCluster(b, cluster.Config{Size: 1})
	for _, r := range mutexes(b, c) {
		b.Run(r.name, func(b *testing.B) {
			var left atomic.Int64
			counts := make([]int, contenders)
			var ready, wg sync.WaitGroup
			begin := make(chan struct{})
			for i := range contenders {
				lock, unlock := r.make(b)
				ready.Add(1)
				wg.Go(func() {
					err := errors.Join(lock(b.Context()), unlock(b.Context())) // its lease is not part of it
					ready.Done()
					<-begin
					for err == nil && left.Add(-1) >= 0 {
						err = errors.Join(lock(b.Context()), unlock(b.Context()))
						counts[i]++
					}
					if err != nil {
						b.Error(err)
					}
				})
			}
			ready.Wait()
			left.Store(int64(b.N))
			b.ResetTimer()
			close(begin)
			wg.Wait()
			b.ReportMetric(float64(slices.Min(counts))*contenders/float64(b.N), "least")
		})
	}
}

// mutexMaker makes mutexes that exclude each other.
type mutexMaker struct {
	name string
	make func(tb testing.TB) (lock, unlock func(context.Context) error)
}

func mutexes(b *testing.B, c *cluster.Cluster) []mutexMaker {
	b.Helper()
	cl := dial(b, client.Config{Endpoints: c.Endpoints()})
	v3, err := clientv3.New(clientv3.Config{Endpoints: c.Endpoints(), Logger: zap.NewNop()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = v3.Close() })
	pool := newPool(b, cl)
	return []mutexMaker{
		{"clientv3", func(tb testing.TB) (lock, unlock func(context.Context) error) {
			tb.Helper()
			s, err := concurrency.NewSession(v3)
			if err != nil {
				tb.Fatal(err)
			}
			tb.Cleanup(func() { _ = s.Close() })
			m := concurrency.NewMutex(s, "clientv3")
			return m.Lock, m.Unlock
		}},
		{"pool", func(tb testing.TB) (lock, unlock func(context.Context) error) {
			tb.Helper()
			m, err := pool.Mutex("pool")
			if err != nil {
				tb.Fatal(err)
			}
			return m.Lock, m.Unlock
		}},
		{"alone", func(tb testing.TB) (lock, unlock func(context.Context) error) {
			tb.Helper()
			m, err := newMutex(cl, "alone")
			if err != nil {
				tb.Fatal(err)
			}
			return m.Lock, m.Unlock
		}},
	}
}

func newMutex(cl *client.Client, name string) (*lock.Mutex, error) {
	return lock.New(cl.Conn(), name, lock.WithLeaseService(cl), lock.WithWatcher(cl))
}
