package lock_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.uber.org/goleak"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/lock"
	"github.com/getcd/getcd/resolver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a fake cluster in a synctest bubble.
type rig struct {
	t       *testing.T
	cluster *etcdtest.Cluster
	admin   *grpc.ClientConn // the last member, which the faults of tests leave alone

	shared bool // mutexes are those of a Pool for each connection
	pools  map[grpc.ClientConnInterface]*lock.Pool
	empty  bool // nothing may be left at the end
}

// forms runs a test with Mutexes that share nothing, and with those of Pools.
func forms(t *testing.T, members int, test func(r *rig)) {
	t.Helper()
	for name, shared := range map[string]bool{"alone": false, "shared": true} {
		t.Run(name, func(t *testing.T) {
			run(t, members, func(r *rig) {
				r.shared = shared
				defer r.closePools()
				test(r)
			})
		})
	}
}

// closePools closes the pools and checks that they have left nothing, if nothing else can be there.
func (r *rig) closePools() {
	r.t.Helper()
	for _, p := range r.pools {
		_ = p.Close(timeout(r.t, time.Second)) // some tests leave no member to revoke leases on
	}
	clear(r.pools)
	if r.empty && r.shared {
		time.Sleep(time.Minute)
		r.shared = false
		r.wantNothingLeft()
	}
}

// pool is the pool of a connection.
func (r *rig) pool(cc grpc.ClientConnInterface, opts ...lock.Option) *lock.Pool {
	r.t.Helper()
	if p := r.pools[cc]; p != nil && len(opts) == 0 {
		return p
	}
	p, err := lock.NewPool(cc, opts...)
	if err != nil {
		r.t.Fatalf("NewPool: %v", err)
	}
	if r.pools == nil {
		r.pools = make(map[grpc.ClientConnInterface]*lock.Pool)
	}
	r.pools[cc] = p
	return p
}

func run(t *testing.T, members int, test func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := etcdtest.Start(t, members)
		test(&rig{t: t, cluster: c, admin: c.Member(members - 1).Conn(t)})
	})
}

// client is a failover connection that prefers the members in their order.
func (r *rig) client() grpc.ClientConnInterface {
	r.t.Helper()
	c, err := client.New(client.Config{
		Endpoints:   r.cluster.Addrs(),
		Resolver:    resolver.Options{KeepOrder: true},
		DialOptions: []grpc.DialOption{grpc.WithContextDialer(r.cluster.Dialer())},
	})
	if err != nil {
		r.t.Fatalf("client.New: %v", err)
	}
	r.t.Cleanup(func() {
		if err := c.Close(); err != nil {
			r.t.Errorf("Close: %v", err)
		}
	})
	return c.Conn()
}

// alone is a connection to one member.
func (r *rig) alone(i int) grpc.ClientConnInterface {
	r.t.Helper()
	return r.cluster.Member(i).Conn(r.t)
}

func (r *rig) mutex(cc grpc.ClientConnInterface, opts ...lock.Option) *lock.Mutex {
	r.t.Helper()
	return r.named(cc, "job", opts...)
}

func (r *rig) named(cc grpc.ClientConnInterface, name string, opts ...lock.Option) *lock.Mutex {
	r.t.Helper()
	var m *lock.Mutex
	var err error
	if r.shared {
		m, err = r.pool(cc, opts...).Mutex(name)
	} else {
		m, err = lock.New(cc, name, opts...)
	}
	if err != nil {
		r.t.Fatalf("New: %v", err)
	}
	return m
}

func (r *rig) locked(cc grpc.ClientConnInterface, opts ...lock.Option) *lock.Mutex {
	r.t.Helper()
	m := r.mutex(cc, opts...)
	if err := m.Lock(r.t.Context()); err != nil {
		r.t.Fatalf("Lock: %v", err)
	}
	return m
}

// holder is what Held and Mutex have in common.
type holder interface {
	Key() string
	Done() <-chan struct{}
	Err() error
	Unlock(ctx context.Context) error
}

func (r *rig) unlock(h holder) {
	r.t.Helper()
	if err := h.Unlock(r.t.Context()); err != nil {
		r.t.Errorf("Unlock: %v", err)
	}
}

// cuts are the ways to cut a member off from its clients.
func cuts() map[string]func(*etcdtest.Member) {
	return map[string]func(*etcdtest.Member){
		"hang":      (*etcdtest.Member).Hang,
		"freeze":    (*etcdtest.Member).Freeze,
		"kill":      (*etcdtest.Member).Kill,
		"no leader": func(m *etcdtest.Member) { m.SetNoLeader(true) },
	}
}

// succession is what happens to a holder when it is cut off: it notices that it
// has lost the lock, another one gets it, and what the first one still does harms
// nobody.
func (r *rig) succession(a holder, cut func(), next func() holder) (lostAt, gotAt time.Time) {
	r.t.Helper()
	var b holder
	var wg sync.WaitGroup
	wg.Go(func() { <-a.Done(); lostAt = time.Now() })
	wg.Go(func() { b = next(); gotAt = time.Now() })
	cut()
	wg.Wait()
	wantIs(r.t, "Err", a.Err(), lock.ErrLost)
	wantIs(r.t, "Unlock", a.Unlock(timeout(r.t, 5*time.Second)), lock.ErrLost)
	if err := b.Err(); err != nil || !r.exists(b.Key()) {
		r.t.Errorf("the stale Unlock hurt the new holder: %v", err)
	}
	r.unlock(b)
	return lostAt, gotAt
}

// kvs reads the keys of the lock "job".
func (r *rig) kvs() []*mvccpb.KeyValue {
	r.t.Helper()
	resp, err := pb.NewKVClient(r.admin).Range(r.t.Context(), &pb.RangeRequest{Key: []byte("job/"), RangeEnd: []byte("job0")})
	if err != nil {
		r.t.Fatalf("Range: %v", err)
	}
	return resp.Kvs
}

// keys lists the keys of the lock "job".
func (r *rig) keys() []string {
	r.t.Helper()
	var keys []string
	for _, kv := range r.kvs() {
		keys = append(keys, string(kv.Key))
	}
	return keys
}

func (r *rig) wantKeys(want ...string) {
	r.t.Helper()
	if got := r.keys(); !slices.Equal(got, want) {
		r.t.Errorf("keys are %q, want %q", got, want)
	}
}

func (r *rig) exists(key string) bool {
	r.t.Helper()
	resp, err := pb.NewKVClient(r.admin).Range(r.t.Context(), &pb.RangeRequest{Key: []byte(key)})
	if err != nil {
		r.t.Fatalf("Range: %v", err)
	}
	return len(resp.Kvs) > 0
}

// leases counts the leases of the cluster.
func (r *rig) leases() int {
	r.t.Helper()
	resp, err := pb.NewLeaseClient(r.admin).LeaseLeases(r.t.Context(), &pb.LeaseLeasesRequest{})
	if err != nil {
		r.t.Fatalf("LeaseLeases: %v", err)
	}
	return len(resp.Leases)
}

func (r *rig) wantNothingLeft() {
	r.t.Helper()
	synctest.Wait()
	r.wantKeys()
	r.empty = true
	if r.shared { // leases stay until the pools are closed
		return
	}
	if n := r.leases(); n > 0 {
		r.t.Errorf("%d leases are left", n)
	}
}

func (r *rig) delete(key string) {
	r.t.Helper()
	if _, err := pb.NewKVClient(r.admin).DeleteRange(r.t.Context(), &pb.DeleteRangeRequest{Key: []byte(key)}); err != nil {
		r.t.Fatalf("DeleteRange: %v", err)
	}
}

func wantIs(t *testing.T, what string, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("%s: got error %v, want one that is %v", what, err, target)
	}
}

func isDone(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}

func timeout(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
