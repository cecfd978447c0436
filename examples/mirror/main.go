// Mirror keeps a copy of all keys below a prefix in memory. It follows every change, and is
// always the state of one revision.
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
	"github.com/getcd/getcd/view"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1]); err != nil && ctx.Err() == nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, prefix string) error {
	cfg, err := config.Load("") // ETCDCTL_ENDPOINTS and its like
	if err != nil {
		return err
	}
	c, err := client.New(cfg)
	if err != nil {
		return err
	}
	defer c.Close()
	keys, err := view.New(ctx, c, prefix, view.Config[string]{
		Decode: func(_ string, value []byte) (string, error) { return string(value), nil },
	}, kv.WithPrefix())
	if err != nil {
		return err
	}
	if err := keys.WaitSync(ctx); err != nil {
		return err
	}
	for ctx.Err() == nil && keys.Err() == nil {
		now := keys.Snapshot() // all keys, as they were at one revision
		fmt.Println("revision", now.Revision, "has", len(now.Values), "keys")
		time.Sleep(200 * time.Millisecond)
	}
	return keys.Err()
}
