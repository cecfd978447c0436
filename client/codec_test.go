package client_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/kv"
)

// counting is a codec of a user's.
type counting struct {
	encoding.CodecV2

	name string
	n    *atomic.Int64
}

func (c counting) Name() string { return c.name }

func (c counting) Unmarshal(data mem.BufferSlice, v any) error {
	switch v.(type) {
	case *pb.RangeResponse, *pb.RangeStreamResponse:
		c.n.Add(1)
	}
	return c.CodecV2.Unmarshal(data, v)
}

func newCounting(name string) counting {
	return counting{encoding.GetCodecV2(proto.Name), name, new(atomic.Int64)}
}

// named is registered, so that a content subtype names it.
var named = newCounting("client-test")

func init() { encoding.RegisterCodecV2(named) }

// A user's codec decodes the answers, wherever the user sets it, and the client's own changes
// nothing that is sent.
func TestCodecOfTheUser(t *testing.T) {
	forced := newCounting("proto")
	for name, tt := range map[string]struct {
		dial    []grpc.DialOption
		call    []grpc.CallOption
		counter *atomic.Int64
		content string
	}{
		"none":                                {content: "application/grpc"},
		"forced on the connection":            {dial: always(grpc.ForceCodecV2(forced)), counter: forced.n, content: "application/grpc+proto"},
		"forced for the call":                 {call: []grpc.CallOption{grpc.ForceCodecV2(forced)}, counter: forced.n, content: "application/grpc+proto"},
		"named on the connection":             {dial: always(grpc.CallContentSubtype(named.name)), counter: named.n, content: "application/grpc+client-test"},
		"named for the call":                  {call: []grpc.CallOption{grpc.CallContentSubtype(named.name)}, counter: named.n, content: "application/grpc+client-test"},
		"forced on a connection with another": {dial: always(grpc.CallContentSubtype(named.name), grpc.ForceCodecV2(forced)), counter: forced.n, content: "application/grpc+client-test"},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, 1, func(c *client.Config) { c.DialOptions = append(c.DialOptions, tt.dial...) }, func(r *rig) {
				t := r.t
				for i := range 60 {
					if _, err := r.Put(t.Context(), fmt.Sprint("k", i), strings.Repeat("v", 50)); err != nil {
						t.Fatal(err)
					}
				}
				count := func() int64 {
					if tt.counter == nil {
						return 0
					}
					return tt.counter.Load()
				}
				before := count()
				resp, err := kv.New(r.Conn(), tt.call...).Get(t.Context(), "k", kv.WithPrefix())
				if err != nil || len(resp.Kvs) != 60 || len(resp.Kvs[59].Value) != 50 {
					t.Fatalf("Get: %v, %v; want 60 keys", resp, err)
				}
				if tt.counter != nil && count() != before+1 {
					t.Error("Get: the user's codec has not decoded the answer")
				}
				if got := r.cluster.Member(0).LastMetadata("/etcdserverpb.KV/Range").Get("content-type"); len(got) != 1 || got[0] != tt.content {
					t.Errorf("the content type is %q, want %q", got, tt.content)
				}
				before = count()
				stream, err := pb.NewKVClient(r.Conn()).RangeStream(t.Context(), &pb.RangeRequest{Key: []byte("k"), RangeEnd: []byte("l")}, tt.call...)
				parts := int64(0)
				for err == nil {
					if _, err = stream.Recv(); err == nil {
						parts++
					}
				}
				if tt.counter != nil && count() != before+parts {
					t.Errorf("RangeStream: the user's codec has decoded %d parts of %d", count()-before, parts)
				}
			})
		})
	}
}

func always(opts ...grpc.CallOption) []grpc.DialOption {
	return []grpc.DialOption{grpc.WithDefaultCallOptions(opts...)}
}

// A client decodes a large answer with fewer allocations than a plain connection, which makes
// three for each key.
func TestAllocationsOfALargeGet(t *testing.T) {
	const keys = 5000
	cluster := etcdtest.Start(t, 1)
	plain := cluster.Conn(t)
	c, err := client.New(client.Config{Endpoints: cluster.Addrs(), DialOptions: cluster.DialOptions()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	for i := 0; i < keys; i += 100 {
		ops := make([]kv.Op, 100)
		for j := range ops {
			ops[j] = kv.OpPut(fmt.Sprintf("k%06d", i+j), strings.Repeat("v", 64))
		}
		if _, err := c.Txn(t.Context()).Then(ops...).Commit(); err != nil {
			t.Fatal(err)
		}
	}
	// The server's allocations are in both.
	measure := func(store kv.KV) float64 {
		return testing.AllocsPerRun(5, func() {
			resp, err := store.Get(t.Context(), "k", kv.WithPrefix())
			if err != nil || len(resp.Kvs) != keys {
				t.Fatalf("%d keys, %v; want %d", len((*pb.RangeResponse)(resp).GetKvs()), err, keys)
			}
		}) / keys
	}
	raw, ours := measure(kv.New(plain)), measure(c)
	t.Logf("%.2f allocations a key on a plain connection, %.2f on the client", raw, ours)
	if raw-ours < 2.7 {
		t.Errorf("the client makes %.2f allocations a key fewer than a plain connection, want 2.7", raw-ours)
	}
}
