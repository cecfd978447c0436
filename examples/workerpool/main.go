// Workerpool takes items from a queue, in many processes, and all of them together take no
// more than four a second: whoever takes one holds a lock that they share for a quarter of
// a second.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"sync"
	"time"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/concurrency/recipe"
	"github.com/getcd/getcd/config"
	"github.com/getcd/getcd/lock"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil && ctx.Err() == nil {
		log.Fatal(err)
	}
}

const interval = 250 * time.Millisecond

func run(ctx context.Context, args []string) error {
	cfg, err := config.Load("") // ETCDCTL_ENDPOINTS and its like
	if err != nil {
		return err
	}
	c, err := client.New(cfg)
	if err != nil {
		return err
	}
	defer c.Close()
	queue := recipe.NewQueue(c, "workerpool/queue")
	if args[0] == "add" {
		for _, item := range args[1:] {
			if err := queue.Enqueue(ctx, item); err != nil {
				return err
			}
		}
		return nil
	}
	var workers sync.WaitGroup
	for i := range 3 {
		workers.Go(func() {
			name := fmt.Sprintf("%s.%d", args[0], i)
			for ctx.Err() == nil {
				if err := one(ctx, c, queue, name); err != nil && ctx.Err() == nil {
					log.Print(name, ": ", err)
				}
			}
		})
	}
	workers.Wait()
	return nil
}

// one takes an item when the pool may take one, and works on it.
func one(ctx context.Context, c *client.Client, queue *recipe.Queue, name string) error {
	m, err := lock.New(c.Conn(), "workerpool/limit", lock.WithTTL(3*time.Second))
	if err != nil {
		return err
	}
	var item string
	err = m.Run(ctx, func(ctx context.Context) (err error) {
		if item, err = queue.Dequeue(ctx); err != nil {
			return err
		}
		fmt.Println(name, "has taken", item)
		select {
		case <-time.After(interval):
		case <-ctx.Done(): // the lock is lost: others may take the next one
		}
		return nil
	})
	if item != "" {
		fmt.Println(name, "has done", item) // the work itself: without the lock
	}
	return err
}
