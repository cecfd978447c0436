package wire_test

import (
	"context"
	"fmt"
	"os"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/getcd/getcd/wire"
)

// A client of package client is traced with Config.Trace, another connection of gRPC's so.
func ExampleTracer_DialOptions() {
	tracer := wire.New(os.Stderr, wire.Options{Format: wire.Messages})
	cc, err := grpc.NewClient("127.0.0.1:2379", tracer.DialOptions(insecure.NewCredentials())...)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer cc.Close()
	_, err = pb.NewKVClient(cc).Put(context.Background(), &pb.PutRequest{Key: []byte("foo"), Value: []byte("bar")})
	fmt.Println(err)
}

func ExampleDecodeMessage() {
	err := wire.DecodeMessage(os.Stdout, wire.Options{}, "etcdserverpb.PutRequest", strings.NewReader("\x0a\x03foo\x12\x03bar"))
	fmt.Println(err)
	// Output:
	// | 00000000  0a 03 66 6f 6f                                    key: "foo"  @0  1 LEN
	// | 00000005  12 03 62 61 72                                    value: "bar"  @5  2 LEN
	// <nil>
}
