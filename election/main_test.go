package election_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.uber.org/goleak"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/concurrency/session"
	"github.com/getcd/getcd/election"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/lease"
	"github.com/getcd/getcd/resolver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a fake cluster in a synctest bubble.
type rig struct {
	t       *testing.T
	cluster *etcdtest.Cluster
	admin   *grpc.ClientConn // the last member, which the faults of tests leave alone
}

func run(t *testing.T, members int, test func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := etcdtest.Start(t, members)
		test(&rig{t: t, cluster: c, admin: c.Member(members - 1).Conn(t)})
	})
}

// inBothModes runs a test with campaigns that have leases of their own, and with
// campaigns in a session, be it one that looks after its keys or not.
func inBothModes(t *testing.T, members int, test func(r *rig, options func() []election.Option)) {
	t.Helper()
	t.Run("own lease", func(t *testing.T) {
		run(t, members, func(r *rig) {
			test(r, func() []election.Option { return nil })
		})
	})
	t.Run("session", func(t *testing.T) {
		run(t, members, func(r *rig) {
			test(r, func() []election.Option { return []election.Option{election.WithSession(r.session())} })
		})
	})
	t.Run("session with a ledger", func(t *testing.T) {
		run(t, members, func(r *rig) {
			test(r, func() []election.Option { return []election.Option{election.WithSession(r.ledgered())} })
		})
	})
}

// ledgered is a session of package session, on the admin's connection, until the test
// ends.
func (r *rig) ledgered() *session.Session {
	r.t.Helper()
	leases := lease.New(r.admin)
	s, err := session.New(r.t.Context(), leases, session.WithTTL(30*time.Second))
	if err != nil {
		r.t.Fatalf("session.New: %v", err)
	}
	r.t.Cleanup(func() {
		s.Orphan()
		_ = leases.Close()
	})
	return s
}

// session is a lease that is kept on the admin's connection until the test ends.
func (r *rig) session() *lease.Keeper {
	r.t.Helper()
	leases := lease.New(r.admin)
	g, err := leases.Grant(r.t.Context(), 30)
	if err != nil {
		r.t.Fatalf("Grant: %v", err)
	}
	k, err := leases.Keep(r.t.Context(), g.ID)
	if err != nil {
		r.t.Fatalf("Keep: %v", err)
	}
	r.t.Cleanup(func() { _ = leases.Close() })
	return k
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
	r.t.Cleanup(func() { _ = c.Close() })
	return c.Conn()
}

// alone is a connection to one member.
func (r *rig) alone(i int) grpc.ClientConnInterface {
	r.t.Helper()
	return r.cluster.Member(i).Conn(r.t)
}

func (r *rig) election(cc grpc.ClientConnInterface, opts ...election.Option) *election.Election {
	r.t.Helper()
	e, err := election.New(cc, "job", opts...)
	if err != nil {
		r.t.Fatalf("New: %v", err)
	}
	return e
}

func (r *rig) leader(cc grpc.ClientConnInterface, val string, opts ...election.Option) *election.Election {
	r.t.Helper()
	e := r.election(cc, opts...)
	if err := e.Campaign(r.t.Context(), val); err != nil {
		r.t.Fatalf("Campaign: %v", err)
	}
	return e
}

func (r *rig) resign(e *election.Election) {
	r.t.Helper()
	if err := e.Resign(r.t.Context()); err != nil {
		r.t.Errorf("Resign: %v", err)
	}
}

// kvs lists the candidates of the election "job", in the order in which they
// came.
func (r *rig) kvs() []*mvccpb.KeyValue {
	r.t.Helper()
	resp, err := pb.NewKVClient(r.admin).Range(r.t.Context(), &pb.RangeRequest{
		Key: []byte("job/"), RangeEnd: []byte("job0"), SortTarget: pb.RangeRequest_CREATE, SortOrder: pb.RangeRequest_ASCEND,
	})
	if err != nil {
		r.t.Fatalf("Range: %v", err)
	}
	return resp.Kvs
}

// wantCandidates looks at the values of the candidates, once all is quiet.
func (r *rig) wantCandidates(want ...string) {
	r.t.Helper()
	synctest.Wait()
	var got []string
	for _, kv := range r.kvs() {
		got = append(got, string(kv.Value))
	}
	if len(got) != len(want) {
		r.t.Errorf("candidates are %q, want %q", got, want)
		return
	}
	for i := range got {
		if got[i] != want[i] {
			r.t.Errorf("candidates are %q, want %q", got, want)
			return
		}
	}
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

func (r *rig) delete(key string) {
	r.t.Helper()
	if _, err := pb.NewKVClient(r.admin).DeleteRange(r.t.Context(), &pb.DeleteRangeRequest{Key: []byte(key)}); err != nil {
		r.t.Fatalf("DeleteRange: %v", err)
	}
}

// campaign has e, as "b", campaign in the background.
func (r *rig) campaign(ctx context.Context, e *election.Election) <-chan error {
	result := make(chan error, 1)
	go func() { result <- e.Campaign(ctx, "b") }()
	return result
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
