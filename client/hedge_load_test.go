package client_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
)

// A hedge is used for one call after the other, and so is the means to cancel a call:
// neither may touch the next one. By the real clock, for timers that are late.
func TestHedgesKeepToTheirCalls(t *testing.T) {
	cluster := etcdtest.Start(t, 3)
	c, err := client.New(client.Config{
		Endpoints:   cluster.Addrs(),
		DialOptions: []grpc.DialOption{grpc.WithContextDialer(cluster.Dialer())},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, m := range cluster.Members() {
		m.Intercept(func(_ context.Context, method string, _ any, next func() (any, error)) (any, error) {
			if method == pb.KV_Range_FullMethodName && rand.N(20) == 0 {
				time.Sleep(50*time.Millisecond + rand.N(200*time.Millisecond)) // about as long as hedges wait
			}
			return next()
		})
	}
	end := time.Now().Add(2 * time.Second)
	latest := end.Add(30 * time.Second) // a busy machine has fewer hedges
	var wg sync.WaitGroup
	for i := range 68 {
		wg.Go(func() {
			for time.Now().Before(end) || c.Counters().Hedges == 0 && time.Now().Before(latest) {
				var err error
				if i < 8 {
					_, err = c.Put(context.Background(), fmt.Sprint("k", i), "v") // without an end, as programs have it
				} else {
					_, err = c.Get(t.Context(), "k")
				}
				if err != nil {
					t.Errorf("caller %d: %v", i, err)
				}
			}
		})
	}
	wg.Wait()
	if n := c.Counters().Hedges; n == 0 {
		t.Error("no read was hedged: this test shows nothing")
	}
}
