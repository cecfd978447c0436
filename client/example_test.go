package client_test

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/internal/fakeetcd"
)

func ExampleNew() {
	cluster := fakeetcd.NewCluster(3)
	defer cluster.Close()

	c, err := client.New(client.Config{
		Endpoints:   cluster.Addrs(), // or []string{"dns+srv:///example.com"}
		DialOptions: []grpc.DialOption{grpc.WithContextDialer(cluster.Dialer())},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = c.Close() }()

	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if _, err := c.Put(ctx, "greeting", "Hello World!"); client.IsAmbiguous(err) {
		fmt.Println("the put may have been applied:", err)
	} else if err != nil {
		fmt.Println("the put was not applied:", err)
	}
	resp, err := c.Get(ctx, "greeting")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, kv := range resp.Kvs {
		fmt.Printf("%s = %s\n", kv.Key, kv.Value)
	}
	// Output: greeting = Hello World!
}

func ExampleClient_WaitReady() {
	c, err := client.New(client.Config{
		Endpoints: []string{"127.0.0.1:1"}, // nobody listens there
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = c.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	fmt.Println(c.WaitReady(ctx) != nil)
	// Output: true
}
