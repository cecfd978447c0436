package kv_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/kv"
)

// measured is a connection that notes the size of each page. With old set, it can't
// stream.
type measured struct {
	grpc.ClientConnInterface
	old     bool
	pages   []int // in bytes; -1 for one that was refused as too large
	limits  []int64
	ranges  int // pages that were no single keys
	streams int
}

func (m *measured) Invoke(ctx context.Context, method string, req, resp any, opts ...grpc.CallOption) error {
	err := m.ClientConnInterface.Invoke(ctx, method, req, resp, opts...)
	size := proto.Size(resp.(proto.Message))
	if err != nil {
		size = -1
	}
	if len(req.(*pb.RangeRequest).RangeEnd) > 0 {
		m.ranges++
	}
	m.pages, m.limits = append(m.pages, size), append(m.limits, req.(*pb.RangeRequest).Limit)
	return err
}

func (m *measured) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	m.streams++
	if m.old {
		return nil, status.Error(codes.Unimplemented, "unknown method RangeStream for service etcdserverpb.KV")
	}
	return m.ClientConnInterface.NewStream(ctx, desc, method, opts...)
}

// fill puts a key for each size, with a value of that many bytes, and returns the names.
func fill(t *testing.T, store kv.KV, sizes ...int) []string {
	t.Helper()
	names := make([]string, len(sizes))
	var ops []kv.Op
	bytes := 0
	for i, size := range sizes {
		names[i] = fmt.Sprintf("k%06d", i)
		ops = append(ops, kv.OpPut(names[i], strings.Repeat("v", size)))
		bytes += size
		if len(ops) == 100 || bytes > 1<<20 || i == len(sizes)-1 {
			if _, err := store.Txn(t.Context()).Then(ops...).Commit(); err != nil {
				t.Fatal(err)
			}
			ops, bytes = nil, 0
		}
	}
	return names
}

func scan(t *testing.T, s kv.Streamer, opts ...kv.OpOption) []string {
	t.Helper()
	var names []string
	for pair, err := range s.Scan(t.Context(), "k", append(opts, kv.WithPrefix())...) {
		if err != nil {
			t.Fatalf("after %d keys: %v", len(names), err)
		}
		names = append(names, string(pair.Key))
	}
	return names
}

// A page aims at 1 MiB, whatever the size of the values, and no message is larger than
// MaxPartSize, not even when the values become larger all of a sudden.
func TestPagesAreBounded(t *testing.T) {
	c := etcdtest.Start(t, 1, grpc.MaxRecvMsgSize(math.MaxInt32))
	unlimited := c.Conn(t, grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32)))
	store := kv.New(unlimited)
	sizes := slices.Concat(
		slices.Repeat([]int{0}, 2000),       // a page may have 8192 of these
		slices.Repeat([]int{500 << 10}, 24), // 12 MB
		slices.Repeat([]int{1000}, 1500),
		[]int{9 << 20}, // larger than MaxPartSize alone
		slices.Repeat([]int{10}, 100),
	)
	want := fill(t, store, sizes...)
	for _, old := range []bool{true, false} {
		conn := &measured{ClientConnInterface: unlimited, old: old}
		if got := scan(t, kv.NewStreamer(conn)); !slices.Equal(got, want) {
			t.Fatalf("old %v: got %d keys, want the %d that there are, each once and in order", old, len(got), len(want))
		}
		refused, single := 0, 0
		for i, size := range conn.pages {
			switch {
			case size < 0:
				refused++
			case size > kv.MaxPartSize && conn.limits[i] == 1:
				single++
			case size > kv.MaxPartSize:
				t.Errorf("old %v: a page of %d bytes, want at most %d", old, size, kv.MaxPartSize)
			}
		}
		if old && (single != 1 || refused > 13 || len(conn.pages) > 60) {
			t.Errorf("%d pages, of which %d were refused as too large, and %d had a large key alone; want at most 60, 13 and 1\n%v\n%v",
				len(conn.pages), refused, single, conn.pages, conn.limits)
		}
	}
}

// A message that the caller's limit forbids makes the pages smaller, and ends the reading
// only if it has a single key.
func TestPagesWithinTheCallersLimit(t *testing.T) {
	c := etcdtest.Start(t, 1)
	store := kv.New(c.Conn(t))
	want := fill(t, store, slices.Repeat([]int{10 << 10}, 100)...)
	for _, old := range []bool{true, false} {
		conn := &measured{ClientConnInterface: c.Conn(t), old: old}
		s := kv.NewStreamer(conn, grpc.MaxCallRecvMsgSize(64<<10))
		if got := scan(t, s); !slices.Equal(got, want) {
			t.Errorf("old %v: got %d keys, want %d", old, len(got), len(want))
		}
		if i := slices.IndexFunc(conn.pages, func(n int) bool { return n > 64<<10 }); i >= 0 {
			t.Errorf("old %v: a page of %d bytes", old, conn.pages[i])
		}
	}
	s := kv.NewStreamer(c.Conn(t), grpc.MaxCallRecvMsgSize(5<<10))
	n := 0
	for _, err := range s.Parts(t.Context(), "k", kv.WithPrefix()) {
		if n++; status.Code(err) != codes.ResourceExhausted {
			t.Errorf("a single key is too large: %v, want ResourceExhausted", err)
		}
	}
	if n != 1 {
		t.Errorf("%d parts, want the error alone", n)
	}
}

// A stream whose parts are too large is not asked for again.
func TestStreamOfLargeParts(t *testing.T) {
	c := etcdtest.Start(t, 1)
	conn := &measured{ClientConnInterface: c.Conn(t)}
	want := fill(t, kv.New(conn.ClientConnInterface), slices.Repeat([]int{10 << 10}, 100)...)
	if got := scan(t, kv.NewStreamer(conn, grpc.MaxCallRecvMsgSize(64<<10))); !slices.Equal(got, want) {
		t.Errorf("got %d keys, want %d", len(got), len(want))
	}
	if conn.streams != 1 { // ten keys, as the fake sends, are too large
		t.Errorf("%d streams, want 1", conn.streams)
	}
}

// Few keys take one stream. More take two, and a read of one key, which tells the revision:
// a page of many would have the server count them all. A server that has no streams is not
// asked for one each time.
func TestRoundTrips(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := etcdtest.Start(t, 1)
		want := fill(t, kv.New(c.Conn(t)), make([]int, 2500)...)
		for _, tt := range []struct {
			name                           string
			opts                           []kv.OpOption
			keys, streams, pages, oldPages int
		}{
			{"many", nil, 2500, 2, 1, 3},
			{"few", []kv.OpOption{kv.WithLimit(90)}, 90, 1, 0, 1},
			{"at a revision", []kv.OpOption{kv.WithRev(20)}, 1900, 1, 0, 3},
		} {
			conn := &measured{ClientConnInterface: c.Conn(t)}
			if got := scan(t, kv.NewStreamer(conn), tt.opts...); !slices.Equal(got, want[:tt.keys]) {
				t.Errorf("%s: got %d keys, want %d", tt.name, len(got), tt.keys)
			}
			if conn.streams != tt.streams || len(conn.pages) != tt.pages || conn.ranges != 0 {
				t.Errorf("%s: %d streams and %d requests, %d of them for ranges; want %d, %d and none",
					tt.name, conn.streams, len(conn.pages), conn.ranges, tt.streams, tt.pages)
			}
			count := int64(0)
			for part, err := range kv.NewStreamer(conn).Parts(t.Context(), "k", append(tt.opts, kv.WithPrefix())...) {
				if err != nil {
					t.Fatal(err)
				}
				count = part.Count
			}
			if got, err := kv.New(conn).Get(t.Context(), "k", append(tt.opts, kv.WithPrefix(), kv.WithCountOnly())...); err != nil || got.Count != count {
				t.Errorf("%s: the last part has count %d, Get has %+v (%v)", tt.name, count, got, err)
			}
			conn = &measured{ClientConnInterface: c.Conn(t), old: true}
			s := kv.NewStreamer(conn)
			for i := range 3 {
				if i == 2 {
					time.Sleep(2 * time.Minute)
				}
				conn.pages = nil
				if got := scan(t, s, tt.opts...); !slices.Equal(got, want[:tt.keys]) {
					t.Errorf("%s, without streams: got %d keys, want %d", tt.name, len(got), tt.keys)
				}
				if want := 1 + i/2; conn.streams != want || len(conn.pages) != tt.oldPages {
					t.Errorf("%s, without streams: after reading %d times, %d streams were asked for, and %d pages; want %d and %d",
						tt.name, i+1, conn.streams, len(conn.pages), want, tt.oldPages)
				}
			}
		}
	})
}

// A serializable read whose second page comes from a member that is behind waits for that
// member, and does not end with ErrFutureRev.
func TestPagesFromAMemberBehind(t *testing.T) {
	c := etcdtest.Start(t, 1)
	want := fill(t, kv.New(c.Conn(t)), make([]int, 2500)...)
	pages, behind := 0, 0
	c.Member(0).Intercept(func(_ context.Context, method string, req any, next func() (any, error)) (any, error) {
		if r, ok := req.(*pb.RangeRequest); ok && method == pb.KV_Range_FullMethodName {
			if pages++; pages > 1 && r.Serializable {
				behind++
				return nil, rpctypes.ErrGRPCFutureRev
			}
		}
		return next()
	})
	if got := scan(t, kv.NewStreamer(&measured{ClientConnInterface: c.Conn(t), old: true}), kv.WithSerializable()); !slices.Equal(got, want) {
		t.Errorf("got %d keys, want %d", len(got), len(want))
	}
	if behind != 1 {
		t.Errorf("the member was behind for %d pages, want 1", behind)
	}
	// The caller's own revision may be wrong, and is not waited for.
	for _, err := range kv.NewStreamer(c.Conn(t)).Parts(t.Context(), "k", kv.WithPrefix(), kv.WithSerializable(), kv.WithRev(1<<40)) {
		if !errors.Is(rpctypes.Error(err), rpctypes.ErrFutureRev) {
			t.Errorf("a revision of the future: %v, want ErrFutureRev", err)
		}
	}
}

// Scan gives the keys one by one, the same as Get.
func TestScan(t *testing.T) {
	c := etcdtest.Start(t, 1)
	store := kv.New(c.Conn(t))
	fill(t, store, make([]int, 350)...)
	for name, opts := range map[string][]kv.OpOption{
		"all":       {kv.WithPrefix()},
		"one":       nil,
		"from":      {kv.WithFromKey()},
		"range":     {kv.WithRange("k000200")},
		"limit":     {kv.WithPrefix(), kv.WithLimit(222)},
		"keys only": {kv.WithPrefix(), kv.WithKeysOnly()},
		"earlier":   {kv.WithPrefix(), kv.WithRev(3)},
		"ascending": {kv.WithPrefix(), kv.WithSort(kv.SortByKey, kv.SortAscend)},
	} {
		want, err := store.Get(t.Context(), "k000100", opts...)
		if err != nil {
			t.Fatal(err)
		}
		for way, s := range map[string]kv.Streamer{
			"stream": kv.NewStreamer(c.Conn(t)), "old": kv.NewStreamer(&old{ClientConnInterface: c.Conn(t)}), "pages": kv.StreamerOf(store),
		} {
			i := 0
			for pair, err := range s.Scan(t.Context(), "k000100", opts...) {
				if err != nil {
					t.Fatal(err)
				}
				if i >= len(want.Kvs) || !proto.Equal(pair, want.Kvs[i]) {
					t.Fatalf("%s, %s: pair %d is %v, which is not Get's", name, way, i, pair)
				}
				i++
			}
			if i != len(want.Kvs) {
				t.Errorf("%s, %s: %d pairs, want %d", name, way, i, len(want.Kvs))
			}
		}
	}
}

// What a Scan can't do is an error that says what can.
func TestScanMisuse(t *testing.T) {
	s := kv.NewStreamer(nowhere{})
	for option, opt := range map[string]kv.OpOption{
		"WithCountOnly": kv.WithCountOnly(), "WithSort": kv.WithSort(kv.SortByModRevision, kv.SortAscend),
		"a revision filter": kv.WithMinModRev(3), "WithLimit": kv.WithLimit(-1),
	} {
		n := 0
		for pair, err := range s.Scan(t.Context(), "k", kv.WithPrefix(), opt) {
			n++
			usage, ok := errors.AsType[*kv.UsageError](err)
			if !ok || usage.Option != option || pair != nil {
				t.Errorf("%s: %v, %v; want a *UsageError for it", option, pair, err)
			}
		}
		if n != 1 {
			t.Errorf("%s: %d pairs, want the error alone", option, n)
		}
	}
}

// Once its context has ended, a Scan gives no more keys, not even of the part that it has.
func TestScanCanceled(t *testing.T) {
	c := etcdtest.Start(t, 1)
	fill(t, kv.New(c.Conn(t)), make([]int, 90)...)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := 0
	for _, err := range kv.NewStreamer(c.Conn(t)).Scan(ctx, "k", kv.WithPrefix()) {
		if n++; n == 10 {
			cancel()
		}
		if (err != nil) != (n == 11) || err != nil && !errors.Is(err, context.Canceled) {
			t.Fatalf("pair %d: %v, want context.Canceled at the eleventh", n, err)
		}
	}
	if n != 11 {
		t.Errorf("%d pairs, want 10 and the error", n)
	}
}
