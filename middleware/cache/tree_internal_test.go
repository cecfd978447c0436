package cache

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"go.etcd.io/etcd/api/v3/mvccpb"
)

func rec(key, value string) record {
	return newRecord(&mvccpb.KeyValue{Key: []byte(key), Value: []byte(value), CreateRevision: 3, ModRevision: 7, Version: 2, Lease: 1 << 62})
}

func TestRecord(t *testing.T) {
	for _, kv := range []*mvccpb.KeyValue{
		{Key: []byte("k"), Value: []byte("v"), CreateRevision: 1 << 40, ModRevision: 1<<40 + 5, Version: 300, Lease: -1},
		{Key: make([]byte, 300), CreateRevision: 1, ModRevision: 1, Version: 1},
		{Key: []byte("deleted"), ModRevision: 9},
	} {
		it := parse(newRecord(kv))
		got := messages([]item{it}, false)[0]
		if fmt.Sprint(got) != fmt.Sprint(kv) || (got.Value == nil) != (kv.Value == nil) {
			t.Errorf("got %v, want %v", got, kv)
		}
	}
}

// check fails the test if the tree is not one of n's rules.
func (n *node) check(t *testing.T, root, last bool) {
	t.Helper()
	if n == nil {
		return
	}
	if n.width() > maxNode || !root && !last && n.width() < minNode {
		t.Fatalf("a node of width %d", n.width())
	}
	if n.kids == nil {
		if n.size != len(n.recs) || !slices.IsSortedFunc(n.recs, func(a, b record) int {
			if keyOf(a) < keyOf(b) {
				return -1
			}
			return 1
		}) {
			t.Fatalf("a leaf of size %d with %d records, or out of order", n.size, len(n.recs))
		}
		return
	}
	size := 0
	for i, kid := range n.kids {
		kid.check(t, false, last && i == len(n.kids)-1)
		size += kid.size
		kid.from("", func(r record) bool {
			if i > 0 && keyOf(r) < n.seps[i-1] || i < len(n.seps) && keyOf(r) >= n.seps[i] {
				t.Fatalf("key %q is not where it belongs", keyOf(r))
			}
			return true
		})
	}
	if size != n.size || len(n.seps) != len(n.kids)-1 {
		t.Fatalf("a node of size %d has %d records, %d kids and %d keys between them", n.size, size, len(n.kids), len(n.seps))
	}
}

// TestTree makes random changes, in batches, beside a map. Trees of earlier batches stay what
// they were.
func TestTree(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var e editor
	want := map[string]record{}
	type version struct {
		root *node
		want []record
	}
	var old []version
	all := func(root *node) (found []record) {
		root.from("", func(r record) bool { found = append(found, r); return true })
		return found
	}
	for step := range 30_000 {
		key := fmt.Sprintf("k%04d", rng.IntN(3000))
		grow := step/6000%2 == 0
		if rng.IntN(10) < 7 == grow {
			r := rec(key, fmt.Sprint(step))
			if was := e.put(r); was != want[key] {
				t.Fatalf("put %s replaced %q, want %q", key, was, want[key])
			}
			want[key] = r
		} else {
			if was := e.remove(key); was != want[key] {
				t.Fatalf("remove %s took %q, want %q", key, was, want[key])
			}
			delete(want, key)
		}
		if rng.IntN(50) == 0 {
			e.begin()
			if rng.IntN(20) == 0 {
				old = append(old, version{e.root, all(e.root)})
			}
		}
		if step%500 == 0 {
			e.root.check(t, true, true)
			var sorted []string
			for k := range want {
				sorted = append(sorted, k)
			}
			slices.Sort(sorted)
			var found []string
			for _, r := range all(e.root) {
				found = append(found, keyOf(r))
			}
			if !slices.Equal(sorted, found) {
				t.Fatalf("step %d: %d keys, want %d", step, len(found), len(sorted))
			}
			for range 20 {
				k := fmt.Sprintf("k%04d", rng.IntN(3000))
				i, _ := slices.BinarySearch(sorted, k)
				if got := e.root.rank(k); got != i {
					t.Fatalf("rank of %s: %d, want %d", k, got, i)
				}
				if got, ok := e.root.get(k); got != want[k] || ok != (want[k] != "") {
					t.Fatalf("get %s: %q", k, got)
				}
			}
		}
	}
	for i, v := range old {
		if !slices.Equal(all(v.root), v.want) {
			t.Fatalf("version %d of %d has changed", i, len(old))
		}
	}
	for k := range want {
		e.remove(k)
	}
	if e.root != nil {
		t.Fatalf("a tree without keys has %d", e.root.size)
	}
}

// TestMemory holds a cache to what is published: keys of 100 bytes (20 of them the key's) take at
// most 1.5 times their own size and 100 bytes each. What each takes does not depend on their number:
// of 1,000,000 it is the same.
func TestMemory(t *testing.T) {
	const keySize, valueSize = 20, 80
	value := make([]byte, valueSize)
	key := func(i int64) []byte { return fmt.Appendf(nil, "%0*d", keySize, i) }
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	for _, order := range []struct {
		name string
		n    int
		of   func(i, n int64) int64
	}{
		{"sorted", 200_000, func(i, _ int64) int64 { return i }},
		{"random", 100_000, func(i, n int64) int64 { return i * 7_368_787 % n }}, // a prime, so each comes once
	} {
		n := order.n
		before := heap()
		var e editor
		for i := range n {
			e.put(newRecord(&mvccpb.KeyValue{
				Key: key(order.of(int64(i), int64(n))), Value: value, CreateRevision: int64(i + 1_000_000), ModRevision: int64(i + 9_000_000), Version: 5, Lease: 1 << 62,
			}))
			if i%100 == 0 {
				e.begin()
			}
		}
		each := float64(heap()-before) / float64(n)
		t.Logf("%s: %.1f bytes for each key of %d bytes", order.name, each, keySize+valueSize)
		if e.root.size != n {
			t.Fatalf("%s: %d keys, want %d", order.name, e.root.size, n)
		}
		if limit := 1.5*(keySize+valueSize) + 100; each > limit {
			t.Errorf("%s: %.1f bytes for each key, want at most %.0f", order.name, each, limit)
		}
	}
}
