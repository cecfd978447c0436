package client_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/resolver"
)

// A server, often a proxy, allows so many streams on a connection, and a stream that is being opened
// waits for one of them. When the member falls silent meanwhile, the stream is opened on another.
func TestStreamThatIsBeingOpenedLeavesASilentMember(t *testing.T) {
	const allowed = 8
	synctest.Test(t, func(t *testing.T) {
		cluster := etcdtest.Start(t, 2, grpc.MaxConcurrentStreams(allowed+1)) // the health watch is one, too
		c, err := client.New(client.Config{
			Endpoints:   cluster.Addrs(),
			Resolver:    resolver.Options{KeepOrder: true},
			DialOptions: []grpc.DialOption{grpc.WithContextDialer(cluster.Dialer())},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		r := &rig{t: t, cluster: cluster, Client: c, kv: pb.NewKVClient(c.Conn())}
		r.warm()
		cluster.Member(0).Freeze()
		defer cluster.Member(0).Thaw()
		for i := range allowed {
			go func() { _ = r.put(r.timeout(time.Minute), fmt.Sprint(i), "v") }()
		}
		synctest.Wait()
		opened := make(chan error, 2)
		go func() {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			_, err := pb.NewWatchClient(c.Conn()).Watch(ctx)
			opened <- err
		}()
		go func() {
			select {
			case w := <-c.Watch(r.timeout(time.Minute), "another"):
				opened <- fmt.Errorf("the watch ends: %w", w.Err())
			case <-time.After(10 * time.Second):
				opened <- nil
			}
		}()
		for range 2 {
			if err := <-opened; err != nil {
				t.Error(err)
			}
		}
		if n := cluster.Member(1).Calls(pb.Watch_Watch_FullMethodName); n != 2 {
			t.Errorf("%d watches at the other member, want 2", n)
		}
	})
}
