package cache_test

import (
	"context"
	"fmt"

	"google.golang.org/grpc"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/middleware/cache"
)

func Example() {
	cluster := etcdtest.NewCluster(3)
	defer cluster.Close()
	ctx := context.Background()

	var cached *cache.Conn
	c, err := client.New(client.Config{
		Endpoints:   cluster.Addrs(),
		DialOptions: cluster.DialOptions(),
		Middleware: []client.Middleware{func(cc grpc.ClientConnInterface) grpc.ClientConnInterface {
			cached = cache.NewConn(cc, []string{"config/"})
			return cached
		}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = c.Close() }()
	if err := cached.WaitReady(ctx); err != nil {
		fmt.Println(err)
		return
	}

	if _, err := c.Put(ctx, "config/color", "blue"); err != nil {
		fmt.Println(err)
		return
	}
	for range 10 { // each sees the Put: from memory, if the watch has shown it in time
		resp, err := c.Get(ctx, "config/", kv.WithPrefix())
		if err != nil {
			fmt.Println(err)
			return
		}
		if len(resp.Kvs) != 1 || string(resp.Kvs[0].Value) != "blue" {
			fmt.Println("got", resp)
		}
	}
	s := cached.Stats().Prefixes[0]
	fmt.Printf("%d key, 10 reads, most of them from memory: %t\n", s.Keys, s.Hits > s.Misses)
	// Output: 1 key, 10 reads, most of them from memory: true
}
