// Bluegreen switches traffic from one version of a service to the other in one step, and
// only to a version that says that it is healthy.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/kv"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil && ctx.Err() == nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, args []string) error {
	c, err := client.New(client.Config{Endpoints: strings.Split(os.Getenv("ETCDCTL_ENDPOINTS"), ",")})
	if err != nil {
		return err
	}
	defer c.Close()
	if args[0] == "switch" {
		ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
		defer cancel()
		return to(ctx, c, args[1])
	}
	return route(ctx, c)
}

// to makes a version the active one. Whether it fails or succeeds, the answer is certain.
func to(ctx context.Context, store kv.KV, version string) error {
	now, err := store.Get(ctx, "bluegreen/active")
	if err != nil {
		return err
	}
	var read int64
	if len(now.Kvs) > 0 {
		read = now.Kvs[0].ModRevision
	}
	for {
		txn, err := store.Txn(ctx).
			If(kv.Compare(kv.ModRevision("bluegreen/active"), "=", read),
				kv.Compare(kv.Value("bluegreen/health/"+version), "=", "ok")).
			Then(kv.OpPut("bluegreen/active", version)).
			Else(kv.OpGet("bluegreen/active"), kv.OpGet("bluegreen/health/"+version)).
			Commit()
		switch {
		case client.IsAmbiguous(err):
			continue // a copy changes nothing
		case err != nil:
			return err
		case txn.Succeeded:
			return nil
		}
		active, err := txn.Get(0)
		if err != nil {
			return err
		}
		switch resp, err := txn.Get(1); {
		case err != nil:
			return err
		case len(resp.Kvs) == 0 || string(resp.Kvs[0].Value) != "ok":
			return errors.New(version + " is not healthy")
		case string(active.Kvs[0].Value) != version:
			return fmt.Errorf("somebody else has switched to %s", active.Kvs[0].Value)
		}
		return nil // it was applied, and its answer lost
	}
}

// route follows the active version: each change once and in order.
func route(ctx context.Context, c *client.Client) error {
	for update, err := range c.Follow(ctx, "bluegreen/active") {
		if err != nil {
			return err
		}
		if update.Snapshot != nil {
			for _, active := range update.Snapshot.KVs {
				fmt.Printf("traffic goes to %s\n", active.Value)
			}
		}
		for _, e := range update.Events {
			fmt.Printf("traffic goes to %s\n", e.Kv.Value)
		}
	}
	return nil
}
