// Jobqueue works on jobs, each under a lock of its own. A job whose worker dies is done by
// another one, and none is recorded twice.
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
	"github.com/getcd/getcd/config"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lock"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1]); err != nil && ctx.Err() == nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, worker string) error {
	cfg, err := config.Load("") // ETCDCTL_ENDPOINTS and its like
	if err != nil {
		return err
	}
	c, err := client.New(cfg)
	if err != nil {
		return err
	}
	defer c.Close()
	for {
		jobs, err := c.Get(ctx, "jobqueue/todo/", kv.WithPrefix())
		if err != nil {
			return err
		}
		for _, job := range jobs.Kvs {
			if err := try(ctx, c, worker, string(job.Key)); err != nil {
				log.Print(err) // the job stays, for the next round
			}
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return nil
		}
	}
}

// try does a job that nobody else is doing.
func try(ctx context.Context, c *client.Client, worker, job string) error {
	id := strings.TrimPrefix(job, "jobqueue/todo/")
	m, err := lock.New(c.Conn(), "jobqueue/locks/"+id, lock.WithTTL(3*time.Second))
	if err != nil {
		return err
	}
	err = m.TryRun(ctx, func(ctx context.Context) error { // ctx ends when the lock is lost
		if err := work(ctx, worker, id); err != nil {
			return err
		}
		// Only while the lock is held and the job is there: a worker that was frozen, and
		// a copy of this request that comes late, change nothing.
		done, err := m.Txn(ctx).
			If(kv.Compare(kv.CreateRevision(job), ">", 0)).
			Then(kv.OpDelete(job), kv.OpPut("jobqueue/done/"+id, worker)).
			Commit()
		if err == nil && done.Succeeded {
			fmt.Println(worker, "has done", id)
		}
		return err
	})
	if errors.Is(err, lock.ErrLocked) {
		return nil
	}
	return err
}

// work stands for what takes time.
func work(ctx context.Context, worker, id string) error {
	fmt.Println(worker, "works on", id)
	select {
	case <-time.After(300 * time.Millisecond):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
