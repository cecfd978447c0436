package frontproxy_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/integration/frontproxy"
)

// HAProxy allows 100 streams on a connection by default, and nginx 128. Locks that wait may be
// more: none of them is given up, and other calls are answered.
func TestMoreLocksThanStreams(t *testing.T) {
	c := startCluster(t, false)
	for _, kind := range []frontproxy.Kind{frontproxy.HAProxyH2, frontproxy.NginxGRPC} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			p := behind(t, c, frontproxy.Config{Kind: kind, Requests: 1_000_000})
			cl, err := client.New(client.Config{Endpoints: []string{p.Address()}})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = cl.Close() })
			ctx, cancel := context.WithCancel(timeout(t))
			locks := v3lockpb.NewLockClient(cl.Conn())
			lock := func() error {
				lease, err := cl.Grant(ctx, 3600)
				if err != nil {
					return err
				}
				_, err = locks.Lock(ctx, &v3lockpb.LockRequest{Name: []byte(kind), Lease: int64(lease.ID)})
				return err
			}
			if err := lock(); err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			for range 150 {
				wg.Go(func() {
					if err := lock(); ctx.Err() == nil {
						t.Errorf("a lock that has to wait: %v", err)
					}
				})
			}
			// Longer than the patience with a write.
			for begun := time.Now(); time.Since(begun) < 5*time.Second; time.Sleep(100 * time.Millisecond) {
				if _, err := cl.Put(ctx, "k", "v"); err != nil {
					t.Errorf("put: %v", err)
				}
			}
			cancel()
			wg.Wait()
		})
	}
}
