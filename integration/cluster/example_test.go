package cluster_test

import (
	"context"
	"fmt"
	"time"

	"github.com/getcd/getcd/integration/cluster"
)

// The leader is killed, the other members elect a new one, and the old one
// comes back as a follower.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := cluster.Start(ctx, cluster.Config{Size: 3})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Stop()

	before, err := c.Leader(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := before.Kill(); err != nil {
		fmt.Println(err)
		return
	}
	after, err := c.Leader(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("another leader:", after != before)

	if err := before.Restart(ctx); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("healthy:", c.WaitHealthy(ctx) == nil)
	// Output:
	// another leader: true
	// healthy: true
}
