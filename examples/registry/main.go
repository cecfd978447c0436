// Registry runs servers that register themselves, and a client that spreads its calls over
// those that are there.
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/peer"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/config"
	"github.com/getcd/getcd/naming"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil && ctx.Err() == nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, args []string) error {
	cfg, err := config.Load("") // ETCDCTL_ENDPOINTS and its like
	if err != nil {
		return err
	}
	c, err := client.New(cfg)
	if err != nil {
		return err
	}
	defer c.Close()
	if args[0] == "serve" {
		return serve(ctx, c, args[1])
	}
	return call(ctx, c)
}

func serve(ctx context.Context, c *client.Client, name string) error {
	listener, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	healthpb.RegisterHealthServer(server, health.NewServer()) // the service, for the example
	context.AfterFunc(ctx, server.GracefulStop)
	service, err := naming.New(c, "registry")
	if err != nil {
		return err
	}
	// It registers again by itself if its lease is lost.
	here, err := service.Register(ctx, c, "registry/"+name, naming.Endpoint{Addr: listener.Addr().String()}, naming.WithTTL(3*time.Second))
	if err != nil {
		return err
	}
	defer here.Close(ctx)
	fmt.Println(name, "serves on", listener.Addr())
	return server.Serve(listener)
}

func call(ctx context.Context, c *client.Client) error {
	builder, err := naming.NewBuilder(c)
	if err != nil {
		return err
	}
	conn, err := grpc.NewClient("etcd:///registry", grpc.WithResolvers(builder),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultServiceConfig(`{"loadBalancingConfig": [{"round_robin":{}}]}`))
	if err != nil {
		return err
	}
	defer conn.Close()
	for ctx.Err() == nil {
		var server peer.Peer
		if _, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{}, grpc.Peer(&server)); err != nil {
			log.Print(err)
		} else {
			fmt.Println("answered by", server.Addr)
		}
		time.Sleep(100 * time.Millisecond)
	}
	return nil
}
