package watch_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/watch"
)

// BenchmarkFanout delivers events to 100 watches of one prefix: an operation is a
// transaction of 100 puts, and what follows until all watches have had it. Few puts show
// what a response costs, many what an event does.
func BenchmarkFanout(b *testing.B) {
	const watches = 100
	for _, puts := range []int{1, 100} {
		for _, form := range []string{"shared", "own"} {
			b.Run(fmt.Sprintf("puts=%d/%s", puts, form), func(b *testing.B) {
				c := etcdtest.Start(b, 1)
				conn := c.Conn(b)
				store := kv.New(conn)
				var opts []watch.Option
				if form == "own" {
					opts = append(opts, watch.WithOwnEvents())
				}
				w := watch.New(conn, opts...)
				defer w.Close()
				ctx, cancel := context.WithCancel(b.Context())
				defer cancel()
				var left atomic.Int64
				done := make(chan struct{}, 1)
				for range watches {
					ch := w.Watch(ctx, "p/", kv.WithPrefix(), kv.WithCreatedNotify())
					if resp := <-ch; !resp.Created {
						b.Fatalf("got %+v, want it created", resp)
					}
					go func() { // ends with ctx
						for resp := range ch {
							if n := len(resp.Events); n > 0 && left.Add(-int64(n)) == 0 {
								done <- struct{}{}
							}
						}
					}()
				}
				ops := make([]kv.Op, puts)
				for i := range ops {
					ops[i] = kv.OpPut(fmt.Sprint("p/", i), "a value of twenty b.")
				}
				b.ReportAllocs()
				for b.Loop() {
					left.Store(int64(puts * watches))
					if _, err := store.Txn(ctx).Then(ops...).Commit(); err != nil {
						b.Fatal(err)
					}
					<-done
				}
				b.ReportMetric(float64(b.N*puts*watches)/b.Elapsed().Seconds(), "events/s")
			})
		}
	}
}
