package mirror_test

import (
	"context"
	"fmt"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/mirror"
	"github.com/getcd/getcd/watch"
)

// A copy of a prefix in a map.
func Example() {
	cluster := etcdtest.NewCluster(3)
	defer cluster.Close()
	c, err := client.New(client.Config{Endpoints: cluster.Addrs(), DialOptions: cluster.DialOptions()})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if _, err := c.Put(ctx, "config/color", "blue"); err != nil {
		fmt.Println(err)
		return
	}

	m, err := mirror.New(c, "config/")
	if err != nil {
		fmt.Println(err)
		return
	}
	local := map[string]string{}
	for part, err := range m.Base(ctx) {
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, pair := range part.Kvs {
			local[string(pair.Key)] = string(pair.Value)
		}
	}
	fmt.Println(local)

	if _, err := c.Put(ctx, "config/color", "red"); err != nil {
		fmt.Println(err)
		return
	}
	for resp, err := range m.Updates(ctx) {
		if err != nil {
			fmt.Println(err) // why the changes have ended
			return
		}
		for _, e := range resp.Events {
			if e.Type == watch.EventTypeDelete {
				delete(local, string(e.Kv.Key))
			} else {
				local[string(e.Kv.Key)] = string(e.Kv.Value)
			}
		}
		break // a program goes on
	}
	fmt.Println(local)
	// Output:
	// map[config/color:blue]
	// map[config/color:red]
}
