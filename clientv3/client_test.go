package clientv3_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.uber.org/goleak"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/balancer"
	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/clientv3/leasing"
	"github.com/getcd/getcd/clientv3/namespace"
	"github.com/getcd/getcd/clientv3/ordering"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/kv"
)

func TestMain(m *testing.M) {
	// Lookups of the names in these tests would go on after their clients are closed.
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("there is no DNS")
	}}
	goleak.VerifyTestMain(m)
}

// newClient returns a client of a fake cluster.
func newClient(t *testing.T, cfg clientv3.Config) (*clientv3.Client, *etcdtest.Cluster) {
	t.Helper()
	c := etcdtest.Start(t, 1)
	cfg.Endpoints = c.Addrs()
	cfg.DialOptions = append(cfg.DialOptions, grpc.WithContextDialer(c.Dialer()))
	cli, err := clientv3.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cli.Close(); err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	return cli, c
}

// Callers of clientv3 compare its errors with ==.
func TestErrorsAreBare(t *testing.T) {
	cli, _ := newClient(t, clientv3.Config{})
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	tests := []struct {
		name string
		err  func() error
		want error
	}{
		{"empty key", func() error { _, err := cli.Put(t.Context(), "", ""); return err }, rpctypes.ErrEmptyKey},
		{"future revision", func() error { _, err := cli.Get(t.Context(), "k", clientv3.WithRev(1<<40)); return err }, rpctypes.ErrFutureRev},
		{"compaction to come", func() error { _, err := cli.Compact(t.Context(), 1<<40); return err }, rpctypes.ErrFutureRev},
		{"ended put", func() error { _, err := cli.Put(ended, "k", "v"); return err }, context.Canceled},
		{"late get", func() error { _, err := cli.Get(late, "k"); return err }, context.DeadlineExceeded},
		{"ended transaction", func() error { _, err := cli.Txn(ended).Then(clientv3.OpPut("k", "v")).Commit(); return err }, context.Canceled},
		{"late delete", func() error { _, err := cli.Do(late, clientv3.OpDelete("k")); return err }, context.DeadlineExceeded},
		{"no lease", func() error { _, err := cli.Revoke(t.Context(), 4711); return err }, rpctypes.ErrLeaseNotFound},
		{"ended members", func() error { _, err := cli.MemberList(ended); return err }, context.Canceled},
		{"ended user", func() error { _, err := cli.UserList(ended); return err }, context.Canceled},
		{"ended alarms", func() error { _, err := cli.AlarmList(ended); return err }, context.Canceled},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.err(); err != tt.want { //nolint:errorlint // it is what is tested
				t.Errorf("%T %v, want %v and nothing else", err, err, tt.want)
			}
		})
	}
	if _, err := cli.Native().Put(ended, "k", "v"); err == nil || errors.Is(err, error(nil)) {
		t.Error("the native client says nothing")
	} else if _, ok := errors.AsType[*client.Error](err); !ok {
		t.Errorf("the native client's error is a %T, want *client.Error", err)
	}
}

func TestNewRefuses(t *testing.T) {
	if _, err := clientv3.New(clientv3.Config{}); err != clientv3.ErrNoAvailableEndpoints { //nolint:errorlint // as callers do
		t.Errorf("without endpoints: %v, want %v", err, clientv3.ErrNoAvailableEndpoints)
	}
	_, err := clientv3.New(clientv3.Config{Endpoints: []string{"127.0.0.1:1"}, Token: "t", Password: "p"})
	if err != clientv3.ErrMutuallyExclusiveCfg { //nolint:errorlint // as callers do
		t.Errorf("with a token and a password: %v, want %v", err, clientv3.ErrMutuallyExclusiveCfg)
	}
}

// New adapts configurations that clientv3 accepts but package client refuses.
func TestNewAdapts(t *testing.T) {
	for _, cfg := range []clientv3.Config{
		{DialKeepAliveTime: time.Second, DialKeepAliveTimeout: time.Second},
		{DialKeepAliveTime: -1, PermitWithoutStream: true},
		{Username: "u"},
		{Password: "p"},
		{MaxCallRecvMsgSize: 1 << 20},
		{MaxUnaryRetries: 3, BackoffWaitBetween: time.Second, BackoffJitterFraction: .5},
	} {
		cli, _ := newClient(t, cfg)
		if _, err := cli.Put(t.Context(), "k", "v"); err != nil {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}

// Calls on the connections that a client returns go to the same members as the
// client's own calls.
func TestConnections(t *testing.T) {
	cli, c := newClient(t, clientv3.Config{})
	if _, err := cli.Put(t.Context(), "k", "v"); err != nil {
		t.Fatal(err)
	}
	dialed, err := cli.Dial(c.Addrs()[0])
	if err != nil {
		t.Fatal(err)
	}
	for name, conn := range map[string]*grpc.ClientConn{"active": cli.ActiveConnection(), "dialed": dialed} {
		resp, err := pb.NewKVClient(conn).Range(t.Context(), &pb.RangeRequest{Key: []byte("k")})
		if err != nil || len(resp.GetKvs()) != 1 {
			t.Errorf("%s: %v, %v; want the key", name, resp, err)
		}
		stream, err := pb.NewWatchClient(conn).Watch(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.CloseSend(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := dialed.Close(); err != nil {
		t.Error(err)
	}
}

// A client without a connection uses the services that the program sets.
func TestCtxClient(t *testing.T) {
	cli := clientv3.NewCtxClient(t.Context())
	if _, err := clientv3.NewKV(cli).Get(t.Context(), "k"); err != clientv3.ErrNoAvailableEndpoints { //nolint:errorlint // as callers do
		t.Errorf("%v, want %v", err, clientv3.ErrNoAvailableEndpoints)
	}
	full, _ := newClient(t, clientv3.Config{})
	cli.KV = full.KV
	if _, err := cli.Put(t.Context(), "k", "v"); err != nil {
		t.Error(err)
	}
	if err := cli.Close(); !errors.Is(err, context.Canceled) {
		t.Errorf("Close: %v, want %v", err, context.Canceled)
	}
	if cli.Ctx().Err() == nil {
		t.Error("the context did not end")
	}
	if cli.ActiveConnection() != nil || cli.Native() != nil || len(cli.Endpoints()) != 0 {
		t.Error("it has a connection")
	}
}

// Each service also works on a generated stub.
func TestStubs(t *testing.T) {
	cli, _ := newClient(t, clientv3.Config{})
	ctx, conn := t.Context(), cli.ActiveConnection()

	store := clientv3.NewKVFromKVClient(pb.NewKVClient(conn), nil)
	if _, err := store.Put(ctx, "k", "v"); err != nil {
		t.Fatal(err)
	}
	stream, err := store.GetStream(ctx, "k")
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := clientv3.GetStreamToGetResponse(stream); err != nil || len(resp.Kvs) != 1 {
		t.Errorf("GetStream: %v, %v; want the key", resp, err)
	}
	if resp, err := store.Txn(ctx).Then(clientv3.OpDelete("k")).Commit(); err != nil || !resp.Succeeded {
		t.Errorf("Txn: %v, %v", resp, err)
	}

	leases := clientv3.NewLeaseFromLeaseClient(pb.NewLeaseClient(conn), nil, time.Minute)
	grant, err := leases.Grant(ctx, 10)
	if err != nil {
		t.Fatal(err)
	}
	answers, err := leases.KeepAlive(ctx, grant.ID)
	if err != nil {
		t.Fatal(err)
	}
	if a := <-answers; a == nil || a.ID != grant.ID {
		t.Errorf("KeepAlive: %v, want a renewal", a)
	}
	if err := leases.Close(); err != nil {
		t.Error(err)
	}
	if _, err := leases.KeepAlive(ctx, grant.ID); !errors.As(err, &clientv3.ErrKeepAliveHalted{}) {
		t.Errorf("KeepAlive after Close: %v, want an ErrKeepAliveHalted", err)
	}

	watcher := clientv3.NewWatchFromWatchClient(pb.NewWatchClient(conn), nil)
	events := watcher.Watch(ctx, "w", clientv3.WithCreatedNotify(), clientv3.WithWatchBufLog())
	if r := <-events; !r.Created {
		t.Errorf("the first response is %+v, want its creation", r)
	}
	if _, err := store.Put(ctx, "w", "v"); err != nil {
		t.Fatal(err)
	}
	if r := <-events; len(r.Events) != 1 || r.Events[0].Type != clientv3.EventTypePut {
		t.Errorf("the second response is %+v, want a PUT", r)
	}
	if err := watcher.Close(); err != nil {
		t.Error(err)
	}

	members, err := clientv3.NewClusterFromClusterClient(pb.NewClusterClient(conn), nil).MemberList(ctx)
	if err != nil || len(members.Members) != 1 {
		t.Errorf("MemberList: %v, %v; want one", members, err)
	}
	m := clientv3.NewMaintenanceFromMaintenanceClient(pb.NewMaintenanceClient(conn), nil)
	if _, err := m.Status(ctx, "any"); err != nil {
		t.Errorf("Status: %v", err)
	}
	_, err = clientv3.NewAuthFromAuthClient(pb.NewAuthClient(conn), nil).Authenticate(ctx, "u", "p")
	if err != rpctypes.ErrAuthNotEnabled { //nolint:errorlint // as callers do
		t.Errorf("Authenticate: %v, want %v", err, rpctypes.ErrAuthNotEnabled)
	}
}

// A KV of the façade unwraps to a KV of getcd, whose errors have more
// information.
func TestUnwrap(t *testing.T) {
	cli, _ := newClient(t, clientv3.Config{})
	var store kv.KV = cli.KV
	u, ok := store.(interface{ Unwrap() kv.KV })
	if !ok {
		t.Fatalf("%T has no Unwrap", store)
	}
	_, err := u.Unwrap().Put(t.Context(), "", "")
	if _, ok := errors.AsType[*kv.UsageError](err); !ok {
		t.Errorf("%T, want a *kv.UsageError", err)
	}
}

// The end of a watch is reported as in clientv3.
func TestWatchEnds(t *testing.T) {
	cli, _ := newClient(t, clientv3.Config{})
	first, err := cli.Put(t.Context(), "k", "1")
	if err != nil {
		t.Fatal(err)
	}
	last, err := cli.Put(t.Context(), "k", "2")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cli.Compact(t.Context(), last.Header.Revision); err != nil {
		t.Fatal(err)
	}
	n := 0
	for r := range cli.Watch(t.Context(), "k", clientv3.WithRev(first.Header.Revision)) {
		n++
		if r.Err() != rpctypes.ErrCompacted || r.CompactRevision != last.Header.Revision || !r.Canceled { //nolint:errorlint // as callers do
			t.Errorf("the response is %+v with %v, want %v", r, r.Err(), rpctypes.ErrCompacted)
		}
	}
	if n != 1 {
		t.Errorf("%d responses of a compacted watch, want 1", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	events := cli.Watch(ctx, "k", clientv3.WithCreatedNotify())
	<-events
	cancel()
	if r, ok := <-events; ok || r.Err() != nil {
		t.Errorf("after its context has ended: %+v with %v, want the channel closed", r, r.Err())
	}
	if r, ok := <-cli.Watch(ctx, "k"); ok {
		t.Errorf("begun after that: %+v, want the channel closed", r)
	}
}

// A transaction may be committed again, through wrappers, too.
func TestCommitAgain(t *testing.T) {
	cli, _ := newClient(t, clientv3.Config{})
	leased, done, err := leasing.NewKV(cli, "leases/")
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	for name, store := range map[string]clientv3.KV{
		"client":    cli.KV,
		"namespace": namespace.NewKV(cli.KV, "inside/"),
		"ordering":  ordering.NewKV(cli.KV, func(clientv3.Op, clientv3.OpResponse, int64) error { return nil }),
		"leasing":   leased,
		"stub":      clientv3.NewKVFromKVClient(pb.NewKVClient(cli.ActiveConnection()), nil),
	} {
		first := clientv3.Compare(clientv3.Version(name), "=", 0)
		txn := store.Txn(t.Context()).If(first).Then(clientv3.OpPut(name, "v")).Else(clientv3.OpPut(name, "w"), clientv3.OpGet(name))
		for i := range 3 {
			resp, err := txn.Commit()
			if err != nil {
				t.Fatalf("%s: commit %d: %v", name, i+1, err)
			}
			if resp.Succeeded != (i == 0) {
				t.Errorf("%s: commit %d: succeeded is %v", name, i+1, resp.Succeeded)
			}
		}
		get, err := store.Get(t.Context(), name)
		if err != nil || len(get.Kvs) != 1 || get.Kvs[0].Version != 3 || string(get.Kvs[0].Value) != "w" {
			t.Errorf("%s: got %v, %v; want three versions", name, get, err)
		}
	}
}

// Endpoints that cannot be used are logged, and the others are used.
func TestUnusableEndpoints(t *testing.T) {
	c := etcdtest.Start(t, 2)
	var logged bytes.Buffer
	warnings := slog.HandlerOptions{Level: slog.LevelWarn}
	cli, err := clientv3.New(clientv3.Config{
		Endpoints:   []string{"nonsense://x", "http://%zz", "a b", " " + c.Addrs()[0] + "\n", ""},
		DialOptions: []grpc.DialOption{grpc.WithContextDialer(c.Dialer())},
		Logger:      slog.New(slog.NewTextHandler(&logged, &warnings)),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer cli.Close()
	if _, err := cli.Put(t.Context(), "k", "v"); err != nil {
		t.Error(err)
	}
	if got := cli.Endpoints(); len(got) != 5 {
		t.Errorf("the endpoints are %q, want what was configured", got)
	}
	cli.SetEndpoints("other://y", "\t"+c.Addrs()[1])
	if _, err := cli.Put(t.Context(), "k", "v"); err != nil {
		t.Error(err)
	}
	if got := cli.Endpoints(); len(got) != 2 {
		t.Errorf("the endpoints are %q, want what was set", got)
	}
	_ = cli.Close() // so that nothing else is logged
	for _, bad := range []string{"nonsense", "%zz", "a b", "other"} {
		if !strings.Contains(logged.String(), bad) {
			t.Errorf("the log says %s, want that %q cannot be used", &logged, bad)
		}
	}
	_, err = clientv3.New(clientv3.Config{Endpoints: []string{"nonsense://x", "a b"}})
	if err == nil || !strings.Contains(err.Error(), "nonsense") || !strings.Contains(err.Error(), "a b") {
		t.Errorf("got %v, want an error that names both endpoints", err)
	}
}

// Endpoints can be replaced by the program, and by the members' own URLs.
func TestSetEndpoints(t *testing.T) {
	c := etcdtest.Start(t, 3)
	cli, err := clientv3.New(clientv3.Config{
		Endpoints:   c.Addrs()[:1],
		DialOptions: []grpc.DialOption{grpc.WithContextDialer(c.Dialer())},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer cli.Close()
	if _, err := cli.Put(t.Context(), "k", "v"); err != nil {
		t.Fatal(err)
	}
	cli.SetEndpoints(c.Addrs()[1])
	if got := cli.Endpoints(); !slices.Equal(got, c.Addrs()[1:2]) {
		t.Errorf("the endpoints are %q, want %q", got, c.Addrs()[1:2])
	}
	if err := cli.Native().WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(time.Minute)
	others := func(s balancer.Status) bool { return !strings.HasPrefix(s.Address, c.Addrs()[1]) } // a second connection
	for slices.ContainsFunc(cli.Native().Endpoints(), others) {
		if time.Now().After(deadline) {
			t.Fatalf("the client uses %v, want %q alone", cli.Native().Endpoints(), c.Addrs()[1])
		}
		changed := cli.Native().EndpointsChanged()
		select {
		case <-changed:
		case <-time.After(10 * time.Millisecond):
		}
	}
	if _, err := cli.Get(t.Context(), "k"); err != nil {
		t.Error(err)
	}
	cli.SetEndpoints("nonsense://x")
	if got := cli.Endpoints(); !slices.Equal(got, c.Addrs()[1:2]) {
		t.Errorf("after endpoints that cannot be, they are %q, want %q", got, c.Addrs()[1:2])
	}
	if err := cli.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := cli.Endpoints(); len(got) != 3 {
		t.Errorf("after Sync the endpoints are %q, want those of all members", got)
	}
}
