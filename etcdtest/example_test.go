package etcdtest_test

import (
	"context"
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
)

// A client fails over when the leader dies. In a test, etcdtest.Start(t, 3) takes the
// place of NewCluster and Close.
func Example() {
	cluster := etcdtest.NewCluster(3)
	defer cluster.Close()
	c, err := client.New(client.Config{Endpoints: cluster.Addrs(), DialOptions: cluster.DialOptions()})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	ctx := context.Background()

	if _, err := c.Put(ctx, "greeting", "hello"); err != nil {
		fmt.Println(err)
		return
	}
	cluster.Leader().Kill()
	cluster.Elect(cluster.Member(1))
	resp, err := c.Get(ctx, "greeting")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s, at revision %d\n", resp.Kvs[0].Value, cluster.Revision())
	// Output: hello, at revision 2
}

// A member applies a put, and its answer is lost: the worst that can happen to a write.
func ExampleMember_Intercept() {
	cluster := etcdtest.NewCluster(1)
	defer cluster.Close()
	c, err := client.New(client.Config{Endpoints: cluster.Addrs(), DialOptions: cluster.DialOptions()})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()

	cluster.Member(0).Intercept(func(_ context.Context, method string, _ any, next func() (any, error)) (any, error) {
		resp, err := next()
		if method == pb.KV_Put_FullMethodName && err == nil {
			return nil, status.Error(codes.Unavailable, "transport is closing")
		}
		return resp, err
	})
	_, err = c.Put(context.Background(), "greeting", "hello")
	fmt.Println("an error:", err != nil)
	fmt.Println("ambiguous:", client.IsAmbiguous(err))
	fmt.Println("applied:", cluster.Revision() == 2)
	// Output:
	// an error: true
	// ambiguous: true
	// applied: true
}
