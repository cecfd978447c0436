package integration_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

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

// Two caches and a writer without a cache, on a few keys, always see one register
// per key, whatever happens to the members.
func TestLeasingUnderFaults(t *testing.T) {
	t.Parallel()
	const keys = 4
	c := startCluster(t, cluster.Config{})
	ctx, stop := context.WithCancel(patient(t))
	defer stop()
	history := newRegisters(keys)
	var wg sync.WaitGroup
	var memory atomic.Int64
	write := func(key int, do func(ctx context.Context, name, value string) error) {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		from, o := history.now(), registerOp{write: true, value: history.fresh()}
		o.unknown = do(ctx, strconv.Itoa(key), o.value) != nil
		history.record(key, from, o)
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
				asked := store.n.Load()
				if history.read(ctx, l, key, strconv.Itoa(key)) && store.n.Load() == asked {
					memory.Add(1)
				}
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
			o := registerOp{write: true, swap: true, expect: readValue(resp), value: history.fresh()}
			from := history.now()
			txn, err := l.Txn(ctx).If(kv.Compare(kv.Value(name), "=", o.expect)).Then(kv.OpPut(name, o.value)).Else(kv.OpGet(name)).Commit()
			if o.unknown = err != nil; err == nil {
				o.swapped = txn.Succeeded
			}
			history.record(key, from, o)
		})
	}
	raw := dial(t, client.Config{Endpoints: c.Endpoints()})
	every(2*time.Second, func(key int) {
		write(key, func(ctx context.Context, name, value string) error { return rawLeasingWrite(ctx, raw, name, value) })
	})

	disturb(ctx, t, c, 6, true)
	time.Sleep(2 * time.Second)
	stop()
	wg.Wait()

	reads, writes, unknown := history.check(t)
	t.Logf("in %v: %d reads, %d of them from memory; %d writes, and %d of unknown outcome", history.now(), reads, memory.Load(), writes, unknown)
	if memory.Load() < int64(reads)/20 || writes < 100 {
		t.Errorf("%d of %d reads were from memory, and there were %d writes: too few to tell anything", memory.Load(), reads, writes)
	}
}
