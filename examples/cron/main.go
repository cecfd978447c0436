// Cron runs a job once per period in a whole cluster, however many processes run it and
// whichever of them die.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"time"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/concurrency/cas"
	"github.com/getcd/getcd/config"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1]); err != nil && ctx.Err() == nil {
		log.Fatal(err)
	}
}

const period = time.Second

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
	runs, err := cas.New(c, "cron/"+name+"/")
	if err != nil {
		return err
	}
	for {
		due := time.Now().Truncate(period).Add(period)
		select {
		case <-time.After(time.Until(due)):
		case <-ctx.Done():
			return nil
		}
		// One process creates the key, and learns that it did, even if the answer is lost.
		run, err := runs.Create(ctx, "cron/runs/"+due.UTC().Format(time.RFC3339), name)
		if err != nil {
			log.Print(err)
		} else if run.Done {
			fmt.Println(name, "runs", due.Format(time.TimeOnly))
		}
	}
}
