package client_test

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
)

const vip = "vip:2379"

// The only address, that of a service, leads to another cluster all at once: nothing of the
// client's reaches that one, also where a member tells its cluster to users alone.
func TestOneAddressThatLeadsToAnotherCluster(t *testing.T) {
	for name, c := range map[string]struct {
		configure func(*client.Config)
		auth      bool
	}{
		"plain":          {func(*client.Config) {}, false},
		"authentication": {asRoot, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours, theirs := etcdtest.Start(t, 1), etcdtest.Start(t, 1)
				theirs.SetClusterID(ours.ClusterID() + 1)
				if c.auth {
					ours.EnableAuth(users)
					theirs.EnableAuth(users)
				}
				var moved atomic.Bool
				cfg := client.Config{
					Endpoints: []string{vip},
					DialOptions: []grpc.DialOption{grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
						to := ours
						if moved.Load() {
							to = theirs
						}
						return to.Dialer()(ctx, to.Member(0).Addr())
					})},
				}
				c.configure(&cfg)
				cl, err := client.New(cfg)
				if err != nil {
					t.Fatal(err)
				}
				defer cl.Close()
				r := &rig{t: t, cluster: ours, Client: cl, kv: pb.NewKVClient(cl.Conn())}
				if err := r.put(r.timeout(time.Second), "k", "v"); err != nil {
					t.Fatal(err)
				}
				moved.Store(true)
				ours.Member(0).Kill()
				synctest.Wait()
				err = r.put(r.timeout(10*time.Second), "k", "w")
				var told *client.ClusterError
				if !errors.As(err, &told) || told.Got != theirs.ClusterID() || told.Want != ours.ClusterID() || client.IsAmbiguous(err) {
					t.Errorf("got %v (%+v, ambiguous: %v), want a *ClusterError, and certainty", err, told, client.IsAmbiguous(err))
				}
				for _, method := range []string{pb.KV_Put_FullMethodName, pb.Auth_Authenticate_FullMethodName} {
					if n := theirs.Member(0).Calls(method); n > 0 {
						t.Errorf("%s reached the other cluster %d times, want never", method, n)
					}
				}
				moved.Store(false)
				ours.Member(0).Start()
				if got, err := r.get(r.timeout(10 * time.Second)); err != nil || got != "v" {
					t.Errorf("after the return: got %q and error %v, want %q", got, err, "v")
				}
			})
		})
	}
}
