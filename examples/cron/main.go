// Cron runs a job once per period in a whole cluster, however many processes run it and
// whichever of them die.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/kv"
)

const period = time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1]); err != nil && ctx.Err() == nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, name string) error {
	c, err := client.New(client.Config{Endpoints: strings.Split(os.Getenv("ETCDCTL_ENDPOINTS"), ",")})
	if err != nil {
		return err
	}
	defer c.Close()
	for {
		next := time.Now().Truncate(period).Add(period)
		select {
		case <-time.After(time.Until(next)):
		case <-ctx.Done():
			return nil
		}
		if mine, err := claim(ctx, c, name, next); err != nil {
			log.Print(err)
		} else if mine {
			fmt.Println(name, "runs", next.Format(time.TimeOnly))
		}
	}
}

// claim reports whether this process is the one to run the job that is due.
func claim(ctx context.Context, store kv.KV, name string, due time.Time) (bool, error) {
	run := due.UTC().Format(time.RFC3339)
	for {
		txn, err := store.Txn(ctx).
			If(kv.Compare(kv.CreateRevision("cron/runs/"+run), "=", 0)).
			Then(kv.OpPut("cron/runs/"+run, name)).
			Else(kv.OpGet("cron/runs/" + run)).
			Commit()
		switch {
		case client.IsAmbiguous(err):
			continue // the answer is in the key
		case err != nil:
			return false, err
		case txn.Succeeded:
			return true, nil
		}
		winner, err := txn.Get(0)
		return err == nil && string(winner.Kvs[0].Value) == name, err
	}
}
