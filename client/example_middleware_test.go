package client_test

import (
	"context"
	"fmt"

	"google.golang.org/grpc"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
)

// audit is a middleware that tells of each call.
func audit(cc grpc.ClientConnInterface) grpc.ClientConnInterface { return audited{cc} }

type audited struct{ grpc.ClientConnInterface }

func (a audited) Invoke(ctx context.Context, method string, req, reply any, opts ...grpc.CallOption) error {
	err := a.ClientConnInterface.Invoke(ctx, method, req, reply, opts...)
	fmt.Println(method, err)
	return err
}

func ExampleMiddleware() {
	cluster := etcdtest.NewCluster(1)
	defer cluster.Close()
	c, err := client.New(client.Config{
		Endpoints:   cluster.Addrs(),
		DialOptions: cluster.DialOptions(),
		Middleware:  []client.Middleware{audit},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	if _, err := c.Put(context.Background(), "greeting", "hello"); err != nil {
		fmt.Println(err)
	}
	// Output: /etcdserverpb.KV/Put <nil>
}
