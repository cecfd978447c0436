package clientv3_test

import (
	"context"
	"fmt"
	"time"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/clientv3/concurrency"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/middleware/namespace"
)

// A clientv3 program with a different import path.
func Example() {
	cluster := etcdtest.NewCluster(3)
	defer cluster.Close()
	cli, err := clientv3.New(clientv3.Config{Endpoints: cluster.Addrs(), DialOptions: cluster.DialOptions()})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer cli.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()

	txn, err := cli.Txn(ctx).
		If(clientv3.Compare(clientv3.CreateRevision("greeting"), "=", 0)).
		Then(clientv3.OpPut("greeting", "hello")).
		Commit()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("put:", txn.Succeeded)
	resp := <-cli.Watch(ctx, "greeting", clientv3.WithRev(txn.Header.Revision))
	if err := resp.Err(); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s %s\n", resp.Events[0].Kv.Key, resp.Events[0].Kv.Value)
	// Output:
	// put: true
	// greeting hello
}

// A lock of package concurrency.
func Example_lock() {
	cluster := etcdtest.NewCluster(1)
	defer cluster.Close()
	cli, err := clientv3.New(clientv3.Config{Endpoints: cluster.Addrs(), DialOptions: cluster.DialOptions()})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer cli.Close()

	s, err := concurrency.NewSession(cli, concurrency.WithTTL(10))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	m := concurrency.NewMutex(s, "jobs/nightly")
	if err := m.Lock(cli.Ctx()); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("locked")
	fmt.Println("unlocked:", m.Unlock(cli.Ctx()))
	// Output:
	// locked
	// unlocked: <nil>
}

// Middleware is getcd's own. With this one, all keys of the client begin with a prefix.
func ExampleNewWith() {
	cluster := etcdtest.NewCluster(1)
	defer cluster.Close()
	cfg := clientv3.Config{Endpoints: cluster.Addrs(), DialOptions: cluster.DialOptions()}
	cli, err := clientv3.NewWith(cfg, func(n *client.Config) {
		n.Middleware = []client.Middleware{namespace.Of("jobs/")}
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer cli.Close()
	if _, err := cli.Put(context.Background(), "nightly", "03:00"); err != nil { // puts jobs/nightly
		fmt.Println(err)
		return
	}
	resp, err := cli.Get(context.Background(), "", clientv3.WithPrefix())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s %s\n", resp.Kvs[0].Key, resp.Kvs[0].Value)
	// Output: nightly 03:00
}
