package concurrency_test

import (
	"testing"
	"testing/synctest"

	"google.golang.org/grpc"

	"github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/clientv3/concurrency"
	"github.com/getcd/getcd/etcdtest"
)

// rig is a client of a fake cluster of one member, in a synctest bubble.
type rig struct {
	*clientv3.Client

	t      *testing.T
	member *etcdtest.Member
}

func run(t *testing.T, test func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := etcdtest.Start(t, 1)
		cli, err := clientv3.New(clientv3.Config{Endpoints: c.Addrs(), DialOptions: []grpc.DialOption{grpc.WithContextDialer(c.Dialer())}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cli.Close() })
		test(&rig{Client: cli, t: t, member: c.Member(0)})
	})
}

// session makes a session, until the test ends.
func (r *rig) session(opts ...concurrency.SessionOption) *concurrency.Session {
	r.t.Helper()
	s, err := concurrency.NewSession(r.Client, opts...)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(s.Orphan)
	return s
}

// mutex makes a session and its mutex.
func (r *rig) mutex() *concurrency.Mutex { return concurrency.NewMutex(r.session(), "lock") }

func (r *rig) lock(m *concurrency.Mutex) {
	r.t.Helper()
	if err := m.Lock(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) unlock(m *concurrency.Mutex) {
	r.t.Helper()
	if err := m.Unlock(r.t.Context()); err != nil {
		r.t.Error(err)
	}
}

// wantKeys counts the mutexes' keys.
func (r *rig) wantKeys(want int64) {
	r.t.Helper()
	resp, err := r.Get(r.t.Context(), "lock/", clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err != nil || resp.Count != want {
		r.t.Errorf("there are %v keys, %v; want %d", resp, err, want)
	}
}
