package recipe_test

import (
	"context"
	"fmt"

	"github.com/getcd/getcd/concurrency/recipe"
	"github.com/getcd/getcd/concurrency/session"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lease"
	"github.com/getcd/getcd/watch"
)

// dial makes the services that the examples use; a client has them all.
func dial() (recipe.Client, lease.Lease, func()) {
	cluster := etcdtest.NewCluster(1)
	conn, err := cluster.Dial()
	if err != nil {
		panic(err)
	}
	w, leases := watch.New(conn), lease.New(conn)
	return recipe.NewClient(kv.New(conn), w), leases, func() {
		_ = leases.Close()
		_ = w.Close()
		_ = conn.Close()
		cluster.Close()
	}
}

func ExamplePriorityQueue() {
	c, _, done := dial()
	defer done()
	ctx := context.Background()

	q := recipe.NewPriorityQueue(c, "jobs")
	for job, priority := range map[string]uint16{"sweep": 100, "extinguish": 0} {
		if err := q.Enqueue(ctx, job, priority); err != nil {
			fmt.Println(err)
			return
		}
	}
	for range 2 {
		fmt.Println(q.Dequeue(ctx))
	}
	// Output:
	// extinguish <nil>
	// sweep <nil>
}

func ExampleRWMutex() {
	c, leases, done := dial()
	defer done()
	ctx := context.Background()

	s, err := session.New(ctx, leases)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close(ctx)
	a, b := recipe.NewRWMutex(c, s, "report"), recipe.NewRWMutex(c, s, "report")
	fmt.Println(a.RLock(ctx), b.RLock(ctx)) // at once, until s.Done() closes
	fmt.Println(a.RUnlock(ctx), b.RUnlock(ctx))
	// Output:
	// <nil> <nil>
	// <nil> <nil>
}
