package integration_test

import (
	"context"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/integration/cluster"
)

// The rivals: etcd's generated stub on a plain gRPC connection, getcd, and
// clientv3, each with one connection to the same member. Only the client's
// allocations are counted, since the member is another process.
type rival struct {
	name     string
	put, get func(ctx context.Context) error
}

func rivals(tb testing.TB, endpoint string) []rival {
	tb.Helper()
	const key, value = "bench", "0123456789abcdef0123456789abcdef"

	conn, err := grpc.NewClient("passthrough:///"+endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	raw := pb.NewKVClient(conn)

	ours := dial(tb, client.Config{Endpoints: []string{endpoint}})

	theirs, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, Logger: zap.NewNop()})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = theirs.Close() })

	return []rival{
		{
			"raw",
			func(ctx context.Context) error {
				_, err := raw.Put(ctx, &pb.PutRequest{Key: []byte(key), Value: []byte(value)})
				return err
			},
			func(ctx context.Context) error {
				_, err := raw.Range(ctx, &pb.RangeRequest{Key: []byte(key)})
				return err
			},
		},
		{
			"getcd",
			func(ctx context.Context) error { _, err := ours.Put(ctx, key, value); return err },
			func(ctx context.Context) error { _, err := ours.Get(ctx, key); return err },
		},
		{
			"clientv3",
			func(ctx context.Context) error { _, err := theirs.Put(ctx, key, value); return err },
			func(ctx context.Context) error { _, err := theirs.Get(ctx, key); return err },
		},
	}
}

func BenchmarkPut(b *testing.B) {
	benchmark(b, func(r rival) func(context.Context) error { return r.put })
}

func BenchmarkGet(b *testing.B) {
	benchmark(b, func(r rival) func(context.Context) error { return r.get })
}

func benchmark(b *testing.B, op func(rival) func(context.Context) error) {
	b.Helper()
	c := startCluster(b, cluster.Config{Size: 1})
	for _, r := range rivals(b, c.Endpoints()[0]) {
		call := op(r)
		ctx := b.Context()
		if err := call(ctx); err != nil { // so that it is connected
			b.Fatal(err)
		}
		b.Run(r.name+"/concurrency=1", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := call(ctx); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
		})
		b.Run(r.name+"/concurrency=256", func(b *testing.B) {
			b.ReportAllocs()
			b.SetParallelism(128) // times GOMAXPROCS, which was 2 for the published figures
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					if err := call(ctx); err != nil {
						b.Error(err)
						return
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
		})
	}
}
