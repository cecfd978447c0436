package cluster_test

import (
	"context"
	"fmt"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
)

// A client includes the Cluster service.
func ExampleCluster() {
	cluster := etcdtest.NewCluster(2)
	defer cluster.Close()
	c, err := client.New(client.Config{Endpoints: cluster.Addrs(), DialOptions: cluster.DialOptions()})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()

	list, err := c.MemberList(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, m := range list.Members {
		fmt.Println(m.Name, m.PeerURLs, m.ClientURLs)
	}
	// Output:
	// member-1 [http://member-1:2380] [http://member-1:2379]
	// member-2 [http://member-2:2380] [http://member-2:2379]
}
