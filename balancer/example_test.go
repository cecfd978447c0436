package balancer_test

import (
	"context"
	"fmt"
	"time"

	"github.com/getcd/getcd/balancer"
	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
)

// A member nearby serves while there is one. When it dies another one does, and it takes
// over again when it is back.
func ExampleRouting() {
	cluster := etcdtest.NewCluster(3)
	defer cluster.Close()
	near := cluster.Member(2)
	c, err := client.New(client.Config{
		Endpoints:   cluster.Addrs(),
		DialOptions: cluster.DialOptions(),
		Routing: balancer.Routing{Prefer: func(e balancer.Endpoint) int {
			if e.MemberName == near.Name() { // or by e.Address, or by the e.Target of an SRV record
				return 0
			}
			return 1
		}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()

	fmt.Println("near:", served(ctx, c, near.Addr(), true))
	near.Kill()
	fmt.Println("another one:", served(ctx, c, near.Addr(), false))
	near.Start()
	fmt.Println("near again:", served(ctx, c, near.Addr(), true))
	// Output:
	// near: true
	// another one: true
	// near again: true
}

// served waits until a member serves, the one with that address or another one.
func served(ctx context.Context, c *client.Client, addr string, wanted bool) bool {
	for {
		changed := c.EndpointsChanged() // before Endpoints, to miss nothing
		for _, s := range c.Endpoints() {
			if s.Role == balancer.Active && (s.Address == addr) == wanted {
				return true
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}
