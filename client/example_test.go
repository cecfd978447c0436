package client_test

import (
	"context"
	"fmt"
	"time"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lock"
)

func Example() {
	cluster := etcdtest.NewCluster(3)
	defer cluster.Close()
	err := nightly(context.Background(), client.Config{
		Endpoints:   cluster.Addrs(),
		DialOptions: cluster.DialOptions(),
	})
	fmt.Println(err)
	// Output: <nil>
}

// nightly runs a job under a lock.
func nightly(ctx context.Context, cfg client.Config) error {
	c, err := client.New(cfg) // client.Config{Endpoints: []string{"dns+srv:///example.com"}}
	if err != nil {
		return err // the configuration can't be right; the error says why
	}
	defer c.Close() // ends what the client started, and waits for it
	m, err := lock.New(c.Conn(), "jobs/nightly")
	if err != nil {
		return err
	}
	err = m.Run(ctx, func(ctx context.Context) error { // ctx ends when m is lost
		_, err := m.Txn(ctx).Then(kv.OpPut("jobs/nightly/ran", "yes")).Commit() // only while m is held
		return err
	})
	if !client.IsAmbiguous(err) {
		return err
	}
	resp, err := c.Get(ctx, "jobs/nightly/ran") // it may have been applied: look
	if err != nil {
		return err
	}
	fmt.Println("applied:", len(resp.Kvs) > 0)
	return nil
}

func ExampleNew() {
	cluster := etcdtest.NewCluster(3)
	defer cluster.Close()

	c, err := client.New(client.Config{
		Endpoints:   cluster.Addrs(), // or []string{"dns+srv:///example.com"}
		DialOptions: cluster.DialOptions(),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()

	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if _, err := c.Put(ctx, "greeting", "Hello World!"); client.IsAmbiguous(err) {
		fmt.Println("the put may have been applied:", err)
	} else if err != nil {
		fmt.Println("the put was not applied:", err)
	}
	resp, err := c.Get(ctx, "greeting")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, kv := range resp.Kvs {
		fmt.Printf("%s = %s\n", kv.Key, kv.Value)
	}
	// Output: greeting = Hello World!
}

func ExampleClient_WaitReady() {
	c, err := client.New(client.Config{
		Endpoints: []string{"127.0.0.1:1"}, // nobody listens there
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	fmt.Println(c.WaitReady(ctx) != nil)
	// Output: true
}
