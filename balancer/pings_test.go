package balancer_test

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	v3lockpb "go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
)

// A server that allows a ping every five minutes, as gRPC's do unless they are told
// otherwise, has no reason to end a connection, be it idle or with calls that wait, and
// so no call is lost with it.
func TestServersThatForbidPings(t *testing.T) {
	for name, configure := range map[string]func(*client.Config){
		"default":            func(*client.Config) {},
		"without heartbeats": func(cfg *client.Config) { cfg.HeartbeatInterval = -1 },
		"pings without streams": func(cfg *client.Config) {
			cfg.HeartbeatInterval, cfg.PermitWithoutStream, cfg.DialKeepAliveTime = -1, true, 30*time.Second
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := etcdtest.Start(t, 3, grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{}))
				var dials atomic.Int32
				cfg := client.Config{
					Endpoints: c.Addrs(),
					DialOptions: []grpc.DialOption{grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
						dials.Add(1)
						return c.Dialer()(ctx, addr)
					})},
				}
				configure(&cfg)
				cl, err := client.New(cfg)
				if err != nil {
					t.Fatal(err)
				}
				defer cl.Close()
				locks := v3lockpb.NewLockClient(cl.Conn())
				lease, err := cl.Grant(t.Context(), 1<<20)
				if err != nil {
					t.Fatal(err)
				}
				held, err := locks.Lock(t.Context(), &v3lockpb.LockRequest{Name: []byte("l"), Lease: int64(lease.ID)})
				if err != nil {
					t.Fatal(err)
				}
				second, err := cl.Grant(t.Context(), 1<<20)
				if err != nil {
					t.Fatal(err)
				}
				waits := make(chan error, 1)
				go func() { // a write: it can't be sent again
					_, err := locks.Lock(t.Context(), &v3lockpb.LockRequest{Name: []byte("l"), Lease: int64(second.ID)})
					waits <- err
				}()
				synctest.Wait()
				before := dials.Load()
				time.Sleep(time.Hour)
				if n := dials.Load() - before; n != 0 {
					t.Errorf("%d connections were made anew in an hour, want none", n)
				}
				if _, err := locks.Unlock(t.Context(), &v3lockpb.UnlockRequest{Key: held.Key}); err != nil {
					t.Errorf("Unlock: %v", err)
				}
				if err := <-waits; err != nil {
					t.Errorf("the Lock that has waited for an hour: %v", err)
				}
			})
		})
	}
}

// Who wants no pings is asked nothing in their place.
func TestNoPings(t *testing.T) {
	run(t, 3, func(cfg *client.Config) { cfg.DialKeepAliveTime = -1 }, func(r *rig) {
		asked := func() (n int) {
			for _, m := range r.cluster.Members() {
				n += m.Calls(healthpb.Health_Check_FullMethodName)
			}
			return n
		}
		before := asked()
		time.Sleep(time.Hour)
		if n := asked() - before; n != 0 {
			r.t.Errorf("%d questions, want none", n)
		}
	})
}
