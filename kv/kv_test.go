package kv_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lease"
)

func mustPut(t *testing.T, store kv.KV, key, val string, opts ...kv.OpOption) *kv.PutResponse {
	t.Helper()
	resp, err := store.Put(t.Context(), key, val, opts...)
	if err != nil {
		t.Fatalf("put %q: %v", key, err)
	}
	return resp
}

// show formats a response as "key=value" pairs.
func show(resp *kv.GetResponse) string {
	pairs := make([]string, 0, len(resp.Kvs))
	for _, kv := range resp.Kvs {
		pairs = append(pairs, fmt.Sprintf("%s=%s", kv.Key, kv.Value))
	}
	return strings.Join(pairs, " ")
}

func TestPutGetDelete(t *testing.T) {
	store, _ := newKV(t)
	ctx := t.Context()
	mustPut(t, store, "web/1", "a")        // 2
	mustPut(t, store, "web/2", "b")        // 3
	mustPut(t, store, "web/\xff\xff", "c") // 4
	mustPut(t, store, "x", "d")            // 5
	prev := mustPut(t, store, "web/1", "e", kv.WithPrevKV())
	if prev.Header.Revision != 6 || string(prev.PrevKv.GetValue()) != "a" {
		t.Errorf("put: got %v, want revision 6 and the previous value a", prev.Header)
	}

	gets := []struct {
		name string
		key  string
		opts []kv.OpOption
		want string
	}{
		{"one", "web/1", nil, "web/1=e"},
		{"absent", "web", nil, ""},
		{"prefix", "web/", []kv.OpOption{kv.WithPrefix()}, "web/1=e web/2=b web/\xff\xff=c"},
		{"all by prefix", "", []kv.OpOption{kv.WithPrefix()}, "web/1=e web/2=b web/\xff\xff=c x=d"},
		{"all from key", "", []kv.OpOption{kv.WithFromKey()}, "web/1=e web/2=b web/\xff\xff=c x=d"},
		{"from key", "web/2", []kv.OpOption{kv.WithFromKey()}, "web/2=b web/\xff\xff=c x=d"},
		{"range", "web/1", []kv.OpOption{kv.WithRange("web/2")}, "web/1=e"},
		{"empty range", "x", []kv.OpOption{kv.WithRange("x")}, ""},
		{"limit", "web/", []kv.OpOption{kv.WithPrefix(), kv.WithLimit(1)}, "web/1=e"},
		{"revision", "web/1", []kv.OpOption{kv.WithRev(5)}, "web/1=a"},
		{"serializable", "x", []kv.OpOption{kv.WithSerializable()}, "x=d"},
		{"keys only", "x", []kv.OpOption{kv.WithKeysOnly()}, "x="},
		{"sorted by value", "", []kv.OpOption{kv.WithPrefix(), kv.WithSort(kv.SortByValue, kv.SortDescend)}, "web/1=e x=d web/\xff\xff=c web/2=b"},
		{"sorted by key, ascending", "", []kv.OpOption{kv.WithPrefix(), kv.WithSort(kv.SortByKey, kv.SortAscend)}, "web/1=e web/2=b web/\xff\xff=c x=d"},
		{"filtered", "", []kv.OpOption{kv.WithPrefix(), kv.WithMinCreateRev(3), kv.WithMaxModRev(4)}, "web/2=b web/\xff\xff=c"},
		{"first key", "web/", kv.WithFirstKey(), "web/1=e"},
		{"last key", "", kv.WithLastKey(), "x=d"},
		{"first change", "", kv.WithFirstRev(), "web/2=b"},
		{"last change", "", kv.WithLastRev(), "web/1=e"},
		{"first created", "", kv.WithFirstCreate(), "web/1=e"},
		{"last created", "", kv.WithLastCreate(), "x=d"},
		{"last two created", "", append(kv.WithLastCreate(), kv.WithLimit(2)), "x=d web/\xff\xff=c"},
	}
	for _, tt := range gets {
		t.Run(tt.name, func(t *testing.T) {
			resp, err := store.Get(ctx, tt.key, tt.opts...)
			if err != nil {
				t.Fatal(err)
			}
			if got := show(resp); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}

	count, err := store.Get(ctx, "web/", kv.WithPrefix(), kv.WithCountOnly())
	if err != nil || count.Count != 3 || len(count.Kvs) != 0 {
		t.Errorf("count: got %d and %d keys, %v, want 3 and none", count.Count, len(count.Kvs), err)
	}
	del, err := store.Delete(ctx, "web/", kv.WithPrefix(), kv.WithPrevKV())
	if err != nil || del.Deleted != 3 || len(del.PrevKvs) != 3 {
		t.Errorf("delete: got %d deleted and %d before, %v, want 3 and 3", del.Deleted, len(del.PrevKvs), err)
	}
	if rest, err := store.Get(ctx, "", kv.WithPrefix()); err != nil || show(rest) != "x=d" {
		t.Errorf("afterwards: got %q, %v, want x=d", show(rest), err)
	}
}

func TestLeaseOptions(t *testing.T) {
	store, c := newKV(t)
	if _, err := pb.NewLeaseClient(c.Conn(t)).LeaseGrant(t.Context(), &pb.LeaseGrantRequest{ID: 7, TTL: 60}); err != nil {
		t.Fatal(err)
	}
	leaseOf := func(key string) (int64, string) {
		t.Helper()
		resp, err := store.Get(t.Context(), key)
		if err != nil || len(resp.Kvs) != 1 {
			t.Fatalf("get %s: got %v, %v", key, resp, err)
		}
		return resp.Kvs[0].Lease, string(resp.Kvs[0].Value)
	}
	mustPut(t, store, "k", "a", kv.WithLease(7))
	mustPut(t, store, "k", "b", kv.WithIgnoreLease())
	if id, val := leaseOf("k"); id != 7 || val != "b" {
		t.Errorf("after WithIgnoreLease: got lease %d and %q, want 7 and b", id, val)
	}
	mustPut(t, store, "k", "", kv.WithIgnoreValue())
	if id, val := leaseOf("k"); id != 0 || val != "b" {
		t.Errorf("after WithIgnoreValue: got lease %d and %q, want none and b", id, val)
	}
}

func TestCompact(t *testing.T) {
	store, _ := newKV(t)
	ctx := t.Context()
	for range 3 {
		mustPut(t, store, "k", "v") // 2, 3, 4
	}
	if _, err := store.Compact(ctx, 3, kv.WithCompactPhysical()); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		call func() error
		want error
	}{
		{"get below", func() error { _, err := store.Get(ctx, "k", kv.WithRev(2)); return err }, rpctypes.ErrGRPCCompacted},
		{"get at", func() error { _, err := store.Get(ctx, "k", kv.WithRev(3)); return err }, nil},
		{"get to come", func() error { _, err := store.Get(ctx, "k", kv.WithRev(5)); return err }, rpctypes.ErrGRPCFutureRev},
		{"compact again", func() error { _, err := store.Compact(ctx, 3); return err }, rpctypes.ErrGRPCCompacted},
		{"compact to come", func() error { _, err := store.Compact(ctx, 5); return err }, rpctypes.ErrGRPCFutureRev},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.call(); status.Convert(err).Message() != status.Convert(tt.want).Message() {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestTxn(t *testing.T) {
	store, _ := newKV(t)
	ctx := t.Context()
	mustPut(t, store, "k", "v")

	resp, err := store.Txn(ctx).
		If(kv.Compare(kv.Value("k"), "=", "v"), kv.Compare(kv.Version("new"), "=", 0)).
		Then(
			kv.OpPut("k", "w"),
			kv.OpTxn(
				[]kv.Cmp{kv.Compare(kv.ModRevision("k"), ">", 2)},
				[]kv.Op{kv.OpDelete("other")},
				[]kv.Op{kv.OpPut("new", "1"), kv.OpGet("k")},
			),
		).
		Else(kv.OpGet("k")).
		Commit()
	if err != nil {
		t.Fatal(err)
	}
	nested := resp.Responses[1].GetResponseTxn()
	if !resp.Succeeded || nested.GetSucceeded() || resp.Header.Revision != 3 {
		t.Fatalf("got %v, want the outer transaction to take Then, and the nested one Else", (*pb.TxnResponse)(resp))
	}
	if got := string(nested.Responses[1].GetResponseRange().Kvs[0].Value); got != "w" {
		t.Errorf("read inside the transaction: got %q, want w", got)
	}

	compare := []struct {
		name string
		cmp  kv.Cmp
		want bool
	}{
		{"value", kv.Compare(kv.Value("k"), "=", "w"), true},
		{"value of an absent key", kv.Compare(kv.Value("absent"), "=", ""), false},
		{"version greater", kv.Compare(kv.Version("k"), ">", 1), true},
		{"version less", kv.Compare(kv.Version("k"), "<", int64(2)), false},
		{"create revision", kv.Compare(kv.CreateRevision("k"), "!=", 2), false},
		{"mod revision", kv.Compare(kv.ModRevision("k"), "=", 3), true},
		{"no lease", kv.Compare(kv.LeaseValue("k"), "=", lease.NoLease), true},
		{"prefix", kv.Compare(kv.ModRevision(""), "=", 3).WithPrefix(), true},
		{"range before the comparison", kv.Compare(kv.CreateRevision("k").WithRange("z"), "<", 3), false},
		{"message", kv.FromCompare(&pb.Compare{Key: []byte("absent")}), true},
	}
	for _, tt := range compare {
		t.Run(tt.name, func(t *testing.T) {
			resp, err := store.Txn(ctx).If(tt.cmp).Commit()
			if err != nil {
				t.Fatal(err)
			}
			if resp.Succeeded != tt.want {
				t.Errorf("got %v, want %v", resp.Succeeded, tt.want)
			}
		})
	}
}

func TestDo(t *testing.T) {
	store, _ := newKV(t)
	ctx := t.Context()
	do := func(op kv.Op) kv.OpResponse {
		t.Helper()
		resp, err := store.Do(ctx, op)
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	if got := do(kv.OpPut("k", "v")); got.Put() == nil || got.Put().OpResponse() != got {
		t.Errorf("put: got %+v", got)
	}
	if got := do(kv.OpGet("k")); got.Get() == nil || show(got.Get()) != "k=v" || got.Get().OpResponse() != got {
		t.Errorf("get: got %+v", got)
	}
	if got := do(kv.OpTxn(nil, []kv.Op{kv.OpGet("k")}, nil)); got.Txn() == nil || !got.Txn().Succeeded || got.Txn().OpResponse() != got {
		t.Errorf("txn: got %+v", got)
	}
	if got := do(kv.OpDelete("k")); got.Del() == nil || got.Del().Deleted != 1 || got.Del().OpResponse() != got {
		t.Errorf("delete: got %+v", got)
	}
}

// The connection's errors are returned unchanged.
func TestConnectionError(t *testing.T) {
	c := etcdtest.Start(t, 1)
	conn := c.Conn(t)
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := kv.New(conn).Get(t.Context(), "k")
	var usage *kv.UsageError
	if err == nil || errors.As(err, &usage) {
		t.Errorf("got %v, want the closed connection's error", err)
	}
}
