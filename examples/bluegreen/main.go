// Bluegreen switches traffic from one version of a service to the other in one step, and
// only to a version that says that it is healthy.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"time"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/config"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/middleware/once"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil && ctx.Err() == nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, args []string) error {
	cfg, err := config.Load("") // ETCDCTL_ENDPOINTS and its like
	if err != nil {
		return err
	}
	cfg.Middleware = []client.Middleware{once.Of("bluegreen/once/")} // no write is in doubt
	c, err := client.New(cfg)
	if err != nil {
		return err
	}
	defer c.Close()
	if args[0] == "switch" {
		ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
		defer cancel()
		return switchTo(ctx, c, args[1], args[2])
	}
	return route(ctx, c)
}

// switchTo takes the traffic from one version to another.
func switchTo(ctx context.Context, c *client.Client, from, to string) error {
	txn, err := c.Txn(ctx).
		If(kv.Compare(kv.Value("bluegreen/active"), "=", from),
			kv.Compare(kv.Value("bluegreen/health/"+to), "=", "ok")).
		Then(kv.OpPut("bluegreen/active", to)).
		Commit()
	if err == nil && !txn.Succeeded {
		err = fmt.Errorf("%s is not active any more, or %s is not healthy", from, to)
	}
	return err
}

// route follows the active version: each change once and in order.
func route(ctx context.Context, c *client.Client) error {
	active := ""
	take := func(version []byte) {
		if string(version) != active { // a snapshot may have what is known
			active = string(version)
			fmt.Println("traffic goes to", active)
		}
	}
	for update, err := range c.Follow(ctx, "bluegreen/active") {
		if err != nil {
			return err
		}
		if update.Snapshot != nil { // at first, and when changes were compacted
			for _, pair := range update.Snapshot.KVs {
				take(pair.Value)
			}
		}
		for _, e := range update.Events {
			take(e.Kv.Value)
		}
	}
	return nil
}
