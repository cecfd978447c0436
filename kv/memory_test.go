package kv_test

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"strconv"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/getcd/getcd/internal/memconn"
	"github.com/getcd/getcd/kv"
)

// endless is a server with n keys, which it makes as they are read.
type endless struct {
	pb.UnimplementedKVServer
	n      int
	stream bool
	value  []byte
}

// from returns at most limit keys from the request's first key on.
func (e *endless) from(r *pb.RangeRequest, limit int) *pb.RangeResponse {
	first := 0
	if len(r.Key) > 1 {
		first, _ = strconv.Atoi(string(r.Key[1:8]))
		first++
	}
	n := min(limit, e.n-first)
	resp := &pb.RangeResponse{Header: &pb.ResponseHeader{Revision: 9}, Count: int64(e.n), More: first+n < e.n}
	for i := range n {
		resp.Kvs = append(resp.Kvs, &mvccpb.KeyValue{Key: fmt.Appendf(nil, "k%07d", first+i), Value: e.value, ModRevision: 5})
	}
	return resp
}

func (e *endless) Range(_ context.Context, r *pb.RangeRequest) (*pb.RangeResponse, error) {
	return e.from(r, int(r.Limit)), nil
}

func (e *endless) RangeStream(r *pb.RangeRequest, s grpc.ServerStreamingServer[pb.RangeStreamResponse]) error {
	if !e.stream {
		return e.UnimplementedKVServer.RangeStream(r, s)
	}
	for {
		part := e.from(r, 10_000) // as many as make 1.5 MiB
		more := part.More
		if more {
			part.Header, part.Count, part.More = nil, 0, false
		}
		if err := s.Send(&pb.RangeStreamResponse{RangeResponse: part}); err != nil || !more {
			return err
		}
		r.Key = part.Kvs[len(part.Kvs)-1].Key
	}
}

// A million keys take the memory of a few parts, the server's included.
func TestMemoryOfAMillionKeys(t *testing.T) {
	const limit = 64 << 20
	keys := 1_000_000
	if raceEnabled {
		keys = 50_000 // each takes ten times as long
	}
	for _, streams := range []bool{true, false} {
		lis := memconn.Listen()
		srv := grpc.NewServer()
		pb.RegisterKVServer(srv, &endless{n: keys, stream: streams, value: make([]byte, 100)})
		go func() { _ = srv.Serve(lis) }()
		cc, err := grpc.NewClient("passthrough:///etcd", grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }))
		if err != nil {
			t.Fatal(err)
		}
		runtime.GC()
		runtime.GC() // what is in pools outlives the first
		var before, now runtime.MemStats
		runtime.ReadMemStats(&before)
		n, most := 0, uint64(0)
		for pair, err := range kv.NewStreamer(cc).Scan(t.Context(), "k", kv.WithPrefix()) {
			if err != nil {
				t.Fatal(err)
			}
			if want := fmt.Sprintf("k%07d", n); n%1000 == 0 && string(pair.Key) != want {
				t.Fatalf("the key %s, want %s", pair.Key, want)
			}
			if n++; n%5000 == 0 {
				runtime.ReadMemStats(&now)
				most = max(most, now.HeapInuse)
			}
		}
		_ = cc.Close()
		srv.Stop()
		t.Logf("streams %v: at most %.1f MiB of heap, %.1f before; %.2f allocations a key, the server's included",
			streams, float64(most)/(1<<20), float64(before.HeapInuse)/(1<<20), float64(now.Mallocs-before.Mallocs)/float64(keys))
		// What other tests have left, such as what the runtime's stopped timers refer to, counts
		// twice, since the collector lets the heap grow to twice what is live.
		if limit := limit + 2*before.HeapInuse; n != keys || most > limit {
			t.Errorf("streams %v: %d keys with %d bytes of heap, want %d keys and at most %d bytes", streams, n, most, keys, limit)
		}
	}
}
