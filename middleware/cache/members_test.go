package cache_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/middleware/cache"
)

// TestMembersAreLost has a cached client read all the time while members are killed, frozen and
// hung one after the other. Each read sees the write before it, and none waits for longer than the
// client itself takes to move on.
func TestMembersAreLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := etcdtest.Start(t, 3)
		var cached *cache.Conn
		cl, err := client.New(client.Config{
			Endpoints: cluster.Addrs(), DialOptions: cluster.DialOptions(),
			Middleware: []client.Middleware{func(cc grpc.ClientConnInterface) grpc.ClientConnInterface {
				cached = cache.NewConn(cc, []string{"a/"})
				return cached
			}},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = cl.Close() }()
		if err := cached.WaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
		n := 0
		work := func(d time.Duration) {
			t.Helper()
			for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
				n++
				if _, err := cl.Put(t.Context(), []string{"a/k", "elsewhere"}[n%2], fmt.Sprint(n)); err != nil && !client.IsAmbiguous(err) {
					t.Fatal(err)
				} else if err != nil {
					continue
				}
				began := time.Now()
				resp, err := cl.Get(t.Context(), "a/k")
				if err != nil {
					t.Fatal(err)
				}
				if n%2 == 0 && string(resp.Kvs[0].Value) != fmt.Sprint(n) {
					t.Fatalf("a read after the write of %d got %v", n, resp.Kvs[0])
				}
				if took := time.Since(began); took > time.Second {
					t.Errorf("a read took %v", took)
				}
			}
		}
		work(time.Second)
		for _, m := range cluster.Members() {
			for _, fault := range []struct{ begin, end func() }{{m.Kill, m.Start}, {m.Freeze, m.Thaw}, {m.Hang, m.Resume}} {
				if cluster.Leader() == m {
					cluster.Elect(cluster.Member((int(m.ID()-cluster.Member(0).ID()) + 1) % 3))
				}
				fault.begin()
				work(3 * time.Second)
				fault.end()
				work(time.Second)
			}
		}
		s := cached.Stats().Prefixes[0]
		if s.Hits < int64(n)*9/10 || s.Resyncs != 0 {
			t.Errorf("of %d reads: %+v: want nearly all of them from memory, without a resync", n, s)
		}
	})
}

// TestIdleCache counts what a cache costs that nobody reads, and one of which nobody but
// serializable readers reads.
func TestIdleCache(t *testing.T) {
	run(t, []string{"a/"}, nil, nil, func(r *rig) {
		txns := func(d time.Duration, use bool) int {
			before := r.calls(pb.KV_Txn_FullMethodName)
			for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
				if use {
					r.get(&pb.RangeRequest{Key: []byte("a/k"), Serializable: true})
				}
			}
			return r.calls(pb.KV_Txn_FullMethodName) - before
		}
		if got := txns(time.Minute, false); got > 12 {
			r.t.Errorf("%d confirmations in a minute without readers, want one in 5 s at most", got)
		}
		if got := txns(time.Minute, true); got < 55 || got > 61 {
			r.t.Errorf("%d confirmations in a minute with readers, want one each second", got)
		}
	})
}

// TestManyKeysWithoutProgress has too many keys to compare, and no answer for how far the watch is.
// Reads wait for an event of the prefix for a moment, and are else passed on.
func TestManyKeysWithoutProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		deaf := func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, h grpc.StreamHandler) error {
			return h(srv, mute{ss})
		}
		conn := etcdtest.Start(t, 1, grpc.ChainStreamInterceptor(deaf)).Conn(t)
		store := kv.New(conn)
		for i := range 101 {
			ops := make([]kv.Op, 100)
			for j := range ops {
				ops[j] = kv.OpPut(fmt.Sprintf("a/%d/%d", i, j), "v")
			}
			if _, err := store.Txn(t.Context()).Then(ops...).Commit(); err != nil {
				t.Fatal(err)
			}
		}
		c := cache.NewConn(conn, []string{"a/"})
		defer func() { _ = c.Close() }()
		if err := c.WaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
		for i := range 20 {
			resp, err := store.Put(t.Context(), []string{"a/k", "elsewhere"}[i%2], "x")
			if err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			got, err := kv.New(c).Get(t.Context(), "a/k")
			if err != nil || got.Header.Revision != resp.Header.Revision {
				t.Fatalf("got %v %v, want revision %d", got, err, resp.Header.Revision)
			}
			if took := time.Since(began); took > 30*time.Millisecond {
				t.Fatalf("read %d took %v", i, took)
			}
		}
		if s := c.Stats().Prefixes[0]; s.Comparisons != 0 || s.Hits != 10 || s.Misses != 10 || s.Keys != 10_101 {
			t.Errorf("%+v: want half of the reads passed on, and no comparison", s)
		}
	})
}
