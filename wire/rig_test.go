package wire_test

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/resolver"
	"github.com/getcd/getcd/wire"
)

// buffer is a writer that is safe for concurrent use.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// traced runs test with a traced client of a fake cluster in a synctest bubble,
// and returns the trace.
func traced(t *testing.T, members int, o wire.Options, configure func(*client.Config), test func(ctx context.Context, c *client.Client, cluster *etcdtest.Cluster)) string {
	t.Helper()
	var out buffer
	synctest.Test(t, func(t *testing.T) {
		cluster := etcdtest.Start(t, members)
		cfg := client.Config{
			Endpoints: cluster.Addrs(), Resolver: resolver.Options{KeepOrder: true},
			Trace:       wire.New(&out, o),
			DialOptions: []grpc.DialOption{grpc.WithContextDialer(cluster.Dialer())},
		}
		if configure != nil {
			configure(&cfg)
		}
		c, err := client.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		synctest.Wait()
		test(ctx, c, cluster)
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	})
	return out.String()
}

func put(ctx context.Context, t *testing.T, c *client.Client, key, value string) {
	t.Helper()
	if _, err := pb.NewKVClient(c.Conn()).Put(ctx, &pb.PutRequest{Key: []byte(key), Value: []byte(value)}); err != nil {
		t.Fatal(err)
	}
}
