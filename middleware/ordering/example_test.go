package ordering_test

import (
	"context"
	"fmt"

	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/middleware/ordering"
)

func ExampleNewKV() {
	cluster := etcdtest.NewCluster(1)
	defer cluster.Close()
	conn, err := cluster.Dial() // with a real cluster, take a client
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	ctx := context.Background()

	var floor ordering.Floor
	store := ordering.NewKV(kv.New(conn), ordering.WithFloor(&floor))
	if _, err := store.Put(ctx, "k", "v"); err != nil {
		fmt.Println(err)
		return
	}
	floor.Rise(10) // somebody has told of revision 10
	_, err = store.Get(ctx, "k", kv.WithSerializable())
	fmt.Println(err != nil)
	// Output:
	// true
}
