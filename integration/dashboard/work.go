package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/getcd/getcd/balancer"
	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/kv"
)

// work has the client work for some minutes, with faults. Errors of calls are what the picture
// is to show.
func work(ctx context.Context, c *client.Client, members *cluster.Cluster) error {
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	call := func(ctx context.Context) {
		key := fmt.Sprintf("orders/%d", rand.N(100)) //nolint:gosec // no secret
		switch rand.N(10) {                          //nolint:gosec // no secret
		case 0, 1, 2:
			_, _ = c.Put(ctx, key, "v")
		case 3:
			_, _ = c.Txn(ctx).If(kv.Compare(kv.Version(key), ">", 0)).Then(kv.OpPut(key, "w")).Commit()
		default:
			_, _ = c.Get(ctx, key)
		}
	}
	for range 4 {
		all.Go(func() {
			for ctx.Err() == nil {
				one, cancel := context.WithTimeout(ctx, 5*time.Second)
				call(one)
				cancel()
				time.Sleep(20 * time.Millisecond)
			}
		})
	}
	var slow gate
	for i := range 5 {
		all.Go(func() {
			for _, err := range c.Events(ctx, "orders/", kv.WithPrefix()) {
				if err != nil {
					return
				}
				if i == 0 {
					slow.pass()
				}
			}
		})
	}
	for range 3 {
		g, err := c.Grant(ctx, 10)
		if err != nil {
			return err
		}
		if _, err := c.Keep(ctx, g.ID); err != nil {
			return err
		}
	}
	return faults(ctx, c, members, &slow)
}

// faults has the faults one after the other, with time to recover.
func faults(ctx context.Context, c *client.Client, members *cluster.Cluster, slow *gate) error {
	wait := func(d time.Duration) { time.Sleep(d) }
	wait(40 * time.Second)
	m := active(c, members)
	if err := m.Kill(); err != nil {
		return err
	}
	wait(20 * time.Second)
	if err := m.Restart(ctx); err != nil {
		return err
	}
	wait(30 * time.Second)
	m = active(c, members)
	if err := m.Pause(); err != nil {
		return err
	}
	wait(15 * time.Second)
	if err := m.Continue(); err != nil {
		return err
	}
	wait(30 * time.Second)
	slow.close()
	wait(15 * time.Second)
	slow.open()
	wait(20 * time.Second)
	for _, m := range members.Members() { // nobody serves
		if err := m.Pause(); err != nil {
			return err
		}
	}
	wait(6 * time.Second)
	for _, m := range members.Members() {
		if err := m.Continue(); err != nil {
			return err
		}
	}
	wait(24 * time.Second)
	return nil
}

// active is the member that takes the client's requests.
func active(c *client.Client, members *cluster.Cluster) *cluster.Member {
	for _, s := range c.Endpoints() {
		for _, m := range members.Members() {
			if s.Role == balancer.Active && s.Address == m.Endpoint() {
				return m
			}
		}
	}
	return members.Members()[0]
}

// gate holds up who passes while it is closed.
type gate struct{ mu sync.Mutex }

func (g *gate) close() { g.mu.Lock() }
func (g *gate) open()  { g.mu.Unlock() }

func (g *gate) pass() {
	g.mu.Lock()
	defer g.mu.Unlock()
}
