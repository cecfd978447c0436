package client_test

import (
	"context"
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
)

// Where a host can be reached stays true however often it is written. So the write may be
// repeated when its answer is lost.
func ExampleWithIdempotentWrites() {
	cluster := etcdtest.NewCluster(3)
	defer cluster.Close()
	c, err := client.New(client.Config{Endpoints: cluster.Addrs(), DialOptions: cluster.DialOptions()})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	lost := false
	for _, m := range cluster.Members() {
		m.Intercept(func(_ context.Context, method string, _ any, next func() (any, error)) (any, error) {
			resp, err := next()
			if method == pb.KV_Put_FullMethodName && !lost {
				lost = true
				return nil, status.Error(codes.Unavailable, "the answer is lost")
			}
			return resp, err
		})
	}
	ctx := client.WithIdempotentWrites(context.Background())
	_, err = c.Put(ctx, "hosts/a", "10.0.0.1:80")
	fmt.Println(err)
	// Output: <nil>
}
