package wire_test

import (
	"io"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/wire"
)

// BenchmarkPut measures a put of 100 bytes to a server in memory, without a trace
// and with each kind of trace.
func BenchmarkPut(b *testing.B) {
	for _, f := range append([]wire.Format{"off"}, wire.Formats()...) {
		b.Run(string(f), func(b *testing.B) {
			opts := []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}
			if f != "off" {
				opts = wire.New(io.Discard, wire.Options{Format: f}).DialOptions(insecure.NewCredentials())
			}
			kv := pb.NewKVClient(etcdtest.Start(b, 1).Conn(b, opts...))
			req := &pb.PutRequest{Key: []byte("key"), Value: make([]byte, 100)}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := kv.Put(b.Context(), req); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
