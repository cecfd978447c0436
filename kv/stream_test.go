package kv_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/kv"
)

// old is a connection to a server that cannot stream.
type old struct {
	grpc.ClientConnInterface
	ranges int
}

func (o *old) Invoke(ctx context.Context, method string, req, resp any, opts ...grpc.CallOption) error {
	o.ranges++
	return o.ClientConnInterface.Invoke(ctx, method, req, resp, opts...)
}

func (o *old) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, status.Error(codes.Unimplemented, "unknown method RangeStream for service etcdserverpb.KV")
}

// All parts together equal the response of Get, whether the server streams or
// not.
func TestStream(t *testing.T) {
	c := etcdtest.Start(t, 1)
	conn := c.Conn(t)
	store := kv.New(conn)
	for i := range 25 {
		if _, err := store.Put(t.Context(), fmt.Sprintf("k%02d", i), "v"); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name string
		key  string
		opts []kv.OpOption
	}{
		{"all", "k", []kv.OpOption{kv.WithPrefix()}},
		{"one", "k07", nil},
		{"none", "x", []kv.OpOption{kv.WithPrefix()}},
		{"limited", "k", []kv.OpOption{kv.WithPrefix(), kv.WithLimit(13)}},
		{"just as many", "k", []kv.OpOption{kv.WithPrefix(), kv.WithLimit(25)}},
		{"counted", "k", []kv.OpOption{kv.WithPrefix(), kv.WithCountOnly()}},
		{"earlier", "k", []kv.OpOption{kv.WithPrefix(), kv.WithRev(10)}},
		{"sorted", "k", []kv.OpOption{kv.WithPrefix(), kv.WithSort(kv.SortByKey, kv.SortDescend)}},
		{"filtered", "k", []kv.OpOption{kv.WithPrefix(), kv.WithMinModRev(9)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want, err := store.Get(t.Context(), tt.key, tt.opts...)
			if err != nil {
				t.Fatal(err)
			}
			for name, s := range map[string]kv.Streamer{
				"new": kv.NewStreamer(conn), "old": kv.NewStreamer(&old{ClientConnInterface: conn}), "pages": kv.StreamerOf(store),
			} {
				stream, err := s.GetStream(t.Context(), tt.key, tt.opts...)
				if err != nil {
					t.Fatal(err)
				}
				got, err := kv.GetStreamToGetResponse(stream)
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				if diff := cmp.Diff((*pb.RangeResponse)(want), (*pb.RangeResponse)(got), protocmp.Transform()); diff != "" {
					t.Errorf("%s: -want +got:\n%s", name, diff)
				}
			}
		})
	}
}

// A server that does not stream is asked for pages of 100 keys, then of at most ten
// times as many as the page before had. All of them have one revision, even if keys
// change meanwhile.
func TestStreamPages(t *testing.T) {
	c := etcdtest.Start(t, 1)
	store := kv.New(c.Conn(t))
	want := putKeys(t, store, 2500)
	tests := []struct {
		limit  int64
		keys   int
		ranges int
		more   bool
	}{{0, 2500, 3, false}, {100, 100, 1, true}, {1000, 1000, 2, true}, {1700, 1700, 3, true}, {2500, 2500, 3, false}, {3000, 2500, 3, false}}
	for _, tt := range tests {
		conn := &old{ClientConnInterface: c.Conn(t)}
		var keys []string
		var last *kv.GetResponse
		for part, err := range kv.NewStreamer(conn).Parts(t.Context(), "k", kv.WithPrefix(), kv.WithLimit(tt.limit)) {
			if err != nil {
				t.Fatal(err)
			}
			if last != nil && last.Header != nil {
				t.Error("a part that is not the last has a header")
			}
			for _, pair := range part.Kvs {
				keys = append(keys, string(pair.Key))
			}
			last = part
			if _, err := store.Put(t.Context(), "k9999", "late"); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(want[:tt.keys], keys); diff != "" {
			t.Errorf("limit %d: -want +got:\n%s", tt.limit, diff)
		}
		if last.Count != 2500 || last.More != tt.more || last.Header == nil {
			t.Errorf("limit %d: the last part has count %d, more %v, header %v; want 2500, %v and one", tt.limit, last.Count, last.More, last.Header, tt.more)
		}
		if conn.ranges != tt.ranges {
			t.Errorf("limit %d: %d requests, want %d", tt.limit, conn.ranges, tt.ranges)
		}
		if _, err := store.Delete(t.Context(), "k9999"); err != nil {
			t.Fatal(err)
		}
	}
}

// Misuse is reported before anything is sent.
func TestStreamMisuse(t *testing.T) {
	streamer := kv.NewStreamer(etcdtest.Start(t, 1).Conn(t))
	if _, err := streamer.GetStream(t.Context(), "k", kv.WithLimit(-1)); !isUsage(err) {
		t.Errorf("GetStream with a negative limit: %v, want a *UsageError", err)
	}
	for _, err := range streamer.Parts(t.Context(), "") {
		if !isUsage(err) {
			t.Errorf("Parts without a key: %v, want a *UsageError", err)
		}
	}
}

// A stream ends with its context, read or not. Its last response says so even if the channel
// was full: a part of the answer must not look like all of it.
func TestStreamEnds(t *testing.T) {
	for read := range 2 {
		t.Run(fmt.Sprintf("after %d parts", read), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn := etcdtest.Start(t, 1).Conn(t)
				putKeys(t, kv.New(conn), 2500) // three pages
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				stream, err := kv.NewStreamer(&old{ClientConnInterface: conn}).GetStream(ctx, "k", kv.WithPrefix())
				if err != nil {
					t.Fatal(err)
				}
				for range read {
					if part := <-stream; part.Err() != nil || len(part.Kvs) == 0 {
						t.Fatalf("got %v, want a part", part)
					}
				}
				synctest.Wait() // one part is in the channel, and the next one waits for room
				cancel()
				synctest.Wait()
				if got, err := kv.GetStreamToGetResponse(stream); !errors.Is(err, context.Canceled) {
					t.Errorf("got %d keys and %v, want %v", len((*pb.RangeResponse)(got).GetKvs()), err, context.Canceled)
				}
				if part, open := <-stream; open {
					t.Errorf("after the error comes %v, want the end", part)
				}
			})
		})
	}
}

// putKeys puts the keys k0000, k0001 and so on, and returns them.
func putKeys(t *testing.T, store kv.KV, n int) []string {
	t.Helper()
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("k%04d", i)
	}
	for part := range slices.Chunk(keys, 100) {
		var puts []kv.Op
		for _, key := range part {
			puts = append(puts, kv.OpPut(key, "v"))
		}
		if _, err := store.Txn(t.Context()).Then(puts...).Commit(); err != nil {
			t.Fatal(err)
		}
	}
	return keys
}

func isUsage(err error) bool {
	_, ok := errors.AsType[*kv.UsageError](err)
	return ok
}
