package cas_test

import (
	"context"
	"fmt"
	"strconv"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/concurrency/cas"
	"github.com/getcd/getcd/etcdtest"
)

func Example() {
	cluster := etcdtest.NewCluster(3)
	defer cluster.Close()
	c, err := client.New(client.Config{Endpoints: cluster.Addrs(), DialOptions: cluster.DialOptions()})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	s, err := cas.New(c, "cas/host-1/")
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	for range 2 {
		r, err := s.Create(ctx, "owner", "host-1")
		fmt.Println(r.Done, string(r.Kv.GetValue()), err)
	}
	for range 3 {
		_, err = s.Modify(ctx, "count", func(now *mvccpb.KeyValue) (string, error) {
			if now == nil {
				return "1", nil
			}
			n, err := strconv.Atoi(string(now.Value))
			return strconv.Itoa(n + 1), err
		})
		if err != nil {
			fmt.Println(err)
			return
		}
	}
	resp, err := c.Get(ctx, "count")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(string(resp.Kvs[0].Value))
	// Output:
	// true  <nil>
	// false host-1 <nil>
	// 3
}
