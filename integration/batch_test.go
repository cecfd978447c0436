package integration_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/getcd/getcd/auth"
	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/middleware/batch"
	"github.com/getcd/getcd/middleware/once"
)

// batchMiddleware has what may lie below batches.
var batchMiddleware = map[string][]client.Middleware{
	"batch":      {batch.NewConn},
	"once+batch": {batch.NewConn, once.Of("app/!once/")},
}

// eachBatch runs the test for each of them. It gives the function that dials.
func eachBatch(t *testing.T, test func(t *testing.T, dialBatch func(client.Config) *client.Client)) {
	t.Helper()
	t.Parallel()
	for name, middleware := range batchMiddleware {
		t.Run(name, func(t *testing.T) {
			test(t, func(cfg client.Config) *client.Client {
				cfg.Middleware = middleware
				return dial(t, cfg)
			})
		})
	}
}

// Of 200 callers one has no permission, one a dead lease, one a value that is too large, and
// ten have contexts that are canceled. Each gets its own outcome, and all others succeed.
func TestBatchOutcomes(t *testing.T) { eachBatch(t, testBatchOutcomes) }

func testBatchOutcomes(t *testing.T, dialBatch func(client.Config) *client.Client) {
	t.Helper()
	c := startCluster(t, cluster.Config{Size: 1, Flags: []string{"--bcrypt-cost=4"}})
	ctx := timeout(t)
	a := auth.New(dial(t, client.Config{Endpoints: c.Endpoints()}).Conn())
	for _, err := range []error{
		second(a.UserAdd(ctx, "root", "secret")), second(a.RoleAdd(ctx, "root")), second(a.UserGrantRole(ctx, "root", "root")),
		second(a.UserAdd(ctx, "alice", "hers")), second(a.RoleAdd(ctx, "app")), second(a.UserGrantRole(ctx, "alice", "app")),
		second(a.RoleGrantPermission(ctx, "app", "app/", kv.GetPrefixRangeEnd("app/"), auth.PermReadWrite)),
		second(a.AuthEnable(ctx)),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	cl := dialBatch(client.Config{Endpoints: c.Endpoints(), Username: "alice", Password: "hers"})
	root := dial(t, client.Config{Endpoints: c.Endpoints(), Username: "root", Password: "secret"})
	const callers, denied, dead, large = 200, 17, 42, 77
	canceled := func(i int) bool { return i%20 == 3 }
	for round := range 5 {
		key := func(i int) string {
			if i == denied {
				return fmt.Sprintf("other/%d/%d", round, i)
			}
			return fmt.Sprintf("app/%d/%d", round, i)
		}
		together := func(call func(ctx context.Context, i int) error) []error {
			errs := make([]error, callers)
			start := make(chan struct{})
			var wg sync.WaitGroup
			for i := range callers {
				wg.Go(func() {
					ctx, cancel := context.WithCancel(ctx)
					defer cancel()
					<-start
					if canceled(i) {
						time.AfterFunc(time.Duration(i)*10*time.Microsecond, cancel)
					}
					errs[i] = call(ctx, i)
				})
			}
			close(start)
			wg.Wait()
			return errs
		}
		errs := together(func(ctx context.Context, i int) error {
			value, opts := "v", []kv.OpOption(nil)
			switch i {
			case dead:
				opts = append(opts, kv.WithLease(12345))
			case large:
				value = strings.Repeat("x", 1_800_000)
			}
			_, err := cl.Put(ctx, key(i), value, opts...)
			return err
		})
		for i, err := range errs {
			var want error
			switch i {
			case denied:
				want = rpctypes.ErrPermissionDenied
			case dead:
				want = rpctypes.ErrLeaseNotFound
			case large:
				want = rpctypes.ErrRequestTooLarge
			}
			if canceled(i) && err != nil {
				want = context.Canceled
			}
			if !errors.Is(err, want) || !canceled(i) && client.IsAmbiguous(err) {
				t.Errorf("put %d: %v, want %v, for certain", i, err, want)
			}
			resp, gone := root.Get(ctx, key(i))
			if gone != nil {
				t.Fatal(gone)
			}
			if n := len(resp.Kvs); err == nil && n != 1 || err != nil && n != 0 && !client.IsAmbiguous(err) {
				t.Errorf("put %d: %v, and there are %d of its keys", i, err, n)
			}
		}
		errs = together(func(ctx context.Context, i int) error {
			var opts []kv.OpOption
			if i == dead {
				opts = append(opts, kv.WithRev(1<<40))
			}
			_, err := cl.Get(ctx, key(i), opts...)
			return err
		})
		for i, err := range errs {
			var want error
			switch i {
			case denied:
				want = rpctypes.ErrPermissionDenied
			case dead:
				want = rpctypes.ErrFutureRev
			}
			if canceled(i) && err != nil {
				want = context.Canceled
			}
			if !errors.Is(err, want) || client.IsAmbiguous(err) {
				t.Errorf("get %d: %v, want %v, for certain", i, err, want)
			}
		}
	}
}

// Servers with lower limits, and a client that takes less, serve everybody.
func TestBatchLimits(t *testing.T) { eachBatch(t, testBatchLimits) }

func testBatchLimits(t *testing.T, dialBatch func(client.Config) *client.Client) {
	t.Helper()
	c := startCluster(t, cluster.Config{Size: 1, Flags: []string{"--max-txn-ops=10", "--max-request-bytes=60000"}})
	cl := dialBatch(client.Config{
		Endpoints: c.Endpoints(), DialOptions: []grpc.DialOption{grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(100_000))},
	})
	ctx := timeout(t)
	value := strings.Repeat("x", 15_000)
	for range 3 {
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				key := strconv.Itoa(i)
				if _, err := cl.Put(ctx, key, value, kv.WithPrevKV()); err != nil {
					t.Errorf("Put: %v", err)
				}
				if resp, err := cl.Get(ctx, key); err != nil || len(resp.Kvs) != 1 || string(resp.Kvs[0].Value) != value {
					t.Errorf("Get: %v", err)
				}
				if resp, err := cl.Delete(ctx, key, kv.WithPrevKV()); err != nil || resp.Deleted != 1 || string(resp.PrevKvs[0].Value) != value {
					t.Errorf("Delete: %v, %v", resp, err)
				}
				if _, err := cl.Put(ctx, key, value); err != nil {
					t.Errorf("Put: %v", err)
				}
			})
		}
		wg.Wait()
	}
}

// pair are two clusters to which the same happens: with batches, many calls at a time, and
// without, one after the other.
type pair struct {
	t       *testing.T
	ctx     context.Context //nolint:containedctx // the test's
	batched pb.KVClient
	single  pb.KVClient
	revs    [2]map[string]int64 // of the keys' last puts, on either
}

// The answers to calls in batches are those to single calls, errors included, but for the
// revisions, which calls of one batch share.
func TestBatchAnswersAreThoseOfSingleCalls(t *testing.T) { eachBatch(t, testBatchAnswers) }

func testBatchAnswers(t *testing.T, dialBatch func(client.Config) *client.Client) {
	t.Helper()
	ctx := timeout(t)
	one, other := startCluster(t, cluster.Config{Size: 1}), startCluster(t, cluster.Config{Size: 1})
	batched, single := dialBatch(client.Config{Endpoints: one.Endpoints()}), dial(t, client.Config{Endpoints: other.Endpoints()})
	for _, cl := range []*client.Client{batched, single} {
		if _, err := cl.GrantID(ctx, 7, 600); err != nil {
			t.Fatal(err)
		}
	}
	p := &pair{t, ctx, pb.NewKVClient(batched.Conn()), pb.NewKVClient(single.Conn()), [2]map[string]int64{{}, {}}}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	const keys = 100
	key := func(i int) []byte { return fmt.Appendf(nil, "k%02d", i) }
	answered, refused := 0, 0
	rounds := 20
	if testing.Short() {
		rounds = 5
	}
	for range rounds {
		p.ctx = timeout(t) //nolint:fatcontext // of the test, not of the round before; a round has hundreds of calls, one after the other
		// Writes of different keys, some of which are refused.
		var calls []proto.Message
		at := rnd.Perm(keys)
		for len(at) > 0 {
			k := at[0]
			at = at[1:]
			switch rnd.IntN(10) {
			case 0, 1:
				calls = append(calls, &pb.DeleteRangeRequest{Key: key(k), PrevKv: rnd.IntN(2) == 0})
			case 2:
				if slices.Contains(at, k+1) && slices.Contains(at, k+2) {
					at = slices.DeleteFunc(at, func(i int) bool { return i == k+1 || i == k+2 })
					calls = append(calls, &pb.DeleteRangeRequest{Key: key(k), RangeEnd: key(k + 3), PrevKv: rnd.IntN(2) == 0})
				}
			default:
				put := &pb.PutRequest{Key: key(k), Value: fmt.Append(nil, rnd.Int()), PrevKv: rnd.IntN(2) == 0}
				switch rnd.IntN(24) {
				case 0, 1, 2:
					put.Lease = 7
				case 3, 4:
					put.IgnoreLease = true
				case 5, 6:
					put.IgnoreValue, put.Value = true, nil
				case 7:
					if rnd.IntN(4) == 0 {
						put.Lease = 404
					}
				case 8:
					put.IgnoreValue = true
				case 9:
					put.Key = nil
				}
				calls = append(calls, put)
			}
		}
		p.do(calls)
		// Reads of everything.
		calls = nil
		for range 300 {
			read := &pb.RangeRequest{Key: key(rnd.IntN(keys)), Serializable: rnd.IntN(3) == 0}
			switch rnd.IntN(8) {
			case 0:
				read.RangeEnd = key(rnd.IntN(keys))
			case 1:
				read.RangeEnd, read.Limit = []byte{0}, rnd.Int64N(30)
			}
			switch rnd.IntN(8) {
			case 0:
				read.KeysOnly = true
			case 1:
				read.CountOnly = true
			case 2:
				read.SortOrder, read.SortTarget = pb.RangeRequest_SortOrder(rnd.IntN(3)), pb.RangeRequest_KEY
			case 3:
				if rnd.IntN(8) == 0 {
					read.Revision = 1 << 40
				}
			case 4:
				if rnd.IntN(8) == 0 {
					read.Revision = -rnd.Int64N(2)
				}
			}
			if rnd.IntN(100) == 0 {
				read.SortOrder = 17
			}
			calls = append(calls, read)
		}
		a, r := p.do(calls)
		answered, refused = answered+a, refused+r
	}
	if answered < 200*rounds || refused < rounds/2 {
		t.Errorf("%d reads were answered and %d refused: too few to tell anything", answered, refused)
	}
}

// do makes the calls on both, and compares.
func (p *pair) do(calls []proto.Message) (answered, refused int) {
	p.t.Helper()
	type answer struct {
		resp proto.Message
		err  error
	}
	call := func(stub pb.KVClient, req proto.Message) (a answer) {
		switch req := req.(type) {
		case *pb.RangeRequest:
			a.resp, a.err = stub.Range(p.ctx, req)
		case *pb.PutRequest:
			a.resp, a.err = stub.Put(p.ctx, req)
		case *pb.DeleteRangeRequest:
			a.resp, a.err = stub.DeleteRange(p.ctx, req)
		}
		return a
	}
	together := make([]answer, len(calls))
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i, req := range calls {
		wg.Go(func() {
			<-start
			together[i] = call(p.batched, req)
		})
	}
	close(start)
	wg.Wait()
	for i, req := range calls {
		got, want := together[i], call(p.single, req)
		// Only etcd's words are the same: package once and the client name what they did.
		text := func(err error) string {
			_, words, _ := strings.Cut(status.Convert(err).Message(), "etcdserver: ")
			words, _, _ = strings.Cut(words, " [")
			return words
		}
		if status.Code(got.err) != status.Code(want.err) || text(got.err) != text(want.err) || client.IsAmbiguous(got.err) != client.IsAmbiguous(want.err) {
			p.t.Errorf("%v: %v, want %v", req, got.err, want.err)
			continue
		}
		if got.err != nil {
			refused++
			continue
		}
		answered++
		g, w := p.plain(0, req, got.resp), p.plain(1, req, want.resp)
		if !proto.Equal(g, w) {
			p.t.Errorf("%v:\n got %v\nwant %v", req, g, w)
		}
	}
	return answered, refused
}

// plain checks the revisions of an answer, and returns it without them, and without the
// cluster's identity.
func (p *pair) plain(side int, req, resp proto.Message) proto.Message {
	p.t.Helper()
	header := resp.(interface{ GetHeader() *pb.ResponseHeader }).GetHeader()
	if header.GetClusterId() == 0 || header.GetMemberId() == 0 || header.GetRaftTerm() == 0 || header.GetRevision() == 0 {
		p.t.Errorf("%v: the header is %v, want all of it", req, header)
	}
	revs := p.revs[side]
	out := proto.Clone(resp)
	switch out := out.(type) {
	case *pb.RangeResponse:
		for _, kv := range out.Kvs {
			if kv.ModRevision != revs[string(kv.Key)] || kv.CreateRevision == 0 || header.GetRevision() < kv.ModRevision {
				p.t.Errorf("%v: %v at revision %d, but the answer to the put said %d", req, kv, header.GetRevision(), revs[string(kv.Key)])
			}
			kv.ModRevision, kv.CreateRevision = 0, 0
		}
		out.Header = nil
	case *pb.PutResponse:
		k := string(req.(*pb.PutRequest).Key)
		if prev := out.PrevKv; prev != nil {
			if prev.ModRevision != revs[k] {
				p.t.Errorf("%v: before it was %v, but the answer to the put said %d", req, prev, revs[k])
			}
			prev.ModRevision, prev.CreateRevision = 0, 0
		}
		revs[k], out.Header = header.GetRevision(), nil
	case *pb.DeleteRangeResponse:
		for _, kv := range out.PrevKvs {
			kv.ModRevision, kv.CreateRevision = 0, 0
		}
		out.Header = nil
	}
	return out
}

// Many callers on a few keys always see one register for each, whatever happens to the
// members.
func TestBatchUnderFaults(t *testing.T) { eachBatch(t, testBatchUnderFaults) }

func testBatchUnderFaults(t *testing.T, dialBatch func(client.Config) *client.Client) {
	t.Helper()
	const keys, callers = 64, 64
	c := startCluster(t, cluster.Config{})
	ctx, stop := context.WithCancel(patient(t))
	defer stop()
	cl := dialBatch(client.Config{Endpoints: c.Endpoints()})
	history := newRegisters(keys)
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for ctx.Err() == nil {
				time.Sleep(rand.N(60 * time.Millisecond))
				key := rand.IntN(keys)
				if rand.IntN(2) == 0 {
					history.write(ctx, cl, key, strconv.Itoa(key))
				} else {
					history.read(ctx, cl, key, strconv.Itoa(key))
				}
			}
		})
	}
	disturb(ctx, t, c, 4, false)
	eventually(t, "enough to tell anything", func() bool { return history.len() > 3000 })
	stop()
	wg.Wait()
	reads, writes, unknown := history.check(t)
	t.Logf("in %v: %d reads, %d writes, %d of unknown outcome", history.now(), reads, writes, unknown)
	if reads < 1000 || writes < 1000 {
		t.Error("too few to tell anything")
	}
}
