package maintenance_test

import (
	"context"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/maintenance"
)

// Each member reports its own status.
func ExampleService_Status() {
	c := etcdtest.NewCluster(3) // a cluster in memory
	defer c.Close()
	dial := func(_ context.Context, endpoint string) (grpc.ClientConnInterface, func() error, error) {
		cc, err := grpc.NewClient("passthrough:///"+endpoint,
			grpc.WithContextDialer(c.Dialer()),
			grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			return nil, nil, err
		}
		return cc, cc.Close, nil
	}
	cc, done, err := dial(context.Background(), c.Addrs()[0])
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = done() }()

	m := maintenance.New(cc, maintenance.WithEndpointDialer(dial))
	for _, endpoint := range c.Addrs() {
		s, err := m.Status(context.Background(), endpoint)
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
