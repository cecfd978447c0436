package resolver_test

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/getcd/getcd/resolver"
)

// A client finds its members through SRV records and follows changes.
func ExampleNew() {
	r, err := resolver.New([]string{"dns+srv:///example.com"}, resolver.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	conn, err := grpc.NewClient(resolver.Target, grpc.WithResolvers(r),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	fmt.Println(conn.CanonicalTarget())
	// Output: getcd:///etcd
}

// New reports all invalid endpoints at once, and how to fix them.
func ExampleNew_invalid() {
	_, err := resolver.New([]string{"etcd1:23790000", "htps://etcd2", "::1:2379"}, resolver.Config{})
	fmt.Println(err)
	// Output:
	// resolver: endpoint "etcd1:23790000": port "23790000" is not a number from 1 to 65535
	// resolver: endpoint "htps://etcd2": unknown scheme "htps"; the known schemes are dns, dns+srv, http, https, ip, unix, unixs, and host:port without a scheme
	// resolver: endpoint "::1:2379": "::1:2379" can be read in two ways; write [::1]:2379 or [::1:2379]
}

// catalog is a Source that asks a service catalog.
type catalog struct{ service string }

func (c catalog) Resolve(context.Context) (resolver.Result, error) {
	// A real source would ask the catalog for c.service here.
	return resolver.Result{
		Addresses: []resolver.Address{{Network: resolver.NetworkTCP, Host: "10.0.0.1", Port: resolver.DefaultPort, ServerName: c.service}},
		TTL:       30 * time.Second,
	}, nil
}

// A custom scheme belongs to the registry of one client.
func ExampleRegistry_Register() {
	reg := resolver.NewRegistry()
	err := reg.Register("catalog", func(u *url.URL, _ resolver.SourceOptions) (resolver.Source, error) {
		return catalog{service: u.Host}, nil
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = resolver.New([]string{"catalog://etcd", "10.0.0.9:2379"}, resolver.Config{Options: resolver.Options{Registry: reg}})
	fmt.Println(reg.Schemes(), err)
	// Output: [catalog dns dns+srv http https ip unix unixs] <nil>
}
