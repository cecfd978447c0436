package compat_test

import (
	"context"
	"fmt"

	"go.etcd.io/etcd/client/v3/concurrency"

	getcd "github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/compat"
	"github.com/getcd/getcd/etcdtest"
)

// The library in this example, clientv3's own package concurrency, needs
// clientv3's client.
func ExampleClient() {
	cluster := etcdtest.NewCluster(3)
	defer cluster.Close()
	cli, err := getcd.New(getcd.Config{
		Endpoints:   cluster.Addrs(),
		DialOptions: cluster.DialOptions(),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer cli.Close()
	original, err := compat.Client(cli)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer original.Close()

	session, err := concurrency.NewSession(original)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer session.Close()
	cluster.Member(0).Kill()
	ctx := context.Background()
	if _, err := original.Get(ctx, "greeting"); err != nil { // other members answer
		fmt.Println(err)
		return
	}
	_, err = concurrency.NewSTM(original, func(stm concurrency.STM) error {
		stm.Put("greeting", "hello")
		return nil
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	resp, err := cli.Get(ctx, "greeting")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s\n", resp.Kvs[0].Value)
	// Output: hello
}
