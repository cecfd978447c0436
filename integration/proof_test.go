package integration_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"

	"github.com/getcd/getcd/auth"
	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/integration/certs"
	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/kv"
)

// Users and roles change continuously. A user with a certificate and one with a
// simple token continue to read and write.
func TestUsersChangeMeanwhile(t *testing.T) {
	grpcOnly(t, "users by their certificates: etcd answers 400 to a certificate with a common name")
	ca, err := certs.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	server, err := ca.Server("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	app, err := ca.Client("app")
	if err != nil {
		t.Fatal(err)
	}
	c := startCluster(t, cluster.Config{
		Size: 1, Flags: []string{"--bcrypt-cost=4"}, ClientCertAuth: true,
		ClientTLS: &cluster.TLSFiles{Cert: server.CertFile, Key: server.KeyFile, CA: ca.File()},
	})
	cfg := client.Config{Endpoints: https(c, "127.0.0.1"), TLS: tlsConfig(t, ca, app)}
	admin := auth.New(dial(t, cfg).Conn())
	ctx := timeout(t)
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(admin.UserAdd(ctx, "root", "secret"))
	must(admin.RoleAdd(ctx, "root"))
	must(admin.UserGrantRole(ctx, "root", "root"))
	must(admin.UserAddWithOptions(ctx, "app", "", &auth.UserAddOptions{NoPassword: true}))
	must(admin.RoleAdd(ctx, "app"))
	must(admin.RoleGrantPermission(ctx, "app", "app/", kv.GetPrefixRangeEnd("app/"), auth.PermReadWrite))
	must(admin.UserGrantRole(ctx, "app", "app"))
	must(admin.AuthEnable(ctx))

	withToken := cfg
	withToken.Username, withToken.Password = "root", "secret"
	root := dial(t, withToken)
	admin = auth.New(root.Conn())
	byCertificate := dial(t, cfg)
	end := time.Now().Add(3 * time.Second)
	var calls, changes atomic.Int64
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; time.Now().Before(end); i++ {
			if _, err := admin.RoleAdd(ctx, fmt.Sprintf("role%d", i)); err != nil {
				t.Errorf("adding a role: %v", err)
			}
			changes.Add(1)
		}
	})
	for who, cl := range map[string]*client.Client{"certificate": byCertificate, "token": root} {
		for i := range 4 {
			wg.Go(func() {
				for time.Now().Before(end) {
					_, err := cl.Put(ctx, fmt.Sprintf("app/%d", i), who)
					if err == nil {
						_, err = cl.Get(ctx, "app/0")
					}
					if err != nil {
						t.Errorf("%s: %v", who, err)
						return
					}
					calls.Add(2)
				}
			})
		}
	}
	wg.Wait()
	counters := byCertificate.Counters()
	t.Logf("%d calls during %d changes; those by certificate were sent again %d times", calls.Load(), changes.Load(), counters.Attempts-counters.Calls)
	if counters.Attempts == counters.Calls {
		t.Error("nothing was sent again: the changes did not get in the way")
	}

	expired, err := ca.Issue(certs.Request{CommonName: "app", ClientOnly: true, NotAfter: time.Now().Add(-time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	refused(t, client.Config{Endpoints: https(c, "127.0.0.1"), TLS: tlsConfig(t, ca, expired)}, "the client's certificate CN=app has expired")
}

// A token expires while a Lock waits with it. The waiter's key stays and becomes
// the first. With a fixed token the outcome is unknown; otherwise the Lock
// continues with a new token.
func TestLockOutlivesItsToken(t *testing.T) {
	c := startCluster(t, cluster.Config{Size: 1, AuthTokenTTL: time.Second, Flags: []string{"--bcrypt-cost=4"}})
	withAuth(t, c)
	user := client.Config{Endpoints: c.Endpoints(), Username: "root", Password: "secret"}
	root := dial(t, user)
	for name, fixed := range map[string]bool{"fixed token": true, "user": false} {
		t.Run(name, func(t *testing.T) {
			ctx := timeout(t)
			cfg := user
			if fixed {
				r, err := pb.NewAuthClient(root.Conn()).Authenticate(ctx, &pb.AuthenticateRequest{Name: "root", Password: "secret"})
				if err != nil {
					t.Fatal(err)
				}
				cfg = client.Config{Endpoints: c.Endpoints(), Token: r.Token}
			}
			if _, err := root.Put(ctx, name+"/before", ""); err != nil {
				t.Fatal(err)
			}
			granted, err := root.Grant(ctx, 60)
			if err != nil {
				t.Fatal(err)
			}
			key := fmt.Sprintf("%s/%x", name, int64(granted.ID))
			waiter := v3lockpb.NewLockClient(dial(t, cfg).Conn())
			done := make(chan error, 1)
			go func() {
				_, err := waiter.Lock(ctx, &v3lockpb.LockRequest{Name: []byte(name), Lease: int64(granted.ID)})
				done <- err
			}()
			eventually(t, "it waits", func() bool {
				got, err := root.Get(ctx, key)
				return err == nil && len(got.Kvs) == 1
			})
			expire(t, c)
			if _, err := root.Delete(ctx, name+"/before"); err != nil {
				t.Fatal(err)
			}
			err = <-done
			if fixed && (!errors.Is(err, rpctypes.ErrInvalidAuthToken) || !client.IsAmbiguous(err)) || !fixed && err != nil {
				t.Errorf("got %v (ambiguous: %v), want doubt for a token that is fixed, success for a user", err, client.IsAmbiguous(err))
			}
			got, err := root.Get(ctx, key)
			if err != nil || len(got.Kvs) != 1 || got.Kvs[0].Version != 1 {
				t.Errorf("the waiter's key: got %v and error %v, want it as it was", got, err)
			}
		})
	}
}
