package integration_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lock"
)

// contender locks "path" through one of the APIs. token is the create revision of
// its key.
type contender struct {
	name         string
	lock, unlock func(context.Context) error
	token        func(context.Context) (int64, error)
}

// A Mutex counts only contenders, but clientv3's Mutex counts every key below the
// name. If both are used, even next to keys that come and go, no two hold the
// lock at once, and the tokens grow.
func TestLocksBesideClientv3AndKeysOfOthers(t *testing.T) {
	c := startCluster(t, cluster.Config{})
	cl := dial(t, client.Config{Endpoints: c.Endpoints()})
	ctx := timeout(t)
	v3, err := clientv3.New(clientv3.Config{Endpoints: c.Endpoints(), DialOptions: checkedPlain(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer v3.Close()

	pool := newPool(t, cl)
	var contenders []contender
	for i := range 3 {
		m, err := lock.New(cl.Conn(), "path", lock.WithLeaseService(cl))
		if err != nil {
			t.Fatal(err)
		}
		contenders = append(contenders, contender{
			fmt.Sprintf("getcd %d", i), m.Lock, m.Unlock,
			func(context.Context) (int64, error) { return m.Token(), m.Err() },
		})
		shared, err := pool.Mutex("path")
		if err != nil {
			t.Fatal(err)
		}
		contenders = append(contenders, contender{
			fmt.Sprintf("getcd's pool %d", i), shared.Lock, shared.Unlock,
			func(context.Context) (int64, error) { return shared.Token(), shared.Err() },
		})
		s, err := concurrency.NewSession(v3)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		rival := concurrency.NewMutex(s, "path")
		contenders = append(contenders, contender{
			fmt.Sprintf("clientv3 %d", i), rival.Lock, rival.Unlock,
			func(ctx context.Context) (int64, error) {
				resp, err := v3.Get(ctx, rival.Key())
				if err != nil || len(resp.Kvs) == 0 {
					return 0, fmt.Errorf("its key is %v: %w", resp, err)
				}
				return resp.Kvs[0].CreateRevision, nil
			},
		})
	}

	// These keys have nothing to do with the lock, and block clientv3 as long as
	// they exist.
	others, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; others.Err() == nil; i++ {
			key := []string{"path/1", "path/sub", "path/beef", "path/1/2"}[i%4]
			_, _ = cl.Put(others, key, "v")
			_, _ = cl.Put(others, key, "w")
			time.Sleep(5 * time.Millisecond)
			if _, err := cl.Delete(ctx, key); err != nil {
				t.Errorf("Delete: %v", err)
			}
		}
	})

	var (
		locked sync.WaitGroup
		inside atomic.Int32
		last   atomic.Int64
	)
	for _, who := range contenders {
		locked.Go(func() {
			for range 20 {
				if err := who.lock(ctx); err != nil {
					t.Errorf("%s: Lock: %v", who.name, err)
					return
				}
				if n := inside.Add(1); n != 1 {
					t.Errorf("%s: %d hold the lock", who.name, n)
				}
				token, err := who.token(ctx)
				if err != nil {
					t.Errorf("%s: %v", who.name, err)
				}
				if before := last.Swap(token); before >= token {
					t.Errorf("%s has token %d after %d", who.name, token, before)
				}
				inside.Add(-1)
				if err := who.unlock(ctx); err != nil {
					t.Errorf("%s: Unlock: %v", who.name, err)
				}
			}
		})
	}
	locked.Wait()
	stop()
	wg.Wait()

	// Keys that stay do not block a Mutex.
	for _, key := range []string{"path/1", "path/sub", "path/1"} {
		if _, err := cl.Put(ctx, key, "v"); err != nil {
			t.Fatal(err)
		}
	}
	m, err := lock.New(cl.Conn(), "path")
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Lock(ctx); err != nil {
		t.Fatalf("Lock beside a key that stays: %v", err)
	}
	if resp, err := m.Txn(ctx).Then(kv.OpPut("guarded", "yes")).Commit(); err != nil || !resp.Succeeded {
		t.Errorf("Txn: %v, %v", resp, err)
	}
	// clientv3 waits, blocked by the keys that stay, behind everyone else.
	s, err := concurrency.NewSession(v3)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := concurrency.NewMutex(s, "path").TryLock(ctx); err == nil {
		t.Error("clientv3 got a lock that is held")
	}
	if err := m.Unlock(ctx); err != nil {
		t.Errorf("Unlock: %v", err)
	}
}
