package batch_test

import (
	"context"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/middleware/batch"
)

// nothing is a connection that answers at once.
type nothing struct{ grpc.ClientConnInterface }

func (nothing) Invoke(context.Context, string, any, any, ...grpc.CallOption) error { return nil }

// BenchmarkAlone is what a caller pays for the batches that it does not use.
func BenchmarkAlone(b *testing.B) {
	stub := pb.NewKVClient(batch.NewConn(nothing{}))
	for name, call := range map[string]func(context.Context) error{
		"Put": func(ctx context.Context) error {
			_, err := stub.Put(ctx, &pb.PutRequest{Key: []byte("key"), Value: []byte("value")})
			return err
		},
		"Range": func(ctx context.Context) error {
			_, err := stub.Range(ctx, &pb.RangeRequest{Key: []byte("key")})
			return err
		},
	} {
		b.Run(name, func(b *testing.B) {
			ctx, cancel := context.WithCancel(b.Context())
			defer cancel()
			b.ReportAllocs()
			for b.Loop() {
				if err := call(ctx); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
