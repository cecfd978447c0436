package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/kv"
)

// A client with a prefix of its own, a limit for calls without a deadline, and a header for a
// proxy.
func ExampleConfig() {
	cluster := etcdtest.NewCluster(3)
	defer cluster.Close()
	c, err := client.New(client.Config{
		Endpoints:   cluster.Addrs(), // or []string{"10.0.0.1:2379,10.0.0.2:2379"}
		DialOptions: cluster.DialOptions(),
		Namespace:   "jobs/",
		CallTimeout: 5 * time.Second,
		Headers:     map[string]string{"x-tenant": "blue"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	ctx := context.Background() // no deadline: CallTimeout limits each call
	if _, err := c.Put(ctx, "nightly", "done"); errors.Is(err, context.DeadlineExceeded) {
		fmt.Println("no member has answered in time")
	} else if err != nil {
		fmt.Println(err)
	}
	resp, err := c.Get(ctx, "nightly") // the key is jobs/nightly
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s = %s\n", resp.Kvs[0].Key, resp.Kvs[0].Value)
	// Output: nightly = done
}

// A service whose calls fail at once while no endpoint can be reached. With Config.FailFast
// all calls of the client do.
func ExampleConn_failFast() {
	c, err := client.New(client.Config{Endpoints: []string{"127.0.0.1:1"}}) // nobody listens there
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	store := kv.New(c.Conn(), grpc.WaitForReady(false))
	_, err = store.Put(context.Background(), "greeting", "hello")
	fmt.Println(status.Code(err) == codes.Unavailable, client.IsAmbiguous(err))
	// Output: true false
}

// A large range, a part at a time.
func ExampleClient_streamer() {
	cluster := etcdtest.NewCluster(1)
	defer cluster.Close()
	c, err := client.New(client.Config{Endpoints: cluster.Addrs(), DialOptions: cluster.DialOptions()})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	ctx := context.Background()
	for i := range 3 {
		if _, err := c.Put(ctx, fmt.Sprintf("k%d", i), "v"); err != nil {
			fmt.Println(err)
			return
		}
	}
	for part, err := range c.Parts(ctx, "k", kv.WithPrefix()) {
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, pair := range part.Kvs {
			fmt.Printf("%s\n", pair.Key)
		}
	}
	// Output:
	// k0
	// k1
	// k2
}

// A client that is given one member, and finds the others.
func ExampleClient_Sync() {
	cluster := etcdtest.NewCluster(3)
	defer cluster.Close()
	c, err := client.New(client.Config{
		Endpoints:   cluster.Addrs()[:1],
		DialOptions: cluster.DialOptions(),
		// AutoSyncInterval: time.Minute would do it again and again
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	changed := c.EndpointsChanged()
	if err := c.Sync(context.Background()); err != nil {
		fmt.Println(err)
		return
	}
	for len(c.Endpoints()) != 3 {
		<-changed
		changed = c.EndpointsChanged()
	}
	fmt.Println(len(c.Endpoints()), "endpoints")
	// Output: 3 endpoints
}

// A program that says at /ready whether it can use etcd, and why not.
func ExampleClient_ReadyHandler() {
	cluster := etcdtest.NewCluster(3)
	defer cluster.Close()
	c, err := client.New(client.Config{Endpoints: cluster.Addrs(), DialOptions: cluster.DialOptions()})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	mux := http.NewServeMux()
	mux.Handle("GET /ready", c.ReadyHandler(0))

	w := httptest.NewRecorder() // http.ListenAndServe(":8080", mux) in a program
	mux.ServeHTTP(w, httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/ready", http.NoBody))
	fmt.Println(w.Code)
	// Output: 200
}

func ExampleClient_Ping() {
	cluster := etcdtest.NewCluster(3)
	defer cluster.Close()
	c, err := client.New(client.Config{Endpoints: cluster.Addrs(), DialOptions: cluster.DialOptions()})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := c.Ping(ctx); err != nil {
		fmt.Println("the cluster does not serve:", err)
		return
	}
	fmt.Println("the cluster serves")
	// Output: the cluster serves
}
