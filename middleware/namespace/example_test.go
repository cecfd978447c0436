package namespace_test

import (
	"context"
	"fmt"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/middleware/namespace"
)

func ExampleNewKV() {
	cluster := etcdtest.NewCluster(1)
	defer cluster.Close()
	conn, err := cluster.Dial() // with a real cluster, take a client
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	ctx, store := context.Background(), kv.New(conn)
	jobs := namespace.NewKV(store, "jobs/")

	if _, err := jobs.Put(ctx, "nightly", "03:00"); err != nil {
		fmt.Println(err)
		return
	}
	for _, s := range []kv.KV{jobs, store} {
		resp, err := s.Get(ctx, "", kv.WithPrefix())
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s %s\n", resp.Kvs[0].Key, resp.Kvs[0].Value)
	}
	// Output:
	// nightly 03:00
	// jobs/nightly 03:00
}

// A client with a part of the keys for its own.
func ExampleOf() {
	cluster := etcdtest.NewCluster(1)
	defer cluster.Close()
	c, err := client.New(client.Config{
		Endpoints:   cluster.Addrs(),
		DialOptions: cluster.DialOptions(),
		Middleware:  []client.Middleware{namespace.Of("jobs/")},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	ctx := context.Background()
	if _, err := c.Put(ctx, "nightly", "03:00"); err != nil {
		fmt.Println(err)
		return
	}
	resp, err := c.Get(ctx, "", kv.WithPrefix())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s %s\n", resp.Kvs[0].Key, resp.Kvs[0].Value)
	// Output: nightly 03:00
}
