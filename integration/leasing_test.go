package integration_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	v3leasing "go.etcd.io/etcd/client/v3/leasing"
	"google.golang.org/protobuf/proto"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/concurrency/session"
	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/middleware/leasing"
)

const leasingPrefix = "leasing/"

// counted counts the requests that reach the store.
type counted struct {
	kv.KV
	n atomic.Int64
}

func (c *counted) Get(ctx context.Context, key string, opts ...kv.OpOption) (*kv.GetResponse, error) {
	c.n.Add(1)
	return c.KV.Get(ctx, key, opts...)
}

func (c *counted) Do(ctx context.Context, op kv.Op) (kv.OpResponse, error) {
	c.n.Add(1)
	return c.KV.Do(ctx, op)
}

func (c *counted) Txn(ctx context.Context) kv.Txn {
	c.n.Add(1)
	return c.KV.Txn(ctx)
}

func newLeasing(tb testing.TB, cl *client.Client, ttl time.Duration) (*leasing.KV, *counted) {
	tb.Helper()
	store := &counted{KV: cl}
	l, err := leasing.New(timeout(tb), store, cl, cl, leasingPrefix, session.WithTTL(ttl))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := l.Close(context.Background()); err != nil {
			tb.Errorf("Close: %v", err)
		}
	})
	return l, store
}

// rawLeasingWrite writes a key according to the protocol of package leasing, but
// without the package.
func rawLeasingWrite(ctx context.Context, store kv.KV, key, val string) error {
	for {
		resp, err := store.Txn(ctx).
			If(kv.Compare(kv.CreateRevision(leasingPrefix+key), "=", 0)).
			Then(kv.OpPut(key, val)).
			Else(kv.OpPut(leasingPrefix+key, "REVOKE", kv.WithIgnoreLease())).
			Commit()
		if err != nil || resp.Succeeded {
			return err
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// getcd's leasing cache and clientv3's take keys from each other, on the same
// prefix.
func TestLeasingWithClientv3(t *testing.T) {
	c := startCluster(t, cluster.Config{Size: 1})
	cl := dial(t, client.Config{Endpoints: c.Endpoints()})
	ctx := timeout(t)
	own, _ := newLeasing(t, cl, 30*time.Second)
	v3, err := clientv3.New(clientv3.Config{Endpoints: c.Endpoints(), DialOptions: checkedPlain(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer v3.Close()
	theirs, stop, err := v3leasing.NewKV(v3, leasingPrefix)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	// Their common API is small, so each of them is a few functions.
	type store struct {
		name string
		get  func(key string) (string, error)
		put  func(key, val string) error
		wipe func(key string) error // and all keys that begin with it
		swap func(key, from, to string) error
	}
	ours := store{
		"getcd",
		func(key string) (string, error) {
			resp, err := own.Get(ctx, key)
			if err != nil || len(resp.Kvs) == 0 {
				return "", err
			}
			return string(resp.Kvs[0].Value), nil
		},
		func(key, val string) error { _, err := own.Put(ctx, key, val); return err },
		func(key string) error { _, err := own.Delete(ctx, key, kv.WithPrefix()); return err },
		func(key, from, to string) error {
			resp, err := own.Txn(ctx).If(kv.Compare(kv.Value(key), "=", from)).Then(kv.OpPut(key, to)).Commit()
			if err == nil && !resp.Succeeded {
				return fmt.Errorf("%s was not %s", key, from)
			}
			return err
		},
	}
	rival := store{
		"clientv3",
		func(key string) (string, error) {
			resp, err := theirs.Get(ctx, key)
			if err != nil || len(resp.Kvs) == 0 {
				return "", err
			}
			return string(resp.Kvs[0].Value), nil
		},
		func(key, val string) error { _, err := theirs.Put(ctx, key, val); return err },
		func(key string) error { _, err := theirs.Delete(ctx, key, clientv3.WithPrefix()); return err },
		func(key, from, to string) error {
			resp, err := theirs.Txn(ctx).If(clientv3.Compare(clientv3.Value(key), "=", from)).Then(clientv3.OpPut(key, to)).Commit()
			if err == nil && !resp.Succeeded {
				return fmt.Errorf("%s was not %s", key, from)
			}
			return err
		},
	}
	check := func(s store, key, want string) {
		t.Helper()
		if got, err := s.get(key); err != nil || got != want {
			t.Fatalf("%s has %s = %q, %v; want %q", s.name, key, got, err, want)
		}
	}
	// inMemory proves that a key is in the cache's memory: a write that ignores
	// the protocol goes unnoticed.
	inMemory := func(s store, key, want string) {
		t.Helper()
		check(s, key, want)
		if _, err := cl.Put(ctx, key, "past"); err != nil {
			t.Fatal(err)
		}
		check(s, key, want)
		if _, err := cl.Put(ctx, key, want); err != nil {
			t.Fatal(err)
		}
	}
	for round, pair := range [][2]store{{ours, rival}, {rival, ours}, {ours, rival}, {rival, ours}} {
		owner, other := pair[0], pair[1]
		key := fmt.Sprintf("k%d/", round)
		for i, change := range map[string]func() error{
			"put":  func() error { return other.put(key+"put", "new") },
			"wipe": func() error { return other.wipe(key + "wipe") },
			"swap": func() error { return other.swap(key+"swap", "old", "new") },
		} {
			if err := owner.put(key+i, "old"); err != nil {
				t.Fatal(err)
			}
			inMemory(owner, key+i, "old")
			if err := change(); err != nil {
				t.Fatalf("%s by %s: %v", i, other.name, err)
			}
			want := "new"
			if i == "wipe" {
				want = ""
			}
			check(owner, key+i, want)
			inMemory(other, key+i, want)
			if err := owner.put(key+i, "back"); err != nil {
				t.Fatal(err)
			}
			check(other, key+i, "back")
		}
	}
}

// After each kind of write, the memory has exactly what the server has, in every
// field.
func TestLeasingIsExact(t *testing.T) {
	c := startCluster(t, cluster.Config{Size: 1})
	cl := dial(t, client.Config{Endpoints: c.Endpoints()})
	ctx := timeout(t)
	l, store := newLeasing(t, cl, 30*time.Second)
	for i, op := range []kv.Op{
		kv.OpPut("k", "1"),
		kv.OpPut("k", "2"),
		kv.OpPut("k", ""),
		kv.OpPut("k", "3", kv.WithPrevKV()),
		kv.OpPut("k", "", kv.WithIgnoreValue()),
		kv.OpPut("k", "4", kv.WithIgnoreLease()),
		kv.OpDelete("k"),
		kv.OpDelete("k"),
		kv.OpPut("k", "5"),
		kv.OpTxn([]kv.Cmp{kv.Compare(kv.Value("k"), "=", "5")}, []kv.Op{kv.OpPut("k", "6"), kv.OpGet("k")}, nil),
		kv.OpTxn([]kv.Cmp{kv.Compare(kv.Value("k"), "=", "5")}, nil, []kv.Op{kv.OpTxn(nil, []kv.Op{kv.OpDelete("k")}, nil)}),
		kv.OpPut("k", "7"),
		kv.OpDelete("k", kv.WithPrefix()),
	} {
		if _, err := l.Get(ctx, "k"); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Do(ctx, op); err != nil {
			t.Fatalf("operation %d: %v", i, err)
		}
		before := store.n.Load()
		got, err := l.Get(ctx, "k")
		if err != nil {
			t.Fatal(err)
		}
		if store.n.Load() != before {
			t.Errorf("after operation %d the key is not in memory", i)
		}
		want, err := cl.Get(ctx, "k")
		if err != nil {
			t.Fatal(err)
		}
		if got.Header.Revision != want.Header.Revision {
			t.Errorf("operation %d: the revision is %d, want %d", i, got.Header.Revision, want.Header.Revision)
		}
		got.Header, want.Header = nil, nil
		if !proto.Equal((*pb.RangeResponse)(got), (*pb.RangeResponse)(want)) {
			t.Errorf("operation %d: got %v, want %v", i, got, want)
		}
	}
	// The maximum number of keys that one transaction may write.
	ops := make([]kv.Op, 64)
	for i := range ops {
		ops[i] = kv.OpPut(strconv.Itoa(i), "x")
		if _, err := l.Get(ctx, strconv.Itoa(i)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.Do(ctx, kv.OpTxn(nil, ops, nil)); err != nil {
		t.Errorf("a transaction that writes %d keys: %v", len(ops), err)
	}
}

// A client that is cut off answers from memory until others may write, and not
// after that.
func TestLeasingCutOff(t *testing.T) {
	c := startCluster(t, cluster.Config{Size: 1, Links: true})
	m := c.Members()[0]
	cl := dial(t, client.Config{Endpoints: c.Endpoints()})
	ctx := timeout(t)
	l, _ := newLeasing(t, cl, 4*time.Second)
	if _, err := l.Put(ctx, "k", "old"); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Get(ctx, "k"); err != nil {
		t.Fatal(err)
	}
	if err := m.ClientLink().Blackhole(); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	written := make(chan error, 1)
	go func() { written <- rawLeasingWrite(ctx, kv.New(m.Control()), "k", "new") }()
	var served time.Time
	for done := false; !done; {
		select {
		case err := <-written:
			if err != nil {
				t.Fatal(err)
			}
			done = true // from here on, every answer is wrong
		default:
		}
		short, cancel := context.WithTimeout(ctx, 2*time.Millisecond)
		resp, err := l.Get(short, "k")
		cancel()
		if err == nil {
			served = time.Now()
			if done || len(resp.Kvs) != 1 || string(resp.Kvs[0].Value) != "old" {
				t.Fatalf("after %v, when the other write was done (%v), memory has %v", time.Since(begin), done, resp.Kvs)
			}
		}
	}
	if served.IsZero() {
		t.Error("memory has answered nothing")
	}
	t.Logf("memory answered for %v, and the other write was done after %v", served.Sub(begin), time.Since(begin))
	if err := c.Heal(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new value", func() bool {
		resp, err := l.Get(ctx, "k")
		return err == nil && len(resp.Kvs) == 1 && string(resp.Kvs[0].Value) == "new"
	})
}

// Close leaves no goroutine and no leasing key.
func TestLeasingLeavesNothing(t *testing.T) {
	c := startCluster(t, cluster.Config{Size: 1})
	cl := dial(t, client.Config{Endpoints: c.Endpoints()})
	ctx := timeout(t)
	round := func() {
		l, err := leasing.New(ctx, cl, cl, cl, leasingPrefix, session.WithTTL(30*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		for i := range 20 {
			if _, err := l.Get(ctx, strconv.Itoa(i)); err != nil {
				t.Fatal(err)
			}
		}
		if resp, err := cl.Get(ctx, leasingPrefix, kv.WithPrefix(), kv.WithCountOnly()); err != nil || resp.Count != 20 {
			t.Errorf("%v, %v; want 20 leasing keys", resp, err)
		}
		if err := l.Close(ctx); err != nil {
			t.Error(err)
		}
		if resp, err := cl.Get(ctx, leasingPrefix, kv.WithPrefix(), kv.WithCountOnly()); err != nil || resp.Count != 0 {
			t.Errorf("%v, %v; want no leasing keys", resp, err)
		}
	}
	round()
	// The client's connections are not all made when it is ready.
	before, steady := 0, 0
	eventually(t, "a steady number of goroutines", func() bool {
		if n := runtime.NumGoroutine(); n != before {
			before, steady = n, 0
		}
		steady++
		return steady == 100 // for a second or more
	})
	for range 5 {
		round()
	}
	eventually(t, fmt.Sprintf("%d goroutines, as before", before), func() bool { return runtime.NumGoroutine() <= before })
}

// leasingOp is one operation in the history of a key: a read, or a write of a
// value that no other operation writes. A swap writes only if the key has an
// expected value.
type leasingOp struct {
	call, ret     time.Duration
	write, swap   bool
	expect, value string // value is also what a read returned
	swapped       bool
	unknown       bool // it may be applied at any time after its call
}

// leasingRegister is a linearizable register with compare-and-swap.
var leasingRegister = porcupine.Model{
	Init: func() any { return "" },
	Step: func(state, input, _ any) (bool, any) {
		has, o := state.(string), input.(leasingOp)
		switch {
		case !o.write:
			return has == o.value, has
		case !o.swap:
			return true, o.value
		case o.unknown && has != o.expect:
			return true, has
		case o.unknown || o.swapped:
			return has == o.expect, o.value
		default:
			return has != o.expect, has
		}
	},
}

// linearizable checks a key's history. It ignores writes with an unknown outcome
// whose values nobody saw: the explanation that they were never applied is as
// good as any.
func linearizable(ops []leasingOp) porcupine.CheckResult {
	seen := make(map[string]bool)
	for _, o := range ops {
		if !o.write {
			seen[o.value] = true
		}
		if o.swap {
			seen[o.expect] = true
		}
	}
	var history []porcupine.Operation
	for i, o := range ops {
		end := int64(o.ret)
		if o.unknown {
			end = math.MaxInt64
		}
		if !o.unknown || seen[o.value] {
			history = append(history, porcupine.Operation{ClientId: i, Input: o, Call: int64(o.call), Return: end})
		}
	}
	return porcupine.CheckOperationsTimeout(leasingRegister, history, limit)
}

// The checker finds violations.
func TestLeasingChecker(t *testing.T) {
	at := func(from, to int, o leasingOp) leasingOp {
		o.call, o.ret = time.Duration(from), time.Duration(to)
		return o
	}
	put := func(v string) leasingOp { return leasingOp{write: true, value: v} }
	read := func(v string) leasingOp { return leasingOp{value: v} }
	for name, test := range map[string]struct {
		ops  []leasingOp
		want porcupine.CheckResult
	}{
		"in order":           {[]leasingOp{at(0, 1, put("a")), at(2, 3, read("a"))}, porcupine.Ok},
		"stale":              {[]leasingOp{at(0, 1, put("a")), at(2, 3, put("b")), at(4, 5, read("a"))}, porcupine.Illegal},
		"unknown, and late":  {[]leasingOp{at(0, 1, leasingOp{write: true, value: "a", unknown: true}), at(2, 3, put("b")), at(4, 5, read("b")), at(6, 7, read("a"))}, porcupine.Ok},
		"unknown, and twice": {[]leasingOp{at(0, 1, leasingOp{write: true, value: "a", unknown: true}), at(2, 3, read("a")), at(4, 5, put("b")), at(6, 7, read("a"))}, porcupine.Illegal},
		"swapped in vain":    {[]leasingOp{at(0, 1, put("a")), at(2, 3, leasingOp{write: true, swap: true, swapped: true, expect: "b", value: "c"})}, porcupine.Illegal},
	} {
		if got := linearizable(test.ops); got != test.want {
			t.Errorf("%s: got %v, want %v", name, got, test.want)
		}
	}
}

// Two caches and a writer without a cache, on a few keys, always see one register
// per key, whatever happens to the members.
func TestLeasingUnderFaults(t *testing.T) {
	const keys = 4
	c := startCluster(t, cluster.Config{})
	ctx, stop := context.WithCancel(timeout(t))
	defer stop()
	begin := time.Now()
	var mu sync.Mutex
	var histories [keys][]leasingOp
	record := func(key int, from time.Duration, o leasingOp) {
		o.call, o.ret = from, time.Since(begin)
		mu.Lock()
		defer mu.Unlock()
		histories[key] = append(histories[key], o)
	}
	var wg sync.WaitGroup
	var values, memory, reads atomic.Int64
	fresh := func() string { return strconv.FormatInt(values.Add(1), 10) }
	write := func(key int, do func(ctx context.Context, name, value string) error) {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		o := leasingOp{write: true, value: fresh()}
		from := time.Since(begin)
		o.unknown = do(ctx, strconv.Itoa(key), o.value) != nil
		record(key, from, o)
	}
	every := func(pause time.Duration, do func(key int)) {
		wg.Go(func() {
			for ctx.Err() == nil {
				do(rand.IntN(keys))
				select {
				case <-time.After(pause/2 + rand.N(pause)):
				case <-ctx.Done():
				}
			}
		})
	}
	for range 2 {
		l, store := newLeasing(t, dial(t, client.Config{Endpoints: c.Endpoints()}), 30*time.Second)
		for range 2 {
			every(3*time.Millisecond, func(key int) {
				from, asked := time.Since(begin), store.n.Load()
				resp, err := l.Get(ctx, strconv.Itoa(key))
				if err != nil {
					return // the outcome is unknown
				}
				reads.Add(1)
				if store.n.Load() == asked {
					memory.Add(1)
				}
				o := leasingOp{}
				if len(resp.Kvs) > 0 {
					o.value = string(resp.Kvs[0].Value)
				}
				record(key, from, o)
			})
		}
		every(100*time.Millisecond, func(key int) {
			write(key, func(ctx context.Context, name, value string) error {
				_, err := l.Put(ctx, name, value)
				return err
			})
		})
		every(100*time.Millisecond, func(key int) {
			ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
			defer cancel()
			name := strconv.Itoa(key)
			resp, err := l.Get(ctx, name)
			if err != nil || len(resp.Kvs) == 0 {
				return
			}
			o := leasingOp{write: true, swap: true, expect: string(resp.Kvs[0].Value), value: fresh()}
			from := time.Since(begin)
			txn, err := l.Txn(ctx).If(kv.Compare(kv.Value(name), "=", o.expect)).Then(kv.OpPut(name, o.value)).Else(kv.OpGet(name)).Commit()
			if o.unknown = err != nil; err == nil {
				o.swapped = txn.Succeeded
			}
			record(key, from, o)
		})
	}
	raw := dial(t, client.Config{Endpoints: c.Endpoints()})
	every(2*time.Second, func(key int) {
		write(key, func(ctx context.Context, name, value string) error { return rawLeasingWrite(ctx, raw, name, value) })
	})

	for round := range 6 {
		leader, err := c.Leader(ctx)
		if err != nil {
			t.Fatal(err)
		}
		m := leader
		if round%3 == 2 {
			for _, m = range c.Members() {
				if m != leader {
					break
				}
			}
		}
		if round%2 == 0 {
			err = m.Kill()
		} else {
			err = m.Pause()
		}
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		if round%2 == 0 {
			err = m.Restart(ctx)
		} else {
			err = m.Continue()
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := c.WaitHealthy(ctx); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(3 * time.Second)
	stop()
	wg.Wait()

	writes, unknown := 0, 0
	for key, ops := range histories {
		for _, o := range ops {
			if o.write {
				writes++
			}
			if o.unknown {
				unknown++
			}
		}
		if got := linearizable(ops); got != porcupine.Ok {
			t.Errorf("key %d: the history of %d operations is %v, want it linearizable", key, len(ops), got)
		}
	}
	t.Logf("in %v: %d reads, %d of them from memory; %d writes, %d of unknown outcome", time.Since(begin), reads.Load(), memory.Load(), writes, unknown)
	if memory.Load() < reads.Load()/20 || writes < 100 {
		t.Errorf("%d of %d reads were from memory, and there were %d writes: too few to tell anything", memory.Load(), reads.Load(), writes)
	}
}
