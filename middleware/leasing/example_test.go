package leasing_test

import (
	"context"
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/middleware/leasing"
)

// A key that is read again and again is asked for once, until somebody changes it.
func ExampleNew() {
	cluster := etcdtest.NewCluster(1)
	defer cluster.Close()
	c, err := client.New(client.Config{Endpoints: cluster.Addrs(), DialOptions: cluster.DialOptions()})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	ctx := context.Background()
	cached, err := leasing.New(ctx, c, c, c, "leasing/") // every writer needs the same prefix
	if err != nil {
		fmt.Println(err)
		return
	}
	defer cached.Close(ctx)

	if _, err := cached.Put(ctx, "config", "on"); err != nil {
		fmt.Println(err)
		return
	}
	for range 3 {
		before := requests(cluster)
		resp, err := cached.Get(ctx, "config")
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s, from memory: %t\n", resp.Kvs[0].Value, requests(cluster) == before)
	}
	// Output:
	// on, from memory: false
	// on, from memory: true
	// on, from memory: true
}

// requests is how many transactions the cluster has had: the first Get is one, since it
// also takes possession of the key.
func requests(cluster *etcdtest.Cluster) int {
	return cluster.Member(0).Calls(pb.KV_Txn_FullMethodName)
}
