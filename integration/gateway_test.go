package integration_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/getcd/getcd/auth"
	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/integration/certs"
	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lock"
	"github.com/getcd/getcd/watch"
)

// overEnv, set to "gateway", makes the tests' clients use the members' JSON
// gateways.
const overEnv = "GETCD_OVER"

func overGateway() bool { return os.Getenv(overEnv) == "gateway" }

// connection returns cfg for the kind of connection that the tests use.
func connection(cfg client.Config) client.Config {
	if !overGateway() {
		return cfg
	}
	scheme := "gateway+http://"
	if cfg.TLS != nil {
		scheme = "gateway+https://"
	}
	endpoints := make([]string, len(cfg.Endpoints))
	for i, e := range cfg.Endpoints {
		if endpoints[i] = "gateway+" + e; !strings.Contains(e, "://") {
			endpoints[i] = scheme + e
		}
	}
	cfg.Endpoints = endpoints
	return cfg
}

// grpcOnly skips a test of something that the JSON gateway does not support.
func grpcOnly(tb testing.TB, what string) {
	tb.Helper()
	if overGateway() {
		tb.Skip("not over the JSON gateway: " + what)
	}
}

// The tests of the services pass over the JSON gateway as they do over gRPC.
func TestOverGateway(t *testing.T) {
	if overGateway() || testing.Short() {
		t.Skip("these are they, or time is short")
	}
	for _, test := range []string{
		"TestAuthLifecycle", "TestOneLoginForAll", "TestLockOutlivesItsToken", "TestUsersChangeMeanwhile",
		"TestMembership", "TestElectionsAreOne", "TestLocksBesideClientv3AndKeysOfOthers", "TestNamespaceOfTheServersLocksAndElections",
		"TestSnapshot", "TestMembersOneByOne", "TestMoveLeader", "TestAlarms", "TestDowngradeValidate",
		"TestWatchThroughKills", "TestWatchHistory", "TestWatchProgress", "TestWatchTooLarge",
		"TestServicesTogether", "TestVersionsOfCalls", "TestPartsOfEveryServer", "TestKillEachMember",
	} {
		t.Run(test, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+test+"$", "-test.v", "-test.short", "-test.timeout=5m")
			cmd.Env = append(os.Environ(), overEnv+"=gateway")
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), "--- PASS: "+test) && !strings.Contains(string(out), "--- SKIP: "+test) {
				t.Errorf("%v\n%s", err, out)
			}
			for line := range strings.Lines(string(out)) {
				if strings.Contains(line, "not over the JSON gateway") {
					t.Log(strings.TrimSpace(line))
				}
			}
		})
	}
}

// The gateway works over TLS with a client certificate, which is only used for
// the handshake. Over gRPC, a common name in it would be a user's name; here etcd
// answers 400 to it.
func TestGatewayOverTLS(t *testing.T) {
	ca, err := certs.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	server, err := ca.Server("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	anonymous, err := ca.Client("")
	if err != nil {
		t.Fatal(err)
	}
	named, err := ca.Client("root")
	if err != nil {
		t.Fatal(err)
	}
	c := startCluster(t, cluster.Config{
		Flags: []string{"--bcrypt-cost=4"}, ClientCertAuth: true,
		ClientTLS: &cluster.TLSFiles{Cert: server.CertFile, Key: server.KeyFile, CA: ca.File()},
	})
	var endpoints []string
	for _, e := range c.Endpoints() {
		endpoints = append(endpoints, "gateway+https://"+strings.TrimPrefix(e, "https://"))
	}
	cl := dialGateway(t, client.Config{Endpoints: endpoints, TLS: tlsConfig(t, ca, anonymous)})
	ctx := timeout(t)
	watches := make([]watch.WatchChan, 50)
	for i := range watches { // one connection carries all of them
		watches[i] = cl.Watch(ctx, "k", kv.WithCreatedNotify())
		if r := <-watches[i]; !r.Created {
			t.Fatalf("watch %d: got %+v", i, r)
		}
	}
	if _, err := cl.Put(ctx, "k", "v"); err != nil {
		t.Fatal(err)
	}
	for i, w := range watches {
		if r := <-w; len(r.Events) != 1 || string(r.Events[0].Kv.Value) != "v" {
			t.Errorf("watch %d: got %+v", i, r)
		}
	}
	a := auth.New(cl.Conn())
	for _, err := range []error{
		second(a.UserAdd(ctx, "root", "secret")), second(a.RoleAdd(ctx, "root")), second(a.UserGrantRole(ctx, "root", "root")), second(a.AuthEnable(ctx)),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	// Neither the client's certificate nor the gateway's own identifies a user.
	if _, err := cl.Get(ctx, "k"); !errors.Is(err, rpctypes.ErrUserEmpty) {
		t.Errorf("without a user: got %v, want %v", err, rpctypes.ErrUserEmpty)
	}
	root := dialGateway(t, client.Config{Endpoints: endpoints, TLS: tlsConfig(t, ca, anonymous), Username: "root", Password: "secret"})
	if _, err := root.Put(ctx, "k", "w"); err != nil {
		t.Error(err)
	}
	bad, err := client.New(client.Config{Endpoints: endpoints, TLS: tlsConfig(t, ca, named)})
	if err != nil {
		t.Fatal(err)
	}
	defer bad.Close()
	if _, err := bad.Get(ctx, "k"); err == nil || !strings.Contains(err.Error(), "CommonName of client sending a request against gateway will be ignored") {
		t.Errorf("with a named certificate: got %v, want etcd's 400", err)
	}
	none, err := client.New(client.Config{Endpoints: endpoints, TLS: tlsConfig(t, ca)})
	if err != nil {
		t.Fatal(err)
	}
	defer none.Close()
	short, end := context.WithTimeout(ctx, 10*time.Second)
	defer end()
	if _, err := none.Put(short, "k", "x"); err == nil || client.IsAmbiguous(err) && !strings.Contains(err.Error(), "certificate") {
		t.Errorf("without a certificate: got %v", err)
	}
}

func second[T any](_ T, err error) error { return err }

func dialGateway(t *testing.T, cfg client.Config) *client.Client {
	t.Helper()
	c, err := client.Dial(timeout(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// Leases are kept alive beyond their TTL, and the services' locks and
// transactions work as documented.
func TestServicesTogether(t *testing.T) {
	c := startCluster(t, cluster.Config{})
	cl := dial(t, client.Config{Endpoints: c.Endpoints()})
	ctx := timeout(t)
	granted, err := cl.Grant(ctx, 5)
	if err != nil {
		t.Fatal(err)
	}
	keeper, err := cl.Keep(ctx, granted.ID)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := cl.Txn(ctx).If(kv.Compare(kv.Version("t/a"), "=", 0)).Then(
		kv.OpPut("t/a", "\x00\xff", kv.WithLease(granted.ID)),
		kv.OpTxn(nil, []kv.Op{kv.OpGet("t/", kv.WithPrefix(), kv.WithCountOnly())}, nil),
	).Commit()
	if err != nil || !resp.Succeeded || resp.Responses[1].GetResponseTxn().Responses[0].GetResponseRange().Count != 1 {
		t.Fatalf("got %v, %v", resp, err)
	}
	first, err := lock.New(cl.Conn(), "m")
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Lock(ctx); err != nil {
		t.Fatal(err)
	}
	rival, err := lock.New(cl.Conn(), "m")
	if err != nil {
		t.Fatal(err)
	}
	if err := rival.TryLock(ctx); !errors.Is(err, lock.ErrLocked) {
		t.Errorf("TryLock: got %v, want %v", err, lock.ErrLocked)
	}
	select {
	case <-keeper.Done():
		t.Errorf("the lease has ended: %v", keeper.Err())
	case <-first.Done():
		t.Errorf("the lock has ended: %v", first.Err())
	case <-time.After(8 * time.Second): // longer than the lease lives without renewals
	}
	if got, err := cl.Get(ctx, "t/a"); err != nil || len(got.Kvs) != 1 || string(got.Kvs[0].Value) != "\x00\xff" {
		t.Errorf("got %v, %v, want the key of the lease", got, err)
	}
	if err := first.Unlock(ctx); err != nil {
		t.Error(err)
	}
	if err := rival.Lock(ctx); err != nil {
		t.Error(err)
	}
	if err := rival.Unlock(ctx); err != nil {
		t.Error(err)
	}
	if _, err := cl.Revoke(ctx, granted.ID); err != nil {
		t.Error(err)
	}
	if got, err := cl.Delete(ctx, "t/", kv.WithPrefix(), kv.WithPrevKV()); err != nil || got.Deleted != 0 {
		t.Errorf("got %v, %v, want no keys without their lease", got, err)
	}
	if _, err := cl.Put(ctx, "k", "v", kv.WithLease(granted.ID)); !errors.Is(err, rpctypes.ErrLeaseNotFound) {
		t.Errorf("got %v, want %v", err, rpctypes.ErrLeaseNotFound)
	}
}
