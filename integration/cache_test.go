package integration_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/middleware/cache"
)

// dialCached makes a client with a cache, and waits until that is filled.
func dialCached(t *testing.T, endpoints []string, prefixes ...string) (*client.Client, *cache.Conn) {
	t.Helper()
	var cached *cache.Conn
	cl := dial(t, client.Config{Endpoints: endpoints, Middleware: []client.Middleware{
		func(cc grpc.ClientConnInterface) grpc.ClientConnInterface {
			cached = cache.NewConn(cc, prefixes)
			return cached
		},
	}})
	if err := cached.WaitReady(timeout(t)); err != nil {
		t.Fatal(err)
	}
	return cl, cached
}

// Random questions get the same answers from memory as from a real member, whose header has the
// same revision.
func TestCacheAnswersAsAMember(t *testing.T) {
	long(t)
	t.Parallel()
	c := startCluster(t, cluster.Config{Size: 1})
	plain := dial(t, client.Config{Endpoints: c.Endpoints()})
	cl, cached := dialCached(t, c.Endpoints(), "a/")
	ctx := timeout(t)
	member, memory := pb.NewKVClient(plain.Conn()), pb.NewKVClient(cl.Conn())
	granted, err := plain.Grant(ctx, 3600)
	if err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(3, 5))
	key := func() []byte {
		return fmt.Appendf(nil, "%s%02d", []string{"a/", "a/x/", "a/y/", "b/"}[rnd.IntN(4)], rnd.IntN(20))
	}
	get := func(now int64) *pb.RangeRequest {
		g := &pb.RangeRequest{Key: key(), SortOrder: pb.RangeRequest_SortOrder(rnd.IntN(3)), KeysOnly: rnd.IntN(4) == 0, CountOnly: rnd.IntN(8) == 0}
		switch rnd.IntN(4) {
		case 0:
			g.RangeEnd = key()
		case 1, 2:
			g.Key, g.RangeEnd = []byte("a/"), []byte("a0")
		}
		if rnd.IntN(2) == 0 {
			g.SortTarget = pb.RangeRequest_SortTarget(rnd.IntN(5))
		}
		if rnd.IntN(2) == 0 {
			g.Limit = rnd.Int64N(30)
		}
		if rnd.IntN(4) == 0 {
			g.Revision = max(1, now-rnd.Int64N(200))
		}
		if rnd.IntN(5) == 0 {
			g.MinModRevision, g.MaxCreateRevision = max(0, now-rnd.Int64N(200)), now-rnd.Int64N(20)
		}
		return g
	}
	for step := range 1500 {
		put := &pb.PutRequest{Key: key(), Value: fmt.Appendf(nil, "%d", rnd.IntN(5))}
		if rnd.IntN(5) == 0 {
			put.Lease = int64(granted.ID)
		}
		wrote, err := member.Put(ctx, put)
		if err != nil {
			t.Fatal(err)
		}
		now := wrote.Header.Revision
		if rnd.IntN(5) == 0 {
			deleted, err := member.DeleteRange(ctx, &pb.DeleteRangeRequest{Key: key()})
			if err != nil {
				t.Fatal(err)
			}
			now = deleted.Header.Revision
		}
		var req, got, want proto.Message
		var errs [2]error
		if rnd.IntN(3) == 0 {
			txn := &pb.TxnRequest{}
			for range rnd.IntN(3) {
				cmp := &pb.Compare{Key: key(), Target: pb.Compare_MOD, Result: pb.Compare_CompareResult(rnd.IntN(4))}
				cmp.TargetUnion = &pb.Compare_ModRevision{ModRevision: now - rnd.Int64N(50)}
				txn.Compare = append(txn.Compare, cmp)
			}
			for range 1 + rnd.IntN(2) {
				txn.Success = append(txn.Success, &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: get(now)}})
				txn.Failure = append(txn.Failure, &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: get(now)}})
			}
			req = txn
			got, errs[0] = memory.Txn(ctx, txn)
			want, errs[1] = member.Txn(ctx, txn)
		} else {
			r := get(now)
			req = r
			got, errs[0] = memory.Range(ctx, r)
			want, errs[1] = member.Range(ctx, r)
		}
		if errs[0] != nil || errs[1] != nil || !proto.Equal(got, want) {
			t.Fatalf("step %d: %v\nmemory: %v %v\nmember: %v %v", step, req, got, errs[0], want, errs[1])
		}
	}
	s := cached.Stats().Prefixes[0]
	t.Logf("%+v", s)
	if s.Hits < 400 || s.Resyncs != 0 {
		t.Error("want many hits, and no resync")
	}
}

// Many readers and writers of a few keys always see one register for each, whatever happens to
// the members: the readers read from memory.
func TestCacheUnderFaults(t *testing.T) {
	t.Parallel()
	const keys, callers = 32, 64
	c := startCluster(t, cluster.Config{})
	ctx, stop := context.WithCancel(patient(t))
	defer stop()
	cl, cached := dialCached(t, c.Endpoints(), "k/")
	history := newRegisters(keys)
	var elsewhere atomic.Int64
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for ctx.Err() == nil {
				time.Sleep(rand.N(60 * time.Millisecond))
				key := rand.IntN(keys)
				name := "k/" + strconv.Itoa(key)
				switch {
				case rand.IntN(10) == 0: // the revision is beyond the prefix's
					_, _ = cl.Put(ctx, "elsewhere", strconv.FormatInt(elsewhere.Add(1), 10))
				case rand.IntN(3) == 0:
					history.write(ctx, cl, key, name)
				default:
					history.read(ctx, cl, key, name)
				}
			}
		})
	}
	disturb(ctx, t, c, 4, false)
	eventually(t, "enough to tell anything", func() bool { return history.len() > 3000 })
	stop()
	wg.Wait()
	reads, _, _ := history.check(t)
	s := cached.Stats().Prefixes[0]
	t.Logf("in %v: %d reads; %+v", history.now(), reads, s)
	if reads < 1000 || s.Hits < int64(reads)/2 {
		t.Error("too few reads, or too few from memory, to tell anything")
	}
}

// Behind etcd's gRPC proxy, which answers no progress request, reads see all writes: through the
// proxy, to the member, of the prefix and elsewhere.
func TestCacheBehindGRPCProxy(t *testing.T) {
	t.Parallel()
	c, p := behindProxy(t)
	member := dial(t, client.Config{Endpoints: c.Endpoints()})
	ctx := timeout(t)
	cl, cached := dialCached(t, []string{p.Endpoint()}, "a/")
	events := cl.Watch(ctx, "a/", kv.WithPrefix(), kv.WithCreatedNotify())
	if resp := <-events; !resp.Created {
		t.Fatalf("%+v, want that the watch was created", resp)
	}
	for i := range 100 {
		value := strconv.Itoa(i)
		for _, put := range []func() error{
			func() error { return second(cl.Put(ctx, "a/k", value)) },
			func() error { return second(member.Put(ctx, "elsewhere", value)) },
			func() error { return second(member.Put(ctx, "a/gone", value)) },
			func() error { return second(member.Delete(ctx, "a/gone")) },
		} {
			if err := put(); err != nil {
				t.Fatal(err)
			}
			got, err := cl.Get(ctx, "a/", kv.WithPrefix())
			if err != nil {
				t.Fatal(err)
			}
			want, err := member.Get(ctx, "a/", kv.WithPrefix())
			if err != nil {
				t.Fatal(err)
			}
			if !proto.Equal((*pb.RangeResponse)(got), (*pb.RangeResponse)(want)) {
				t.Fatalf("round %d: %v\nwant %v", i, got, want)
			}
		}
	}
	for seen := 0; seen < 300; {
		seen += len(next(t, ctx, events).Events)
	}
	s := cached.Stats().Prefixes[0]
	t.Logf("%+v", s)
	if s.Hits < 200 || s.Watches == 0 {
		t.Error("want most reads, and the watch, from memory")
	}
}
