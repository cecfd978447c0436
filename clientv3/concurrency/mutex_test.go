package concurrency_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/clientv3/concurrency"
	"github.com/getcd/getcd/etcdtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A watch of a mutex sees that each holder puts its key once, with the session's
// lease, and deletes it.
func TestMutexWritesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := etcdtest.Start(t, 1)
		cli, err := clientv3.New(clientv3.Config{Endpoints: c.Addrs(), DialOptions: []grpc.DialOption{grpc.WithContextDialer(c.Dialer())}})
		if err != nil {
			t.Fatal(err)
		}
		defer cli.Close()
		events := cli.Watch(t.Context(), "m/", clientv3.WithPrefix())
		var want, got []string
		for range 2 {
			s, err := concurrency.NewSession(cli)
			if err != nil {
				t.Fatal(err)
			}
			m := concurrency.NewMutex(s, "m")
			if err := m.Lock(t.Context()); err != nil {
				t.Fatal(err)
			}
			want = append(want, fmt.Sprintf("PUT m/%x 1 %x", s.Lease(), s.Lease()), fmt.Sprintf("DELETE m/%x 0 0", s.Lease()))
			if err := m.Unlock(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		for len(got) < len(want) {
			for _, e := range (<-events).Events {
				got = append(got, fmt.Sprintf("%v %s %d %x", e.Type, e.Kv.Key, e.Kv.Version, e.Kv.Lease))
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// Goroutines of one session that lock one mutex all get it, as clientv3's do, when nobody else
// holds it any more.
func TestMutexOfManyGoroutines(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		other, s := r.mutex(), r.session()
		r.lock(other)
		m, l := concurrency.NewMutex(s, "lock"), concurrency.NewLocker(s, "lock")
		locked := make(chan error, 6)
		for range 3 {
			go func() { locked <- m.Lock(t.Context()) }()
			go func() {
				l.Lock()
				locked <- nil
			}()
		}
		synctest.Wait()
		if len(locked) > 0 {
			t.Fatal("the mutex was locked, though another session holds it")
		}
		if err := m.TryLock(t.Context()); !errors.Is(err, concurrency.ErrLocked) {
			t.Errorf("TryLock while others wait: got %v, want %v", err, concurrency.ErrLocked)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := m.Lock(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Lock with an ended context: got %v", err)
		}
		r.unlock(other)
		for range cap(locked) {
			if err := <-locked; err != nil {
				t.Error(err)
			}
		}
		r.unlock(m)
	})
}
