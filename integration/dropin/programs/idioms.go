package main

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	"go.etcd.io/etcd/client/v3/mock/mockserver"
	"go.etcd.io/etcd/client/v3/namespace"
	"google.golang.org/grpc/grpclog"
	"google.golang.org/grpc/metadata"
)

func idiomPrograms() map[string]program {
	return map[string]program{
		"idioms/embedding":  embedded,
		"idioms/mocks":      mocks,
		"idioms/wrapped":    wrappedServices,
		"idioms/options":    optionLists,
		"idioms/operations": inspectedOperations,
		"idioms/compare":    comparisons,
		"idioms/ctxclient":  withoutConnection,
		"idioms/stubs":      generatedStubs,
		"idioms/metadata":   requestMetadata,
		"idioms/logger":     loggers,
		"idioms/messages":   messages,
		"idioms/mockserver": mockServers,
	}
}

// countingKV counts reads.
type countingKV struct {
	clientv3.KV
	gets atomic.Int64
}

func (c *countingKV) Get(ctx context.Context, key string, opts ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	c.gets.Add(1)
	return c.KV.Get(ctx, key, opts...)
}

// store is a program's own type on top of a client.
type store struct {
	*clientv3.Client
	prefix string
}

func (s *store) set(ctx context.Context, key, value string) (int64, error) {
	resp, err := s.Put(ctx, s.prefix+key, value)
	if err != nil {
		return 0, err
	}
	return resp.Header.GetRevision(), nil
}

func embedded(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	counting := &countingKV{KV: cli.KV}
	cli.KV = counting
	s := &store{cli, "garden/"}
	if _, err := s.set(ctx, "rose", "red"); err != nil {
		return err
	}
	inside := namespace.NewKV(counting, "garden/")
	get, err := inside.Get(ctx, "rose")
	if err != nil {
		return err
	}
	p.pairs(get)
	if _, err := s.Get(ctx, "garden/rose"); err != nil {
		return err
	}
	p.line("at least one read was counted: %v", counting.gets.Load() >= 1)
	return p.err
}

// memory is a KV with a single key, for tests.
type memory struct {
	clientv3.KV
	value string
}

func (m *memory) Get(_ context.Context, key string, _ ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	return &clientv3.GetResponse{
		Header: &pb.ResponseHeader{Revision: 7},
		Kvs:    []*mvccpb.KeyValue{{Key: []byte(key), Value: []byte(m.value), Version: 1}},
		Count:  1,
	}, nil
}

func (m *memory) Put(_ context.Context, _, val string, _ ...clientv3.OpOption) (*clientv3.PutResponse, error) {
	m.value = val
	return &clientv3.PutResponse{Header: &pb.ResponseHeader{Revision: 8}}, nil
}

// tape is a Watcher that plays back responses.
type tape struct{ responses []clientv3.WatchResponse }

func (t tape) Watch(context.Context, string, ...clientv3.OpOption) clientv3.WatchChan {
	out := make(chan clientv3.WatchResponse, len(t.responses))
	for _, r := range t.responses {
		out <- r
	}
	close(out)
	return out
}

func (tape) RequestProgress(context.Context) error { return nil }
func (tape) Close() error                          { return nil }

// immortal is a Lease service whose leases never end.
type immortal struct {
	renewed chan *clientv3.LeaseKeepAliveResponse
}

func (immortal) Grant(_ context.Context, ttl int64) (*clientv3.LeaseGrantResponse, error) {
	return &clientv3.LeaseGrantResponse{ResponseHeader: &pb.ResponseHeader{}, ID: 42, TTL: ttl}, nil
}

func (immortal) Revoke(context.Context, clientv3.LeaseID) (*clientv3.LeaseRevokeResponse, error) {
	return &clientv3.LeaseRevokeResponse{}, nil
}

func (immortal) TimeToLive(_ context.Context, id clientv3.LeaseID, _ ...clientv3.LeaseOption) (*clientv3.LeaseTimeToLiveResponse, error) {
	return &clientv3.LeaseTimeToLiveResponse{ID: id, TTL: 1000, GrantedTTL: 1000}, nil
}

func (immortal) Leases(context.Context) (*clientv3.LeaseLeasesResponse, error) {
	return &clientv3.LeaseLeasesResponse{Leases: []clientv3.LeaseStatus{{ID: 42}}}, nil
}

func (i immortal) KeepAlive(_ context.Context, id clientv3.LeaseID) (<-chan *clientv3.LeaseKeepAliveResponse, error) {
	i.renewed <- &clientv3.LeaseKeepAliveResponse{ResponseHeader: &pb.ResponseHeader{}, ID: id, TTL: 1000}
	return i.renewed, nil
}

func (immortal) KeepAliveOnce(_ context.Context, id clientv3.LeaseID) (*clientv3.LeaseKeepAliveResponse, error) {
	return &clientv3.LeaseKeepAliveResponse{ID: id, TTL: 1000}, nil
}

func (immortal) Close() error { return nil }

var (
	_ clientv3.KV      = (*memory)(nil)
	_ clientv3.Watcher = tape{}
	_ clientv3.Lease   = immortal{}
)

// mocks sets a program's own services in a client without a connection.
func mocks(ctx context.Context, _ *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	cli := clientv3.NewCtxClient(ctx)
	cli.KV = &memory{value: "green"}
	cli.Watcher = tape{[]clientv3.WatchResponse{{Events: []*clientv3.Event{{
		Type: clientv3.EventTypePut, Kv: &mvccpb.KeyValue{Key: []byte("color"), Value: []byte("red"), CreateRevision: 1, ModRevision: 1},
	}}}}}
	cli.Lease = immortal{make(chan *clientv3.LeaseKeepAliveResponse, 1)}
	get, err := cli.Get(ctx, "color")
	if err != nil {
		return err
	}
	p.pairs(get)
	if err := watched(p, cli.Watch(ctx, "color"), 1); err != nil {
		return err
	}
	grant, err := cli.Grant(ctx, 10)
	if err != nil {
		return err
	}
	renewals, err := cli.KeepAlive(ctx, grant.ID)
	if err != nil {
		return err
	}
	p.line("lease %d, for %d", grant.ID, (<-renewals).TTL)
	return p.err
}

// Wrappers of a client's services.
type (
	loudWatcher struct {
		clientv3.Watcher
		watches atomic.Int64
	}
	loudLease struct {
		clientv3.Lease
		grants, renewals atomic.Int64
	}
)

func (l *loudWatcher) Watch(ctx context.Context, key string, opts ...clientv3.OpOption) clientv3.WatchChan {
	l.watches.Add(1)
	return l.Watcher.Watch(ctx, key, opts...)
}

func (l *loudLease) Grant(ctx context.Context, ttl int64) (*clientv3.LeaseGrantResponse, error) {
	l.grants.Add(1)
	return l.Lease.Grant(ctx, ttl)
}

func (l *loudLease) KeepAlive(ctx context.Context, id clientv3.LeaseID) (<-chan *clientv3.LeaseKeepAliveResponse, error) {
	l.renewals.Add(1)
	return l.Lease.KeepAlive(ctx, id)
}

func wrappedServices(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	watcher, lease := &loudWatcher{Watcher: cli.Watcher}, &loudLease{Lease: cli.Lease}
	cli.KV, cli.Watcher, cli.Lease = &countingKV{KV: cli.KV}, watcher, lease
	s, end, err := sessions(cli, 2)
	if err != nil {
		return err
	}
	first, second := concurrency.NewMutex(s[0], "lock"), concurrency.NewMutex(s[1], "lock")
	if err := first.Lock(ctx); err != nil {
		return err
	}
	got := make(chan error)
	go func() { got <- second.Lock(ctx) }()
	for watcher.watches.Load() == 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
	if err := first.Unlock(ctx); err != nil {
		return err
	}
	p.line("the second has it: %v", <-got)
	p.line("leases were granted by it: %v", lease.grants.Load() >= 2)
	e := concurrency.NewElection(s[0], "chair")
	if err := e.Campaign(ctx, "ann"); err != nil {
		return err
	}
	leader, stop := context.WithCancel(ctx)
	p.line("leads: %s", (<-e.Observe(leader)).Kvs[0].Value)
	stop()
	inside := namespace.NewWatcher(cli.Watcher, "garden/")
	events := inside.Watch(ctx, "rose", clientv3.WithCreatedNotify())
	if err := begun(events); err != nil {
		return err
	}
	if _, err := cli.Put(ctx, "garden/rose", "red"); err != nil {
		return err
	}
	return errors.Join(watched(p, events, 1), end())
}

// optionLists uses the same options for several calls, some of which ignore them.
func optionLists(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	if err := fill(ctx, cli, 3); err != nil {
		return err
	}
	opts := []clientv3.OpOption{clientv3.WithPrefix(), clientv3.WithPrevKV()}
	get, err := cli.Get(ctx, "fruit/", opts...)
	if err != nil {
		return err
	}
	p.pairs(get)
	opts = append(opts, clientv3.WithRev(get.Header.Revision+1), clientv3.WithKeysOnly())
	events := cli.Watch(ctx, "fruit/", opts...)
	gone, err := cli.Delete(ctx, "fruit/", clientv3.WithPrefix(), clientv3.WithPrevKV(), clientv3.WithKeysOnly(), clientv3.WithLease(clientv3.NoLease))
	if err != nil {
		return err
	}
	p.line("%d were there", len(gone.PrevKvs))
	if err := watched(p, events, 3); err != nil {
		return err
	}
	get, err = cli.Get(ctx, "", clientv3.WithPrefix(), clientv3.WithLimit(-1), clientv3.WithProgressNotify(), clientv3.WithLease(7))
	if err != nil {
		return err
	}
	p.pairs(get)
	if err := fill(ctx, cli, 3); err != nil {
		return err
	}
	get, err = cli.Get(ctx, "fruit/", append(clientv3.WithLastRev(), clientv3.WithRange("fruit/02"))...)
	if err != nil {
		return err
	}
	p.pairs(get)
	custom := func(op *clientv3.Op) { op.WithRangeBytes([]byte("fruit/02")) }
	get, err = cli.Get(ctx, "fruit/00", custom, clientv3.WithMaxCreateRev(get.Header.Revision), clientv3.WithMinModRev(1))
	if err != nil {
		return err
	}
	p.pairs(get)
	return p.err
}

func inspectedOperations(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	for _, op := range []clientv3.Op{
		clientv3.OpGet("k", clientv3.WithPrefix(), clientv3.WithLimit(3), clientv3.WithSerializable(), clientv3.WithRev(9)),
		clientv3.OpGet("k", clientv3.WithFromKey(), clientv3.WithCountOnly(), clientv3.WithKeysOnly(), clientv3.WithMinModRev(1), clientv3.WithMaxModRev(2), clientv3.WithMinCreateRev(3), clientv3.WithMaxCreateRev(4)),
		clientv3.OpGet("", clientv3.WithPrefix()),
		clientv3.OpPut("k", "v", clientv3.WithLease(5), clientv3.WithPrevKV()),
		clientv3.OpDelete("k", clientv3.WithRange("m")),
	} {
		p.line("%q to %q = %q: %v %v %v %v, %d %d, %v %v %v %v, %d %d %d %d",
			op.KeyBytes(), op.RangeBytes(), op.ValueBytes(), op.IsGet(), op.IsPut(), op.IsDelete(), op.IsTxn(), op.Rev(), op.Limit(),
			op.IsSerializable(), op.IsKeysOnly(), op.IsCountOnly(), op.IsPrevKV(), op.MinModRev(), op.MaxModRev(), op.MinCreateRev(), op.MaxCreateRev())
	}
	op := clientv3.OpPut("k", "v")
	op.WithKeyBytes([]byte("color"))
	op.WithValueBytes([]byte("green"))
	if _, err := cli.Do(ctx, op); err != nil {
		return err
	}
	cmps, then, otherwise := clientv3.OpTxn([]clientv3.Cmp{clientv3.Compare(clientv3.Value("color"), "=", "green")}, []clientv3.Op{clientv3.OpGet("color")}, nil).Txn()
	resp, err := cli.Txn(ctx).If(cmps...).Then(then...).Else(otherwise...).Commit()
	if err != nil {
		return err
	}
	p.line("%v %s", resp.Succeeded, resp.Responses[0].GetResponseRange().Kvs[0].Value)
	return p.err
}

func comparisons(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	put, err := cli.Put(ctx, "color", "green")
	if err != nil {
		return err
	}
	if err := fill(ctx, cli, 2); err != nil {
		return err
	}
	rev := put.Header.Revision
	changed := clientv3.Compare(clientv3.Value("none"), "=", "none")
	changed.WithKeyBytes([]byte("color"))
	changed.WithValueBytes([]byte("green"))
	p.line("%s = %s", changed.KeyBytes(), changed.ValueBytes())
	ranged := clientv3.Compare(clientv3.Version("col"), ">", 0)
	ranged.GetCompare().RangeEnd = []byte("com")
	for _, cmp := range []clientv3.Cmp{
		clientv3.Compare(clientv3.Value("color"), "=", "green"),
		clientv3.Compare(clientv3.Value("color"), "!=", "green"),
		clientv3.Compare(clientv3.Value("color"), ">", "blue"),
		clientv3.Compare(clientv3.Value("color"), "<", "blue"),
		clientv3.Compare(clientv3.Value("none"), "=", ""),
		clientv3.Compare(clientv3.ModRevision("color"), "=", rev),
		clientv3.Compare(clientv3.CreateRevision("none"), "=", 0),
		clientv3.Compare(clientv3.Version("color"), "=", 1),
		clientv3.Compare(clientv3.LeaseValue("color"), "=", clientv3.NoLease),
		clientv3.Compare(clientv3.Version("fruit/").WithPrefix(), ">", 0),
		clientv3.Compare(clientv3.Version("a").WithRange("b"), ">", 0),
		changed,
		ranged,
	} {
		resp, err := cli.Txn(ctx).If(cmp).Commit()
		if err != nil {
			return err
		}
		p.line("%v", resp.Succeeded)
	}
	return p.err
}

// withoutConnection uses the services of one client in another.
func withoutConnection(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	bare := clientv3.NewCtxClient(ctx, clientv3.WithZapLogger(nil))
	p.line("a logger: %v", bare.GetLogger() != nil)
	bare.KV = clientv3.NewKV(cli)
	bare.Lease = clientv3.NewLease(cli)
	bare.Watcher = clientv3.NewWatcher(cli)
	bare.Cluster = clientv3.NewCluster(cli)
	events := bare.Watch(ctx, "color", clientv3.WithCreatedNotify())
	if err := begun(events); err != nil {
		return err
	}
	if _, err := bare.Put(ctx, "color", "green"); err != nil {
		return err
	}
	if err := watched(p, events, 1); err != nil {
		return err
	}
	members, err := bare.MemberList(ctx)
	if err != nil {
		return err
	}
	p.line("%d members, %d endpoints, a connection: %v", len(members.Members), len(bare.Endpoints()), bare.ActiveConnection() != nil)
	p.line("closed: %v", bare.Close())
	_, err = cli.Get(ctx, "color")
	p.line("the other goes on: %v", err)
	return p.err
}

func generatedStubs(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	conn := cli.ActiveConnection()
	kvc := clientv3.NewKVFromKVClient(pb.NewKVClient(conn), cli)
	if _, err := kvc.Put(ctx, "color", "green"); err != nil {
		return err
	}
	get, err := kvc.Get(ctx, "color")
	if err != nil {
		return err
	}
	p.pairs(get)
	watcher := clientv3.NewWatchFromWatchClient(pb.NewWatchClient(conn), cli)
	if err := watched(p, watcher.Watch(ctx, "color", clientv3.WithRev(get.Header.Revision)), 1); err != nil {
		return err
	}
	leases := clientv3.NewLeaseFromLeaseClient(pb.NewLeaseClient(conn), cli, time.Second)
	grant, err := leases.Grant(ctx, 60)
	if err != nil {
		return err
	}
	renewals, err := leases.KeepAlive(ctx, grant.ID)
	if err != nil {
		return err
	}
	p.line("for %d", (<-renewals).TTL)
	members, err := clientv3.NewClusterFromClusterClient(pb.NewClusterClient(conn), cli).MemberList(ctx)
	if err != nil {
		return err
	}
	p.line("%d members", len(members.Members))
	status, err := clientv3.NewMaintenanceFromMaintenanceClient(clientv3.RetryMaintenanceClient(cli, conn), cli).Status(ctx, "")
	if err != nil {
		return err
	}
	p.line("it leads: %v", status.Leader == status.Header.MemberId)
	_, err = clientv3.NewAuthFromAuthClient(clientv3.RetryAuthClient(cli), cli).UserList(ctx)
	if err != nil {
		return err
	}
	_, err = clientv3.RetryLeaseClient(cli).LeaseRevoke(ctx, &pb.LeaseRevokeRequest{ID: int64(grant.ID)})
	if err != nil {
		return err
	}
	_, err = clientv3.RetryClusterClient(cli).MemberList(ctx, &pb.MemberListRequest{})
	return errors.Join(err, watcher.Close(), leases.Close(), p.err)
}

func requestMetadata(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	ctx = metadata.AppendToOutgoingContext(ctx, "trace", "1")
	md, _ := metadata.FromOutgoingContext(clientv3.WithRequireLeader(ctx))
	p.line("%v %v", md.Get("trace"), md.Get("hasleader"))
	before, _ := metadata.FromOutgoingContext(ctx)
	p.line("the context before: %v", before.Get("hasleader"))
	put, err := cli.Put(clientv3.WithRequireLeader(ctx), "color", "green")
	if err != nil {
		return err
	}
	events := cli.Watch(clientv3.WithRequireLeader(ctx), "color", clientv3.WithRev(put.Header.Revision))
	return watched(p, events, 1)
}

func loggers(_ context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	clientv3.SetLogger(grpclog.NewLoggerV2(io.Discard, io.Discard, io.Discard)) //nolint:staticcheck // as programs do
	lg := cli.GetLogger()
	p.line("a logger: %v", lg != nil)
	p.line("the same client: %v", cli.WithLogger(lg) == cli) //nolint:staticcheck // as programs do
	lg.Info("something happens")
	p.line("level: %v", clientv3.ClientLogLevel() != 99)
	return p.err
}

// messages converts clientv3's responses to those of the protocol.
func messages(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	put, err := cli.Put(ctx, "color", "green")
	if err != nil {
		return err
	}
	p.line("%v", (*pb.PutResponse)(put).GetHeader().GetRevision() == put.Header.Revision)
	get, err := cli.Get(ctx, "color")
	if err != nil {
		return err
	}
	p.line("%s", (*pb.RangeResponse)(get).GetKvs()[0].GetValue())
	back := (*clientv3.GetResponse)(&pb.RangeResponse{Count: 3})
	p.line("%d of %d", len(back.Kvs), back.OpResponse().Get().Count)
	members, err := cli.MemberList(ctx)
	if err != nil {
		return err
	}
	var m *pb.Member = (*pb.Member)((*clientv3.Member)(members.Members[0])) //nolint:staticcheck // it is what is compiled
	p.line("its name is known: %v", m.GetName() != "")
	event := clientv3.Event{Type: clientv3.EventTypeDelete, Kv: &mvccpb.KeyValue{Key: []byte("k"), CreateRevision: 2, ModRevision: 3}}
	p.line("%v %v %v", event.Type, event.IsCreate(), event.IsModify())
	return p.err
}

// mockServers uses servers that answer everything, and stops them one after
// another.
func mockServers(ctx context.Context, _ *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	servers, err := mockserver.StartMockServers(3)
	if err != nil {
		return err
	}
	defer servers.Stop()
	cli, err := clientv3.New(clientv3.Config{Endpoints: []string{
		servers.Servers[0].Address, servers.Servers[1].Address, servers.Servers[2].Address,
	}})
	if err != nil {
		return err
	}
	for i := range 2 {
		servers.StopAt(i)
		if _, err := cli.Get(ctx, "color"); err != nil {
			return err
		}
		p.line("a read, without %d", i+1)
	}
	if err := servers.StartAt(0); err != nil {
		return err
	}
	servers.StopAt(2)
	if _, err := cli.Get(ctx, "color"); err != nil {
		return err
	}
	p.line("a read, from one that is back")
	return errors.Join(cli.Close(), p.err)
}
