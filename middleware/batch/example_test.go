package batch_test

import (
	"context"
	"fmt"
	"sync"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/middleware/batch"
)

// A hundred callers at a time take a few requests.
func ExampleNewConn() {
	cluster := etcdtest.NewCluster(1)
	defer cluster.Close()
	c, err := client.New(client.Config{
		Endpoints:   cluster.Addrs(),
		DialOptions: cluster.DialOptions(),
		Middleware:  []client.Middleware{batch.NewConn},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	var callers sync.WaitGroup
	for i := range 100 {
		callers.Go(func() {
			if _, err := c.Put(context.Background(), fmt.Sprintf("sensors/%d", i), "21.5"); err != nil {
				fmt.Println(err)
			}
		})
	}
	callers.Wait()
	m := cluster.Member(0)
	requests := m.Calls(pb.KV_Put_FullMethodName) + m.Calls(pb.KV_Txn_FullMethodName)
	fmt.Println("fewer than 50:", requests < 50)
	// Output: fewer than 50: true
}

// A program that uses clientv3's names gets batches by one line.
func ExampleNewConn_clientv3() {
	cluster := etcdtest.NewCluster(1)
	defer cluster.Close()
	cfg := clientv3.Config{Endpoints: cluster.Addrs(), DialOptions: cluster.DialOptions()}
	cli, err := clientv3.NewWith(cfg, func(n *client.Config) { n.Middleware = []client.Middleware{batch.NewConn} })
	if err != nil {
		fmt.Println(err)
		return
	}
	defer cli.Close()
	_, err = cli.Put(context.Background(), "sensors/1", "21.5")
	fmt.Println(err)
	// Output: <nil>
}
