package integration_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	original "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	"go.etcd.io/etcd/client/v3/mirror"
	etcdproxy "go.etcd.io/etcd/server/v3/proxy/grpcproxy"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/balancer"
	getcd "github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/compat"
	"github.com/getcd/getcd/integration/cluster"
)

// moved is a program's getcd client, and the original client that shares its
// connection.
type moved struct {
	ours   *getcd.Client
	theirs *original.Client
}

func move(tb testing.TB, c *cluster.Cluster) moved {
	tb.Helper()
	ours, err := getcd.New(getcd.Config{Endpoints: c.Endpoints()})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = ours.Close() })
	theirs, err := compat.Client(ours)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = theirs.Close() })
	if err := ours.Native().WaitReady(timeout(tb)); err != nil {
		tb.Fatal(err)
	}
	return moved{ours, theirs}
}

// inUse returns the member that the client's requests go to.
func (m moved) inUse(tb testing.TB, c *cluster.Cluster) *cluster.Member {
	tb.Helper()
	for _, s := range m.ours.Native().Endpoints() {
		for _, member := range c.Members() {
			if s.Role == balancer.Active && s.Address == member.Endpoint() {
				return member
			}
		}
	}
	tb.Fatalf("no member is active among %v", m.ours.Native().Endpoints())
	return nil
}

// stoppings make the member in use unavailable, and bring it back.
var stoppings = map[string]struct {
	begin func(*cluster.Member) error
	end   func(*cluster.Member, context.Context) error
}{
	"killed":  {(*cluster.Member).Kill, (*cluster.Member).Restart},
	"stopped": {(*cluster.Member).Pause, func(m *cluster.Member, _ context.Context) error { return m.Continue() }},
}

// etcd's own gRPC proxy takes a *clientv3.Client. With an original client on
// getcd, it continues to serve calls, watches and leases while the member that it
// uses is unavailable.
func TestCompatGRPCProxy(t *testing.T) {
	long(t)
	t.Parallel()
	c := startCluster(t, cluster.Config{})
	m := move(t, c)
	client := behind(t, m.theirs)
	for name, stopping := range stoppings {
		t.Run(name, func(t *testing.T) {
			ctx := timeout(t)
			if err := c.WaitHealthy(ctx); err != nil {
				t.Fatal(err)
			}
			events := client.Watch(ctx, name)
			lease, err := client.Grant(ctx, 5)
			if err != nil {
				t.Fatal(err)
			}
			kept, err := client.KeepAlive(ctx, lease.ID)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := client.Put(ctx, name, "before", original.WithLease(lease.ID)); err != nil {
				t.Fatal(err)
			}
			victim := m.inUse(t, c)
			if err := stopping.begin(victim); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			if _, err := client.Get(ctx, "other"); err != nil {
				t.Errorf("a Get: %v", err)
			}
			read := time.Since(began)
			eventually(t, "a Put", func() bool {
				_, err := client.Put(ctx, name, "after", original.WithIgnoreLease())
				return err == nil
			})
			wrote := time.Since(began)
			for seen := ""; seen != "after"; {
				resp, ok := <-events
				if !ok || resp.Err() != nil {
					t.Fatalf("the watch has ended: %v", resp.Err())
				}
				for _, e := range resp.Events {
					seen = string(e.Kv.Value)
				}
			}
			t.Logf("read after %v, wrote after %v, saw it after %v", read, wrote, time.Since(began))
			for time.Since(began) < 7*time.Second { // longer than the lease lives without renewals
				select {
				case _, ok := <-kept:
					if !ok {
						t.Fatal("the keep-alive has ended")
					}
				case <-ctx.Done():
					t.Fatal("no answer to a renewal")
				}
			}
			if resp, err := client.Get(ctx, name); err != nil || len(resp.Kvs) != 1 {
				t.Errorf("the lease's key after 7 s: %v, %v", resp, err)
			}
			if err := stopping.end(victim, ctx); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// behind returns a client of an etcd gRPC proxy that uses client.
func behind(t *testing.T, client *original.Client) *original.Client {
	t.Helper()
	lg := zap.NewNop()
	kv, _ := etcdproxy.NewKvProxy(client)
	watch, watched := etcdproxy.NewWatchProxy(client.Ctx(), lg, client)
	lease, leased := etcdproxy.NewLeaseProxy(client.Ctx(), client)
	members, _ := etcdproxy.NewClusterProxy(lg, client, "", "")
	s := grpc.NewServer()
	pb.RegisterKVServer(s, kv)
	pb.RegisterWatchServer(s, watch)
	pb.RegisterLeaseServer(s, lease)
	pb.RegisterClusterServer(s, members)
	pb.RegisterMaintenanceServer(s, etcdproxy.NewMaintenanceProxy(client))
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	user, err := original.New(original.Config{Endpoints: []string{l.Addr().String()}, Logger: lg})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = user.Close()
		_ = client.Close()
		s.Stop()
		if err := <-served; err != nil {
			t.Errorf("the proxy's server: %v", err)
		}
		<-watched
		<-leased
	})
	return user
}

// The original's recipes work on such a client: a lock that is held while the
// member in use is unavailable stays held, and the next lock is acquired.
func TestCompatConcurrency(t *testing.T) {
	long(t)
	c := startCluster(t, cluster.Config{})
	m := move(t, c)
	for name, stopping := range stoppings {
		t.Run(name, func(t *testing.T) {
			ctx := timeout(t)
			if err := c.WaitHealthy(ctx); err != nil {
				t.Fatal(err)
			}
			locks := make([]*concurrency.Mutex, 2)
			sessions := make([]*concurrency.Session, 2)
			for i := range locks {
				s, err := concurrency.NewSession(m.theirs, concurrency.WithTTL(5))
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				locks[i], sessions[i] = concurrency.NewMutex(s, name), s
			}
			if err := locks[0].Lock(ctx); err != nil {
				t.Fatal(err)
			}
			got := make(chan error, 1)
			go func() { got <- locks[1].Lock(ctx) }()
			eventually(t, "the second in the queue", func() bool {
				resp, err := m.ours.Get(ctx, name, getcd.WithPrefix())
				return err == nil && len(resp.Kvs) == 2
			})
			victim := m.inUse(t, c)
			if err := stopping.begin(victim); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			select {
			case <-sessions[0].Done():
				t.Errorf("the holder's session has ended after %v", time.Since(began))
			case err := <-got:
				t.Errorf("after %v the second is done, with the error %v, want it to wait", time.Since(began), err)
				got <- err
			case <-time.After(7 * time.Second): // longer than a lease lives without renewals
			}
			eventually(t, "Unlock", func() bool { return locks[0].Unlock(ctx) == nil })
			if err := <-got; err != nil {
				t.Errorf("the second lock: %v", err)
			}
			if err := locks[1].Unlock(ctx); err != nil {
				t.Error(err)
			}
			if err := stopping.end(victim, ctx); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// Values can be converted in both directions: what the original's mirror reads is
// written with its operations, converted to getcd's, in one transaction.
func TestCompatValues(t *testing.T) {
	c := startCluster(t, cluster.Config{Size: 1})
	m := move(t, c)
	ctx := timeout(t)
	for i := range 20 {
		if _, err := m.ours.Put(ctx, fmt.Sprintf("from/%02d", i), fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	parts, failed := mirror.NewSyncer(m.theirs, "from/", 0).SyncBase(ctx)
	var ops []getcd.Op
	for part := range parts {
		for _, kv := range part.Kvs {
			op, err := compat.FromOp(original.OpPut("to/"+string(kv.Key), string(kv.Value)))
			if err != nil {
				t.Fatal(err)
			}
			ops = append(ops, op)
		}
	}
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
	missing := compat.FromCmp(original.Compare(original.Version("to/from/00"), "=", 0))
	resp, err := m.ours.Txn(ctx).If(missing).Then(ops...).Commit()
	if err != nil || !resp.Succeeded {
		t.Fatalf("the transaction: %v, %v", resp, err)
	}
	get, err := compat.ToOp(getcd.OpGet("to/", getcd.WithPrefix(), getcd.WithCountOnly()))
	if err != nil {
		t.Fatal(err)
	}
	there := compat.ToCmp(getcd.Compare(getcd.Value("to/from/07"), "=", "7"))
	got, err := m.theirs.Txn(ctx).If(there).Then(get).Commit()
	if err != nil || !got.Succeeded || got.Responses[0].GetResponseRange().Count != 20 {
		t.Errorf("the original reads %v, %v", got, err)
	}
}

// Close ends the original's watches, and Status asks the endpoint that it names.
func TestCompatClient(t *testing.T) {
	c := startCluster(t, cluster.Config{})
	m := move(t, c)
	for _, member := range c.Members() {
		resp, err := m.theirs.Status(timeout(t), member.Endpoint())
		if err != nil || resp.Header.MemberId != member.ID() {
			t.Errorf("the status of %s is %v, %v; want member %x's", member.Endpoint(), resp, err, member.ID())
		}
		if hash, err := m.theirs.HashKV(timeout(t), member.Endpoint(), 0); err != nil || hash.Header.MemberId != member.ID() {
			t.Errorf("the hash of %s is %v, %v", member.Endpoint(), hash, err)
		}
	}
	watched := m.theirs.Watch(context.Background(), "k")
	if err := m.theirs.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	for range watched { // until it closes
	}
	if err := m.theirs.Close(); !errors.Is(err, context.Canceled) {
		t.Errorf("Close again: %v", err)
	}
	if _, err := m.ours.Put(timeout(t), "k", "v"); err != nil {
		t.Errorf("getcd's client afterwards: %v", err)
	}
}
