package cache_test

import (
	"fmt"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/middleware/cache"
)

// BenchmarkGet reads one of 10,000 keys, with 256 callers, from an etcd in memory. The round trips
// are those of all callers together for one read.
func BenchmarkGet(b *testing.B) {
	cluster := etcdtest.NewCluster(1)
	defer cluster.Close()
	conn, err := cluster.Dial()
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	store := kv.New(conn)
	keys := make([]string, 10_000)
	for i := range keys {
		keys[i] = fmt.Sprintf("bench/%05d", i)
		if _, err := store.Put(b.Context(), keys[i], "a value of some twenty bytes"); err != nil {
			b.Fatal(err)
		}
	}
	cached := cache.NewConn(conn, []string{"bench/"})
	defer func() { _ = cached.Close() }()
	if err := cached.WaitReady(b.Context()); err != nil {
		b.Fatal(err)
	}
	for _, bench := range []struct {
		name string
		kv   kv.KV
		opts []kv.OpOption
	}{
		{"linearizable", kv.New(cached), nil},
		{"serializable", kv.New(cached), []kv.OpOption{kv.WithSerializable()}},
		{"without", store, nil},
	} {
		b.Run(bench.name, func(b *testing.B) {
			trips := func() int {
				return cluster.Member(0).Calls(pb.KV_Range_FullMethodName) + cluster.Member(0).Calls(pb.KV_Txn_FullMethodName)
			}
			before := trips()
			b.ReportAllocs()
			b.SetParallelism(128) // times the processors
			b.RunParallel(func(p *testing.PB) {
				for i := 0; p.Next(); i++ {
					resp, err := bench.kv.Get(b.Context(), keys[i*7919%len(keys)], bench.opts...)
					if err != nil || len(resp.Kvs) != 1 {
						b.Error(resp, err)
						return
					}
				}
			})
			b.ReportMetric(float64(trips()-before)/float64(b.N), "trips/op")
		})
	}
}
