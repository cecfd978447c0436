package integration_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"

	"go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/watch"
)

// many is how many watches BenchmarkManyWatches makes at once.
const many = 10_000

// BenchmarkManyWatches makes 10,000 watches with one client, on a member and
// through etcd's gRPC proxy, until the server has confirmed all of them.
func BenchmarkManyWatches(b *testing.B) {
	c, p := behindProxy(b)
	for _, to := range []struct{ name, endpoint string }{{"member", c.Endpoints()[0]}, {"grpc-proxy", p.Endpoint()}} {
		ours := dial(b, client.Config{Endpoints: []string{to.endpoint}})
		b.Run("getcd/"+to.name, func(b *testing.B) {
			for b.Loop() {
				w := watch.New(ours.Conn())
				made(b, func(ctx context.Context) {
					chans := make([]watch.WatchChan, many)
					for i := range chans {
						chans[i] = w.Watch(ctx, fmt.Sprint("watched/", i), kv.WithCreatedNotify())
					}
					for i, ch := range chans {
						if resp := <-ch; !resp.Created {
							b.Fatalf("watch %d: got %+v, want it created", i, resp)
						}
					}
				})
				b.StopTimer()
				_ = w.Close()
				b.StartTimer()
			}
		})
		theirs, err := clientv3.New(clientv3.Config{Endpoints: []string{to.endpoint}, Logger: zap.NewNop()})
		if err != nil {
			b.Fatal(err)
		}
		b.Run("clientv3/"+to.name, func(b *testing.B) {
			for b.Loop() {
				w := clientv3.NewWatcher(theirs)
				made(b, func(ctx context.Context) {
					for i := range many { // each waits until it is created
						w.Watch(ctx, fmt.Sprint("watched/", i))
					}
				})
				b.StopTimer()
				_ = w.Close()
				b.StartTimer()
			}
		})
		_ = theirs.Close()
	}
}

// made reports the growth of the heap and the stacks per watch.
func made(b *testing.B, all func(ctx context.Context)) {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	var before, after runtime.MemStats
	b.StopTimer()
	runtime.GC()
	runtime.ReadMemStats(&before)
	b.StartTimer()
	all(ctx)
	b.StopTimer()
	runtime.GC()
	runtime.ReadMemStats(&after)
	grown := int64(after.HeapAlloc+after.StackInuse) - int64(before.HeapAlloc+before.StackInuse)
	b.ReportMetric(float64(grown)/many/1024, "KiB/watch")
	b.StartTimer()
}
