package once_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/getcd/getcd/etcdtest"
)

// Answers are those of a connection without once, whether they come from the server or are
// rebuilt, for transactions of all kinds. What a write changes is the same too.
func TestAnswersAreTheServers(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			run(t, 2, nil, func(r *rig) {
				t := r.t
				d := newDifference(t, r, seed)
				var tp tape
				for _, m := range r.cluster.Members() {
					m.Intercept(tp.hook(func(n int, ctx context.Context, next func() (any, error)) (any, error) {
						if d.lose && n >= d.sent {
							d.lose = false
							return lostAfter(ctx, next)
						}
						return next()
					}))
				}
				for i := range 60 {
					d.sent, d.lose = len(tp.all()), i%3 > 0
					d.step(i)
				}
				d.sameStores()
			})
		})
	}
}

// difference sends the same requests to two clusters.
type difference struct {
	t       *testing.T
	r       *rig
	with    pb.KVClient
	without pb.KVClient
	random  requests
	sent    int
	lose    bool
}

const leaseOfTests = 77

func newDifference(t *testing.T, r *rig, seed uint64) *difference {
	t.Helper()
	plain := etcdtest.Start(t, 1)
	d := &difference{t: t, r: r, with: pb.NewKVClient(r.c.Conn()), without: pb.NewKVClient(plain.Conn(t)), random: requests{rand.New(rand.NewPCG(seed, 1))}}
	for _, c := range []*etcdtest.Cluster{r.cluster, plain} {
		if _, err := pb.NewLeaseClient(c.Conn(t)).LeaseGrant(t.Context(), &pb.LeaseGrantRequest{ID: leaseOfTests, TTL: 1000}); err != nil {
			t.Fatal(err)
		}
	}
	r.put("b", "")
	for _, key := range []string{"filler", "b"} { // as the slots
		if _, err := d.without.Put(t.Context(), &pb.PutRequest{Key: []byte(key)}); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// answered is what came of a request.
type answered struct {
	reply  proto.Message
	header *pb.ResponseHeader
	err    error
}

func send(ctx context.Context, kv pb.KVClient, req proto.Message) answered {
	switch req := req.(type) {
	case *pb.PutRequest:
		r, err := kv.Put(ctx, req)
		return answered{r, r.GetHeader(), err}
	case *pb.DeleteRangeRequest:
		r, err := kv.DeleteRange(ctx, req)
		return answered{r, r.GetHeader(), err}
	default:
		r, err := kv.Txn(ctx, req.(*pb.TxnRequest))
		return answered{r, r.GetHeader(), err}
	}
}

func (d *difference) step(i int) {
	d.t.Helper()
	req := d.random.request(i)
	ctx := d.r.timeout(time.Minute)
	before := revision(d.t, d.without)
	want, got := send(ctx, d.without, req), send(ctx, d.with, req)
	if (want.err == nil) != (got.err == nil) || want.err != nil && !strings.Contains(got.err.Error(), status.Convert(want.err).Message()) {
		d.t.Fatalf("%d: %v:\ngot  error %v\nwant error %v", i, req, got.err, want.err)
	}
	now := revision(d.t, d.r.stub)
	if want.err == nil {
		if got.header.GetRevision() != now && !readOnly(req) {
			d.t.Errorf("%d: %v: it was answered with revision %d, and the store is at %d", i, req, got.header.GetRevision(), now)
		}
		changed := revision(d.t, d.without) > before
		if !changed {
			want.header.Revision = got.header.GetRevision() // the slot's
		}
		for _, h := range []*pb.ResponseHeader{want.header, got.header} {
			h.ClusterId, h.MemberId, h.RaftTerm = 0, 0, 0
		}
		if !proto.Equal(want.reply, got.reply) {
			d.t.Fatalf("%d: %v:\ngot  %v\nwant %v", i, req, got.reply, want.reply)
		}
	}
	if revision(d.t, d.without) < now {
		if _, err := d.without.Put(d.t.Context(), &pb.PutRequest{Key: []byte("filler")}); err != nil {
			d.t.Fatal(err)
		}
	}
}

func readOnly(req proto.Message) bool {
	r, ok := req.(*pb.TxnRequest)
	if !ok {
		return false
	}
	for _, ops := range [][]*pb.RequestOp{r.GetSuccess(), r.GetFailure()} {
		for _, op := range ops {
			if op.GetRequestRange() == nil && (op.GetRequestTxn() == nil || !readOnly(op.GetRequestTxn())) {
				return false
			}
		}
	}
	return true
}

// An answer that is rebuilt is the caller's, and so is the request: they share no memory.
func TestAnswersShareNothing(t *testing.T) {
	run(t, 1, nil, func(r *rig) {
		t := r.t
		r.put("warm", "")
		r.loseEverySecond()
		put := &pb.PutRequest{Key: []byte("k"), Value: []byte("v")}
		resp, err := pb.NewKVClient(r.c.Conn()).Txn(t.Context(), &pb.TxnRequest{Success: []*pb.RequestOp{
			{Request: &pb.RequestOp_RequestPut{RequestPut: put}},
			{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: []byte("k")}}},
		}})
		if err != nil || len(resp.Responses) != 2 || len(resp.Responses[1].GetResponseRange().GetKvs()) != 1 {
			t.Fatalf("got %v, %v, want the key", resp, err)
		}
		pair := resp.Responses[1].GetResponseRange().Kvs[0]
		pair.Key[0], pair.Value[0] = 'x', 'x'
		if string(put.Key) != "k" || string(put.Value) != "v" {
			t.Errorf("the caller has changed the answer, and the request became %v", put)
		}
	})
}

func (d *difference) sameStores() {
	d.t.Helper()
	all := &pb.RangeRequest{Key: []byte("a"), RangeEnd: []byte("f")}
	want, err := d.without.Range(d.t.Context(), all)
	if err != nil {
		d.t.Fatal(err)
	}
	got, err := d.r.stub.Range(d.t.Context(), all)
	if err != nil {
		d.t.Fatal(err)
	}
	want.Header, got.Header = nil, nil
	if !proto.Equal(want, got) {
		d.t.Errorf("the store has %v, want %v", got, want)
	}
}

func revision(t *testing.T, kv pb.KVClient) int64 {
	t.Helper()
	r, err := kv.Range(t.Context(), &pb.RangeRequest{Key: []byte("x")})
	if err != nil {
		t.Fatal(err)
	}
	return r.GetHeader().GetRevision()
}

// requests makes random ones, of the keys from a to e.
type requests struct{ *rand.Rand }

func (r requests) one(n int) bool { return r.IntN(n) == 0 }

func (r requests) key() []byte { return []byte{byte('a' + r.IntN(5))} }

func (r requests) bounds() (key, end []byte) {
	if key = r.key(); r.one(2) {
		end = []byte{byte('a' + r.IntN(6))}
	}
	return key, end
}

func (r requests) request(i int) proto.Message {
	switch r.IntN(6) {
	case 0:
		return r.put(i)
	case 1:
		return r.remove()
	default:
		return r.txn(i, 2)
	}
}

func (r requests) put(i int) *pb.PutRequest {
	p := &pb.PutRequest{Key: r.key(), PrevKv: r.one(2)}
	if p.IgnoreValue = r.one(6); !p.IgnoreValue {
		p.Value = fmt.Appendf(nil, "%d", (i*7)%23)
	}
	if p.IgnoreLease = r.one(6); !p.IgnoreLease && r.one(3) {
		p.Lease = leaseOfTests + int64(r.IntN(20)/19) // one in 20 does not exist
	}
	return p
}

func (r requests) remove() *pb.DeleteRangeRequest {
	d := &pb.DeleteRangeRequest{PrevKv: r.one(2)}
	d.Key, d.RangeEnd = r.bounds()
	return d
}

func (r requests) get(i int) *pb.RangeRequest {
	g := &pb.RangeRequest{
		Limit: int64(r.IntN(4)), KeysOnly: r.one(5), CountOnly: r.one(6), Serializable: r.one(4),
		SortOrder: pb.RangeRequest_SortOrder(r.IntN(3)), SortTarget: pb.RangeRequest_SortTarget(r.IntN(5)),
	}
	g.Key, g.RangeEnd = r.bounds()
	if r.one(6) {
		g.MinModRevision = int64(r.IntN(i + 3))
	}
	if r.one(6) {
		g.MaxCreateRevision = int64(r.IntN(i + 3))
	}
	if r.one(8) {
		g.Revision = int64(r.IntN(i + 3))
	}
	return g
}

func (r requests) txn(i, depth int) *pb.TxnRequest {
	t := &pb.TxnRequest{}
	for range r.IntN(3) {
		t.Compare = append(t.Compare, r.compare(i))
	}
	t.Success, t.Failure = r.ops(i, depth), r.ops(i, depth)
	if r.one(3) {
		t.Compare, t.Failure = nil, nil
	}
	return t
}

func (r requests) ops(i, depth int) []*pb.RequestOp {
	var ops []*pb.RequestOp
	for range r.IntN(5) {
		op := &pb.RequestOp{}
		switch n := r.IntN(7); {
		case n < 2:
			op.Request = &pb.RequestOp_RequestPut{RequestPut: r.put(i)}
		case n < 3:
			op.Request = &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: r.remove()}
		case n < 6 || depth == 0:
			op.Request = &pb.RequestOp_RequestRange{RequestRange: r.get(i)}
		default:
			op.Request = &pb.RequestOp_RequestTxn{RequestTxn: r.txn(i, depth-1)}
		}
		ops = append(ops, op)
	}
	return ops
}

func (r requests) compare(i int) *pb.Compare {
	c := &pb.Compare{Result: pb.Compare_CompareResult(r.IntN(4))}
	c.Key, c.RangeEnd = r.bounds()
	n := int64(r.IntN(i + 3))
	switch r.IntN(5) {
	case 0:
		c.Target, c.TargetUnion = pb.Compare_VALUE, &pb.Compare_Value{Value: fmt.Appendf(nil, "%d", n%23)}
	case 1:
		c.Target, c.TargetUnion = pb.Compare_CREATE, &pb.Compare_CreateRevision{CreateRevision: n}
	case 2:
		c.Target, c.TargetUnion = pb.Compare_MOD, &pb.Compare_ModRevision{ModRevision: n}
	case 3:
		c.Target, c.TargetUnion = pb.Compare_VERSION, &pb.Compare_Version{Version: n % 4}
	default:
		c.Target, c.TargetUnion = pb.Compare_LEASE, &pb.Compare_Lease{Lease: leaseOfTests * (n % 2)}
	}
	return c
}
