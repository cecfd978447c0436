package wire_test

import (
	"context"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/wire"
)

// Without a tracer a call takes no allocation more than before there were tracers: a put
// took 8 more on a client then than on gRPC alone, and a range no more than that.
func TestOffItCostsNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector has pools forget what they hold")
	}
	const before = 8
	cluster := etcdtest.Start(t, 1)
	clientOf := func(tracer *wire.Tracer) grpc.ClientConnInterface {
		c, err := client.New(client.Config{
			Endpoints: cluster.Addrs(), Trace: tracer,
			DialOptions: []grpc.DialOption{grpc.WithContextDialer(cluster.Dialer())},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		if err := c.WaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
		return c.Conn()
	}
	ctx := context.Background() // one that can end takes allocations of its own
	raw, off := cluster.Conn(t), clientOf(nil)
	on := clientOf(wire.New(&buffer{}, wire.Options{Format: wire.Curl}))
	for name, call := range map[string]func(kv pb.KVClient) error{
		"put": func(kv pb.KVClient) error {
			_, err := kv.Put(ctx, &pb.PutRequest{Key: []byte("key"), Value: make([]byte, 100)})
			return err
		},
		"range": func(kv pb.KVClient) error {
			_, err := kv.Range(ctx, &pb.RangeRequest{Key: []byte("key")})
			return err
		},
	} {
		measure := func(cc grpc.ClientConnInterface) float64 {
			kv := pb.NewKVClient(cc)
			least := testing.AllocsPerRun(500, func() {
				if err := call(kv); err != nil {
					t.Error(err)
				}
			})
			for range 2 { // others allocate, too: timers, the server
				least = min(least, testing.AllocsPerRun(500, func() {
					if err := call(kv); err != nil {
						t.Error(err)
					}
				}))
			}
			return least
		}
		r, without, with := measure(raw), measure(off), measure(on)
		t.Logf("%s: %v allocations on gRPC alone, %v on a client, %v on one that is traced", name, r, without, with)
		if without > r+before {
			t.Errorf("%s: %v allocations, want at most %v + %d", name, without, r, before)
		}
		if with <= without {
			t.Errorf("%s: %v allocations with a tracer and %v without: the measurement is wrong", name, with, without)
		}
	}
}
