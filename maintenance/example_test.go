package maintenance_test

import (
	"context"
	"fmt"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
)

// A client includes the Maintenance service. Each member reports its own status.
func ExampleService_Status() {
	cluster := etcdtest.NewCluster(3)
	defer cluster.Close()
	c, err := client.New(client.Config{Endpoints: cluster.Addrs(), DialOptions: cluster.DialOptions()})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()

	for _, endpoint := range cluster.Addrs() {
		s, err := c.Status(context.Background(), endpoint)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(endpoint, "leads:", s.Leader == s.Header.MemberId)
	}
	// Output:
	// member-1:2379 leads: true
	// member-2:2379 leads: false
	// member-3:2379 leads: false
}
