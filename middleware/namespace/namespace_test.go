package namespace_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lease"
	"github.com/getcd/getcd/middleware/namespace"
	"github.com/getcd/getcd/watch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a fake cluster in a synctest bubble, with one of the two ways into a
// namespace: services of the connection that are wrapped, or a wrapped connection.
type rig struct {
	t       *testing.T
	conn    *grpc.ClientConn
	wrapped bool
}

// run tests both ways.
func run(t *testing.T, test func(r rig)) {
	t.Helper()
	for name, wrapped := range map[string]bool{"services": false, "connection": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(rig{t, etcdtest.Start(t, 1).Conn(t), wrapped}) })
		})
	}
}

func (r rig) store(prefix string) kv.KV {
	if r.wrapped {
		return kv.New(namespace.NewConn(r.conn, prefix))
	}
	return namespace.NewKV(kv.New(r.conn), prefix)
}

func (r rig) watcher(prefix string) watch.Watcher {
	if r.wrapped {
		return watch.New(namespace.NewConn(r.conn, prefix))
	}
	return namespace.NewWatcher(watch.New(r.conn), prefix)
}

func (r rig) leases(prefix string) lease.Lease {
	if r.wrapped {
		return lease.New(namespace.NewConn(r.conn, prefix))
	}
	return namespace.NewLease(lease.New(r.conn), prefix)
}

func put(t *testing.T, store kv.KV, pairs ...string) {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if _, err := store.Put(t.Context(), pairs[i], pairs[i+1]); err != nil {
			t.Fatalf("Put: %v", err)
		}
	}
}

func keys(kvs []*mvccpb.KeyValue) []string {
	var out []string
	for _, k := range kvs {
		out = append(out, string(k.Key))
	}
	return out
}

// Prefixes whose range ends are easy and hard to compute.
var prefixes = []string{"p/", "p", "\x00", "p\xff", "\xff\xff", ""}

func TestRanges(t *testing.T) {
	inside := []string{"\x00", "a", "a/b", "b", "\xff", "\xff\xff"}
	for _, p := range prefixes {
		t.Run(fmt.Sprintf("prefix %q", p), func(t *testing.T) {
			run(t, func(r rig) {
				t, conn := r.t, r.conn
				outer := kv.New(conn)
				store := r.store(p)
				for _, key := range inside {
					put(t, store, key, "v")
				}
				if p != "" { // neighbours, and the prefix itself
					put(t, outer, p, "v", "o", "v", p[:len(p)-1]+"\x00\x00", "v", "q", "v", "\xff", "v", "p\x00", "v")
				}
				before, err := outer.Get(t.Context(), "", kv.WithPrefix(), kv.WithCountOnly())
				if err != nil {
					t.Fatal(err)
				}
				for _, test := range []struct {
					name, key string
					opts      []kv.OpOption
					want      []string
				}{
					{"one", "a", nil, []string{"a"}},
					{"none", "c", nil, nil},
					{"all", "", []kv.OpOption{kv.WithPrefix()}, inside},
					{"from the beginning", "", []kv.OpOption{kv.WithFromKey()}, inside},
					{"prefix", "a", []kv.OpOption{kv.WithPrefix()}, []string{"a", "a/b"}},
					{"last prefix", "\xff", []kv.OpOption{kv.WithPrefix()}, []string{"\xff", "\xff\xff"}},
					{"from", "b", []kv.OpOption{kv.WithFromKey()}, []string{"b", "\xff", "\xff\xff"}},
					{"range", "a", []kv.OpOption{kv.WithRange("b")}, []string{"a", "a/b"}},
					{"empty range", "a", []kv.OpOption{kv.WithRange("a")}, nil},
					{"without an end", "a/", []kv.OpOption{kv.WithRange("\x00")}, []string{"a/b", "b", "\xff", "\xff\xff"}},
					{"last key", "", kv.WithLastKey(), []string{"\xff\xff"}},
				} {
					got, err := store.Get(t.Context(), test.key, test.opts...)
					if err != nil {
						t.Fatalf("Get, %s: %v", test.name, err)
					}
					if !slices.Equal(keys(got.Kvs), test.want) {
						t.Errorf("Get, %s: %q, want %q", test.name, keys(got.Kvs), test.want)
					}
				}
				if p != "" {
					resp, err := store.Delete(t.Context(), "", kv.WithPrefix(), kv.WithPrevKV())
					if err != nil || !slices.Equal(keys(resp.PrevKvs), inside) {
						t.Errorf("Delete: %q (%v), want %q", keys(resp.PrevKvs), err, inside)
					}
					after, err := outer.Get(t.Context(), "", kv.WithPrefix(), kv.WithCountOnly())
					if err != nil || after.Count != before.Count-int64(len(inside)) {
						t.Errorf("%d keys are left (%v), want %d", after.Count, err, before.Count-int64(len(inside)))
					}
				}
			})
		})
	}
}

// Whatever is done in a namespace has the outcome that it has in a store of one's
// own, and leaves the others alone.
func TestLikeAStoreOfItsOwn(t *testing.T) {
	run(t, func(r rig) {
		t, conn := r.t, r.conn
		alone := kv.New(etcdtest.Start(t, 1).Conn(t))
		outer := kv.New(conn)
		store := r.store("p/")
		neighbours := []string{"p.", "1", "p/", "2", "p", "3", "p0", "4", "\xff", "5", "a", "6"}
		put(t, outer, neighbours...)
		rng := rand.New(rand.NewPCG(1, 2))
		for i := range 2000 {
			op, cmps := randomOp(rng, 2), randomCmps(rng)
			if rng.IntN(2) == 0 { // as a Txn, and otherwise by Do
				a, errA := alone.Txn(t.Context()).If(cmps...).Then(op).Else(kv.OpGet("", kv.WithPrefix())).Commit()
				b, errB := store.Txn(t.Context()).If(cmps...).Then(op).Else(kv.OpGet("", kv.WithPrefix())).Commit()
				same(t, i, (*pb.TxnResponse)(a), (*pb.TxnResponse)(b), errA, errB)
				continue
			}
			a, errA := alone.Do(t.Context(), op)
			b, errB := store.Do(t.Context(), op)
			same(t, i, message(a), message(b), errA, errB)
		}
		for i := 0; i < len(neighbours); i += 2 {
			got, err := outer.Get(t.Context(), neighbours[i])
			if err != nil || len(got.Kvs) != 1 || string(got.Kvs[0].Value) != neighbours[i+1] {
				t.Errorf("the neighbour %q is %v (%v), want %q", neighbours[i], got, err, neighbours[i+1])
			}
		}
	})
}

func randomKey(rng *rand.Rand) string {
	return []string{"", "a", "b", "aa", "a\xff", "\xff", "\x00", "p/", "/"}[rng.IntN(9)]
}

func randomRange(rng *rand.Rand) []kv.OpOption {
	switch rng.IntN(5) {
	case 0:
		return []kv.OpOption{kv.WithPrefix()}
	case 1:
		return []kv.OpOption{kv.WithFromKey()}
	case 2:
		return []kv.OpOption{kv.WithRange(randomKey(rng))}
	default:
		return nil
	}
}

func randomOp(rng *rand.Rand, depth int) kv.Op {
	switch n := rng.IntN(7); {
	case n < 3:
		return kv.OpPut(randomKey(rng), fmt.Sprint(rng.IntN(3)), kv.WithPrevKV())
	case n < 4:
		return kv.OpDelete(randomKey(rng), append(randomRange(rng), kv.WithPrevKV())...)
	case n < 6 || depth == 0:
		return kv.OpGet(randomKey(rng), randomRange(rng)...)
	default:
		return kv.OpTxn(randomCmps(rng), []kv.Op{randomOp(rng, depth-1)}, []kv.Op{randomOp(rng, depth-1)})
	}
}

func randomCmps(rng *rand.Rand) []kv.Cmp {
	var cmps []kv.Cmp
	for range rng.IntN(3) {
		cmp := kv.Compare(kv.Value(randomKey(rng)), "!=", fmt.Sprint(rng.IntN(3)))
		if rng.IntN(2) == 0 {
			cmp = kv.Compare(kv.Version(randomKey(rng)), "<", rng.IntN(3))
		}
		switch rng.IntN(4) {
		case 0:
			cmp = cmp.WithPrefix()
		case 1:
			cmp = cmp.WithRange(randomKey(rng))
		}
		cmps = append(cmps, cmp)
	}
	return cmps
}

func message(r kv.OpResponse) proto.Message {
	switch {
	case r.Put() != nil:
		return (*pb.PutResponse)(r.Put())
	case r.Get() != nil:
		return (*pb.RangeResponse)(r.Get())
	case r.Del() != nil:
		return (*pb.DeleteRangeResponse)(r.Del())
	case r.Txn() != nil:
		return (*pb.TxnResponse)(r.Txn())
	}
	return nil
}

// same compares two answers but for what differs between clusters.
func same(t *testing.T, i int, a, b proto.Message, errA, errB error) {
	t.Helper()
	if fmt.Sprint(errA) != fmt.Sprint(errB) {
		t.Fatalf("step %d: the error is %v, want %v", i, errB, errA)
	}
	if errA != nil {
		return
	}
	neutral(a.ProtoReflect())
	neutral(b.ProtoReflect())
	if !proto.Equal(a, b) {
		t.Fatalf("step %d: the answer is\n%v, want\n%v", i, b, a)
	}
}

// neutral clears headers and revisions.
func neutral(m protoreflect.Message) {
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch f.Name() {
		case "header", "create_revision", "mod_revision":
			m.Clear(f)
			return true
		}
		switch {
		case f.IsList() && f.Message() != nil:
			for i := range v.List().Len() {
				neutral(v.List().Get(i).Message())
			}
		case f.Message() != nil:
			neutral(v.Message())
		}
		return true
	})
}

func TestMisuse(t *testing.T) {
	run(t, func(r rig) {
		t := r.t
		store := r.store("p/")
		ctx := t.Context()
		for name, call := range map[string]func() error{
			"Put":         func() error { _, err := store.Put(ctx, "", "v"); return err },
			"Get":         func() error { _, err := store.Get(ctx, ""); return err },
			"Delete":      func() error { _, err := store.Delete(ctx, ""); return err },
			"in a Txn":    func() error { _, err := store.Txn(ctx).Then(kv.OpPut("", "v")).Commit(); return err },
			"nested":      func() error { _, err := store.Do(ctx, kv.OpTxn(nil, []kv.Op{kv.OpGet("")}, nil)); return err },
			"Cmp":         func() error { _, err := store.Txn(ctx).If(kv.Compare(kv.Version(""), "=", 0)).Commit(); return err },
			"no Cmp":      func() error { _, err := store.Txn(ctx).If(kv.Version("a")).Commit(); return err },
			"no Op":       func() error { _, err := store.Do(ctx, kv.Op{}); return err },
			"order":       func() error { _, err := store.Txn(ctx).Then().If().Commit(); return err },
			"range":       func() error { _, err := store.Get(ctx, "b", kv.WithRange("a")); return err },
			"wrong Put":   func() error { _, err := store.Put(ctx, "a", "v", kv.WithLimit(1)); return err },
			"nil options": func() error { _, err := store.Get(ctx, "a", nil); return err },
		} {
			err := call()
			if _, ok := errors.AsType[*kv.UsageError](err); !ok {
				t.Errorf("%s: got %v, want a *kv.UsageError", name, err)
			}
		}
		_, err := store.Put(ctx, "", "v")
		if !errors.Is(err, rpctypes.ErrEmptyKey) {
			t.Errorf("Put without a key: %v, want ErrEmptyKey", err)
		}
	})
}

// A comparison is the program's, and so is its message: it may be used again.
func TestComparisonsStayAsTheyAre(t *testing.T) {
	run(t, func(r rig) {
		t := r.t
		store := r.store("p/")
		put(t, store, "a", "1")
		cmp := kv.Compare(kv.Version("a"), "=", 1)
		message := cmp.GetCompare()
		for range 2 {
			resp, err := store.Txn(t.Context()).If(cmp).Then(kv.OpGet("a")).Commit()
			if err != nil || !resp.Succeeded {
				t.Errorf("Txn: got %v, %v, want that the comparison holds", resp, err)
			}
		}
		if string(message.Key) != "a" {
			t.Errorf("the comparison's key became %q, was a", message.Key)
		}
	})
}

func TestCompactIsOfTheStore(t *testing.T) {
	run(t, func(r rig) {
		t := r.t
		store := r.store("p/")
		put(t, store, "a", "1", "a", "2")
		if _, err := store.Compact(t.Context(), 3); err != nil {
			t.Errorf("Compact: %v", err)
		}
		if _, err := store.Get(t.Context(), "a", kv.WithRev(2)); err == nil {
			t.Error("what was compacted can be read")
		}
	})
}

// Namespaces in namespaces.
func TestNested(t *testing.T) {
	run(t, func(r rig) {
		t, conn := r.t, r.conn
		outer := kv.New(conn)
		store := namespace.NewKV(r.store("p/"), "q/")
		put(t, store, "a", "1")
		got, err := store.Get(t.Context(), "", kv.WithFromKey())
		if err != nil || !slices.Equal(keys(got.Kvs), []string{"a"}) {
			t.Errorf("Get: %q (%v), want a", keys(got.Kvs), err)
		}
		if got, err := outer.Get(t.Context(), "p/q/a"); err != nil || got.Count != 1 {
			t.Errorf("p/q/a: %v (%v), want one", got, err)
		}
	})
}

func TestLease(t *testing.T) {
	run(t, func(r rig) {
		t, conn := r.t, r.conn
		outer := kv.New(conn)
		store := r.store("p/")
		leases := r.leases("p/")
		g, err := leases.Grant(t.Context(), 60)
		if err != nil {
			t.Fatalf("Grant: %v", err)
		}
		for key, s := range map[string]kv.KV{"a": store, "b": outer, "p/": outer} {
			if _, err := s.Put(t.Context(), key, "v", kv.WithLease(g.ID)); err != nil {
				t.Fatalf("Put: %v", err)
			}
		}
		resp, err := leases.TimeToLive(t.Context(), g.ID, lease.WithAttachedKeys())
		if err != nil || len(resp.Keys) != 1 || string(resp.Keys[0]) != "a" || resp.GrantedTTL != 60 {
			t.Errorf("TimeToLive: %q (%v), want a alone", resp.Keys, err)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := leases.TimeToLive(ended, g.ID); err == nil {
			t.Error("TimeToLive with a context that has ended succeeded")
		}
		if err := leases.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
}
