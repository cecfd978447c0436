package cluster_test

import (
	"context"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/getcd/getcd/cluster"
	"github.com/getcd/getcd/etcdtest"
)

func ExampleCluster() {
	c := etcdtest.NewCluster(2) // a cluster in memory; with a real one, take a client.Conn
	defer c.Close()
	conn, err := grpc.NewClient("passthrough:///"+c.Addrs()[0],
		grpc.WithContextDialer(c.Dialer()),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = conn.Close() }()

	list, err := cluster.New(conn).MemberList(context.Background())
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
