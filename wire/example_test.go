package wire_test

import (
	"context"
	"fmt"
	"os"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/wire"
)

// One line in the configuration traces a client.
func Example() {
	cluster := etcdtest.NewCluster(1)
	defer cluster.Close()
	c, err := client.New(client.Config{
		Endpoints:   cluster.Addrs(),
		Trace:       wire.New(os.Stdout, wire.Options{Format: wire.Curl}),
		DialOptions: cluster.DialOptions(),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := c.Put(context.Background(), "foo", "bar"); err != nil {
		fmt.Println(err)
	}
	if err := c.Close(); err != nil { // the trace is written
		fmt.Println(err)
	}
	// Output: curl -sS http://memory/v3/kv/put -d '{"key":"Zm9v","value":"YmFy"}'
}

// Every gRPC connection can be traced.
func ExampleTracer_DialOptions() {
	cluster := etcdtest.NewCluster(1)
	defer cluster.Close()
	tracer := wire.New(os.Stdout, wire.Options{Format: wire.Curl})
	cc, err := cluster.Dial(tracer.DialOptions(insecure.NewCredentials())...)
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := pb.NewKVClient(cc).Range(context.Background(), &pb.RangeRequest{Key: []byte("foo")}); err != nil {
		fmt.Println(err)
	}
	if err := cc.Close(); err != nil {
		fmt.Println(err)
	}
	tracer.Flush(-1)
	// Output: curl -sS http://memory/v3/kv/range -d '{"key":"Zm9v"}'
}

func ExampleDecodeMessage() {
	err := wire.DecodeMessage(os.Stdout, wire.Options{}, "etcdserverpb.PutRequest", strings.NewReader("\x0a\x03foo\x12\x03bar"))
	fmt.Println(err)
	// Output:
	// | 00000000  0a 03 66 6f 6f                                    key: "foo"  @0  1 LEN
	// | 00000005  12 03 62 61 72                                    value: "bar"  @5  2 LEN
	// <nil>
}
