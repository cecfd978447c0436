package naming_test

import (
	"context"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/naming"
)

// A server stays registered as long as it lives, and others see it come and go.
func Example() {
	cluster := etcdtest.NewCluster(1)
	defer cluster.Close()
	c, err := client.New(client.Config{Endpoints: cluster.Addrs(), DialOptions: cluster.DialOptions()})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	ctx := context.Background()
	web, err := naming.New(c, "web")
	if err != nil {
		fmt.Println(err)
		return
	}

	host, err := web.Register(ctx, c, "web/host-1", naming.Endpoint{Addr: "10.0.0.1:443"})
	if err != nil {
		fmt.Println(err)
		return
	}
	for updates, err := range web.Follow(ctx) {
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, u := range updates {
			if u.Op == naming.Delete {
				fmt.Println("gone:", u.Key)
				return
			}
			fmt.Println("there:", u.Key, u.Endpoint.Addr)
		}
		if err := host.Close(ctx); err != nil {
			fmt.Println(err)
			return
		}
	}
	// Output:
	// there: web/host-1 10.0.0.1:443
	// gone: web/host-1
}

// gRPC finds a service by its name. In this example it is the health service of
// another etcd.
func ExampleNewBuilder() {
	cluster, service := etcdtest.NewCluster(1), etcdtest.NewCluster(1)
	defer cluster.Close()
	defer service.Close()
	c, err := client.New(client.Config{Endpoints: cluster.Addrs(), DialOptions: cluster.DialOptions()})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	ctx := context.Background()
	health, err := naming.New(c, "health")
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := health.Add(ctx, "health/1", naming.Endpoint{Addr: service.Member(0).Addr()}); err != nil {
		fmt.Println(err)
		return
	}

	builder, err := naming.NewBuilder(c)
	if err != nil {
		fmt.Println(err)
		return
	}
	conn, err := grpc.NewClient("etcd:///health", append(service.DialOptions(),
		grpc.WithResolvers(builder), grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	resp, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(resp.Status)
	// Output: SERVING
}
