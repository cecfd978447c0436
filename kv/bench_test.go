package kv_test

import (
	"context"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/kv"
)

// nowhere is a connection that does nothing, so that the benchmark measures only
// the code above it.
type nowhere struct{ grpc.ClientConnInterface }

func (nowhere) Invoke(context.Context, string, any, any, ...grpc.CallOption) error { return nil }

// The strings are variables, as in a real program, so that the compiler cannot
// preallocate their bytes.
var (
	benchKey   = "benchmark/key"
	benchValue = "a value of some length, so that its copy is not on the stack"
)

func rawPut(ctx context.Context, stub pb.KVClient) {
	_, _ = stub.Put(ctx, &pb.PutRequest{Key: []byte(benchKey), Value: []byte(benchValue)})
}

func rawGet(ctx context.Context, stub pb.KVClient) {
	_, _ = stub.Range(ctx, &pb.RangeRequest{Key: []byte(benchKey)})
}

func BenchmarkPut(b *testing.B) {
	ctx := b.Context()
	store := kv.New(nowhere{})
	stub := pb.NewKVClient(nowhere{})
	b.Run("raw", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			rawPut(ctx, stub)
		}
	})
	b.Run("kv", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = store.Put(ctx, benchKey, benchValue)
		}
	})
	b.Run("kv-lease", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = store.Put(ctx, benchKey, benchValue, kv.WithLease(7))
		}
	})
}

func BenchmarkGet(b *testing.B) {
	ctx := b.Context()
	store := kv.New(nowhere{})
	stub := pb.NewKVClient(nowhere{})
	b.Run("raw", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			rawGet(ctx, stub)
		}
	})
	b.Run("kv", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = store.Get(ctx, benchKey)
		}
	})
	b.Run("kv-prefix-limit", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = store.Get(ctx, benchKey, kv.WithPrefix(), kv.WithLimit(7))
		}
	})
}

// Without options a call allocates no more than the generated stub. An option
// costs one allocation for the Op and one for its argument.
func TestAllocations(t *testing.T) {
	ctx := t.Context()
	store := kv.New(nowhere{})
	stub := pb.NewKVClient(nowhere{})
	measure := func(call func()) float64 {
		least := testing.AllocsPerRun(100, call)
		for range 2 { // what other tests have left may allocate, too
			least = min(least, testing.AllocsPerRun(100, call))
		}
		return least
	}
	put := measure(func() { rawPut(ctx, stub) })
	get := measure(func() { rawGet(ctx, stub) })
	tests := []struct {
		name string
		call func()
		most float64
	}{
		{"put", func() { _, _ = store.Put(ctx, benchKey, benchValue) }, put},
		{"put with a lease", func() { _, _ = store.Put(ctx, benchKey, benchValue, kv.WithLease(7)) }, put + 3},
		{"get", func() { _, _ = store.Get(ctx, benchKey) }, get},
		{"get of a prefix", func() { _, _ = store.Get(ctx, benchKey, kv.WithPrefix(), kv.WithLimit(7)) }, get + 4},
	}
	for _, tt := range tests {
		if got := measure(tt.call); got > tt.most {
			t.Errorf("%s: got %v allocations, want at most %v (raw put %v, raw get %v)", tt.name, got, tt.most, put, get)
		}
	}
}
