package kv_test

import (
	"context"
	"fmt"
	"log/slog"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/kv"
)

// connect stands for the connection of a real program.
func connect() (conn *grpc.ClientConn, done func()) {
	cluster := etcdtest.NewCluster(1)
	conn, err := cluster.Dial()
	if err != nil {
		slog.Error("no connection", "error", err)
	}
	return conn, func() {
		_ = conn.Close()
		cluster.Close()
	}
}

func ExampleKV_Put() {
	conn, done := connect()
	defer done()
	ctx := context.Background()
	store := kv.New(conn)

	if _, err := store.Put(ctx, "foo", "Hello World!"); err != nil {
		fmt.Println(err)
		return
	}
	resp, err := store.Get(ctx, "foo")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, kv := range resp.Kvs {
		fmt.Printf("%s = %s, version %d\n", kv.Key, kv.Value, kv.Version)
	}
	// Output: foo = Hello World!, version 1
}

func ExampleWithPrefix() {
	conn, done := connect()
	defer done()
	ctx := context.Background()
	store := kv.New(conn)

	for _, key := range []string{"web/1", "web/2", "db/1"} {
		if _, err := store.Put(ctx, key, "up"); err != nil {
			fmt.Println(err)
			return
		}
	}
	resp, err := store.Get(ctx, "web/", kv.WithPrefix(), kv.WithKeysOnly())
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, kv := range resp.Kvs {
		fmt.Printf("%s\n", kv.Key)
	}
	// Output:
	// web/1
	// web/2
}

// Compare-and-swap: the transaction raises the counter only if nobody has changed
// it since it was read.
func ExampleKV_Txn() {
	conn, done := connect()
	defer done()
	ctx := context.Background()
	store := kv.New(conn)

	if _, err := store.Put(ctx, "counter", "1"); err != nil {
		fmt.Println(err)
		return
	}
	read, err := store.Get(ctx, "counter")
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 2 {
		resp, err := store.Txn(ctx).
			If(kv.Compare(kv.ModRevision("counter"), "=", read.Kvs[0].ModRevision)).
			Then(kv.OpPut("counter", "2")).
			Else(kv.OpGet("counter")).
			Commit()
		if err != nil {
			fmt.Println(err)
			return
		}
		if resp.Succeeded {
			fmt.Println("swapped")
			continue
		}
		now, err := resp.Get(0) // the answer to Else's first operation
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("changed meanwhile to %s\n", now.Kvs[0].Value)
	}
	// Output:
	// swapped
	// changed meanwhile to 2
}

// The answers to a transaction's operations have the operations' numbers.
// However many keys there are, only a part of them is in memory.
func ExampleStreamer_scan() {
	conn, done := connect()
	defer done()
	ctx := context.Background()
	store := kv.New(conn)
	for i := range 250 {
		if _, err := store.Put(ctx, fmt.Sprintf("jobs/%03d", i), "waiting"); err != nil {
			fmt.Println(err)
			return
		}
	}
	n := 0
	for pair, err := range kv.NewStreamer(conn).Scan(ctx, "jobs/", kv.WithPrefix()) {
		if err != nil {
			fmt.Println(err)
			return
		}
		if n++; n%100 == 0 {
			fmt.Printf("%s: %s\n", pair.Key, pair.Value)
		}
	}
	fmt.Println(n, "jobs")
	// Output:
	// jobs/099: waiting
	// jobs/199: waiting
	// 250 jobs
}

func ExampleTxnResponse() {
	conn, done := connect()
	defer done()
	resp, err := kv.New(conn).Txn(context.Background()).
		Then(kv.OpPut("color", "blue"), kv.OpGet("color"), kv.OpDelete("shape")).
		Commit()
	if err != nil {
		fmt.Println(err)
		return
	}
	color, err := resp.Get(1)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s\n", color.Kvs[0].Value)
	shape, err := resp.Delete(2)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("deleted:", shape.Deleted)
	_, err = resp.Get(0)
	fmt.Println(err)
	// Output:
	// blue
	// deleted: 0
	// kv: TxnResponse: Get(0): the Then branch was taken, and that is a Put; use Put(0)
}

// The answer to a transaction is lost with its connection. Settle tells whether it was
// applied, and if it was not, that it never will be.
func ExampleMarker() {
	cluster := etcdtest.NewCluster(1) // in memory
	defer cluster.Close()
	c, err := client.New(client.Config{Endpoints: cluster.Addrs(), DialOptions: cluster.DialOptions()})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	ctx := context.Background()

	marker, err := kv.NewMarker(c, "markers/host-1") // one for each process that writes
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, balance := range []string{"100", "90"} {
		_, err = marker.Txn(ctx, c).Then(kv.OpPut("balance", balance)).Commit()
		if client.IsAmbiguous(err) {
			applied, err := marker.Settle(ctx)
			fmt.Println(balance, "was applied:", applied, err)
			continue
		}
		fmt.Println(balance, "was answered:", err)

		// The next answer is lost.
		cluster.Member(0).Intercept(func(_ context.Context, method string, _ any, next func() (any, error)) (any, error) {
			resp, err := next()
			if err == nil && method == "/etcdserverpb.KV/Txn" {
				cluster.Member(0).Intercept(nil)
				err = status.Error(codes.Unavailable, "the connection broke")
			}
			return resp, err
		})
	}
	// Output:
	// 100 was answered: <nil>
	// 90 was applied: true <nil>
}

func ExampleUsageError() {
	conn, done := connect()
	defer done()
	_, err := kv.New(conn).Put(context.Background(), "foo", "bar", kv.WithLimit(5))
	fmt.Println(err)
	// Output: kv: Put: WithLimit: it applies to Get; leave it out
}
