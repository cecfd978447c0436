package once_test

import (
	"context"
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/middleware/once"
)

// An increment without a comparison. Its answer is lost, and it is counted once all the same.
func Example() {
	cluster := etcdtest.NewCluster(3)
	defer cluster.Close()
	c, err := client.New(client.Config{
		Endpoints:   cluster.Addrs(),
		DialOptions: cluster.DialOptions(),
		Middleware:  []client.Middleware{once.Of("once/")},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	ctx := context.Background()
	if _, err := c.Put(ctx, "jobs", "first"); err != nil {
		fmt.Println(err)
		return
	}

	lost := false
	for _, m := range cluster.Members() {
		m.Intercept(func(_ context.Context, method string, _ any, next func() (any, error)) (any, error) {
			resp, err := next()
			if method == pb.KV_Txn_FullMethodName && !lost {
				lost = true
				return nil, status.Error(codes.Unavailable, "the answer is lost")
			}
			return resp, err
		})
	}
	resp, err := c.Put(ctx, "jobs", "second", kv.WithPrevKV())
	if err != nil {
		fmt.Println(err)
		return
	}
	got, err := c.Get(ctx, "jobs")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("before: %s; written %d times\n", resp.PrevKv.Value, got.Kvs[0].Version)
	// Output: before: first; written 2 times
}
