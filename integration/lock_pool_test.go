package integration_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

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

// inUse returns the bytes of heap and stacks in use, and the number of goroutines.
func inUse() (bytes int64, goroutines int) {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse), runtime.NumGoroutine()
}

// BenchmarkLock is an uncontended Lock and Unlock.
func BenchmarkLock(b *testing.B) {
	c := startCluster(b, cluster.Config{Size: 1})
	cl := dial(b, client.Config{Endpoints: c.Endpoints()})
	b.Run("pool", func(b *testing.B) {
		m, err := newPool(b, cl).Mutex("bench")
		if err != nil {
			b.Fatal(err)
		}
		lockUnlock(b, m.Lock, m.Unlock)
	})
	b.Run("alone", func(b *testing.B) {
		m, err := lock.New(cl.Conn(), "bench", lock.WithLeaseService(cl), lock.WithWatcher(cl))
		if err != nil {
			b.Fatal(err)
		}
		lockUnlock(b, m.Lock, m.Unlock)
	})
}

func lockUnlock(b *testing.B, lock, unlock func(context.Context) error) {
	b.Helper()
	for b.Loop() {
		if err := lock(b.Context()); err != nil {
			b.Fatal(err)
		}
		if err := unlock(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
