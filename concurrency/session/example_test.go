package session_test

import (
	"context"
	"fmt"
	"time"

	"github.com/getcd/getcd/concurrency/session"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lease"
)

func Example() {
	cluster := etcdtest.NewCluster(1)
	defer cluster.Close()
	conn, err := cluster.Dial() // with a real cluster, take a client
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	ctx := context.Background()
	store, leases := kv.New(conn), lease.New(conn)
	defer leases.Close()

	s, err := session.New(ctx, leases, session.WithTTL(5*time.Second))
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := store.Put(ctx, "members/host-1", "10.0.0.1", kv.WithLease(s.ID())); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(s.Err())

	fmt.Println(s.Close(ctx)) // and the key is gone
	resp, err := store.Get(ctx, "members/", kv.WithPrefix())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(resp.Count, s.Err())
	// Output:
	// <nil>
	// <nil>
	// 0 session: closed
}
