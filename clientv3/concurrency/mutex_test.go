package concurrency_test

import (
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
