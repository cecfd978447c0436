package balancer_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/resolver"
)

// Servers and proxies limit the streams on a connection. When calls that wait long have them
// all, other calls go to another member, and nobody takes this one for silent: the locks that
// wait keep their places.
func TestLocksThatFillAConnection(t *testing.T) {
	const waiters = 5
	for name, talks := range map[string]bool{"other calls come": true, "nothing else comes": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cluster := etcdtest.Start(t, 3, grpc.MaxConcurrentStreams(4)) // one is the health watch's
				c, err := client.New(client.Config{
					Endpoints: cluster.Addrs(), DialOptions: cluster.DialOptions(), Resolver: resolver.Options{KeepOrder: true},
				})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = c.Close() })
				r := &rig{t: t, cluster: cluster, Client: c, kv: pb.NewKVClient(c.Conn())}
				r.warm()
				locks := v3lockpb.NewLockClient(c.Conn())
				lock := func() ([]byte, error) {
					lease, err := c.Grant(r.timeout(time.Minute), 3600)
					if err != nil {
						return nil, err
					}
					resp, err := locks.Lock(r.timeout(time.Hour), &v3lockpb.LockRequest{Name: []byte("lock"), Lease: int64(lease.ID)})
					return resp.GetKey(), err
				}
				unlock := func(key []byte) {
					if _, err := locks.Unlock(r.timeout(time.Minute), &v3lockpb.UnlockRequest{Key: key}); err != nil {
						t.Errorf("Unlock: %v", err)
					}
				}

				first, err := lock()
				if err != nil {
					t.Fatal(err)
				}
				errs := make(chan error, waiters)
				for range waiters {
					go func() {
						key, err := lock()
						if err == nil {
							unlock(key)
						}
						errs <- err
					}()
					time.Sleep(time.Second)
				}
				for i := range 30 {
					time.Sleep(time.Second)
					if !talks {
						continue
					}
					begun := time.Now()
					if err := r.put(r.timeout(time.Minute), "k", fmt.Sprint(i)); err != nil {
						t.Errorf("put %d: %v", i, err)
					}
					if got, err := r.get(r.timeout(time.Minute)); err != nil || got != fmt.Sprint(i) {
						t.Errorf("get %d: got %q, %v", i, got, err)
					}
					if d := time.Since(begun); d > 3*time.Second {
						t.Errorf("put and get %d took %v", i, d)
					}
				}
				if len(errs) > 0 {
					t.Fatalf("a lock that waits: %v", <-errs)
				}
				unlock(first)
				for range waiters {
					if err := <-errs; err != nil {
						t.Errorf("a lock that has waited: %v", err)
					}
				}
				if n := c.Counters().Severed; n != 0 {
					t.Errorf("%d connections were severed, want none", n)
				}
			})
		})
	}
}
