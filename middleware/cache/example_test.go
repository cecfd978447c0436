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
	resp, err := c.Get(ctx, "config/", kv.WithPrefix()) // from memory, and sees the Put
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, pair := range resp.Kvs {
		fmt.Printf("%s = %s\n", pair.Key, pair.Value)
	}
	s := cached.Stats().Prefixes[0]
	fmt.Printf("%d key, %d read from memory, %d passed on\n", s.Keys, s.Hits, s.Misses)
	// Output:
	// config/color = blue
	// 1 key, 1 read from memory, 0 passed on
}
