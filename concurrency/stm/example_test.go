package stm_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/getcd/getcd/concurrency/stm"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/kv"
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
	ctx, store := context.Background(), kv.New(conn)

	transfer := func(from, to string, amount int) error {
		_, err := stm.Run(ctx, store, func(tx stm.STM) error {
			a, _ := strconv.Atoi(tx.Get(from))
			b, _ := strconv.Atoi(tx.Get(to))
			if a < amount {
				return errors.New("not enough")
			}
			tx.Put(from, strconv.Itoa(a-amount))
			tx.Put(to, strconv.Itoa(b+amount))
			return nil
		}, stm.WithPrefetch(from, to))
		return err
	}
	if _, err := store.Put(ctx, "alice", "100"); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(transfer("alice", "bob", 30))
	fmt.Println(transfer("bob", "alice", 40))
	resp, err := store.Get(ctx, "bob")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s\n", resp.Kvs[0].Value)
	// Output:
	// <nil>
	// not enough
	// 30
}
