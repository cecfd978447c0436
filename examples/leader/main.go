// Leader does a task in one of the processes that run it, at any time: the one that leads.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"
	"time"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/config"
	"github.com/getcd/getcd/election"
	"github.com/getcd/getcd/kv"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1]); err != nil && ctx.Err() == nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, name string) error {
	cfg, err := config.Load("") // ETCDCTL_ENDPOINTS and its like
	if err != nil {
		return err
	}
	c, err := client.New(cfg)
	if err != nil {
		return err
	}
	defer c.Close()
	e, err := election.New(c.Conn(), "leader/election", election.WithTTL(3*time.Second))
	if err != nil {
		return err
	}
	for {
		err := e.Run(ctx, name, func(ctx context.Context) error { return lead(ctx, e, name) })
		if !errors.Is(err, election.ErrLost) {
			return err
		}
		fmt.Println("lost the lead:", err)
	}
}

// lead counts until its context ends: at ctrl-C, or when the lead is lost.
func lead(ctx context.Context, e *election.Election, name string) error {
	fmt.Println(name, "leads")
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for n := 1; ; n++ {
		// No former leader can write here, however late its request arrives.
		_, err := e.Txn(ctx).Then(kv.OpPut("leader/work", fmt.Sprintf("%s %d", name, n))).Commit()
		if err != nil && !client.IsAmbiguous(err) { // the next write makes up for an ambiguous one
			return err
		}
		fmt.Println(name, "has done", n)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
