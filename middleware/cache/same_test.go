package cache_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"

	"github.com/getcd/getcd/middleware/cache"
)

// random makes requests of the keys under a/, b/ and elsewhere.
type random struct{ *rand.Rand }

func (r random) key() string {
	return fmt.Sprintf("%s%02d", []string{"a/", "a/x/", "b/", "c/"}[r.IntN(4)], r.IntN(12))
}

// span is a key and an end of a range, in each of the protocol's forms.
func (r random) span() (key, end []byte) {
	key = []byte(r.key())
	switch r.IntN(7) {
	case 0, 1:
	case 2:
		return []byte("a/"), []byte("a0")
	case 3:
		return []byte("b/"), []byte("b0")
	case 4:
		end = []byte(r.key())
	case 5:
		end = []byte{0}
	case 6:
		end = append(key[:2:2], 0xff) // not the prefix's end
	}
	return key, end
}

func (r random) put(leases []int64) *pb.PutRequest {
	p := &pb.PutRequest{Key: []byte(r.key()), Value: fmt.Appendf(nil, "%02d", r.IntN(20))}
	if r.IntN(10) == 0 {
		p.Value = nil
	}
	if r.IntN(6) == 0 {
		p.Lease = leases[r.IntN(len(leases))]
	}
	return p
}

func (r random) get(now int64) *pb.RangeRequest {
	g := &pb.RangeRequest{
		KeysOnly: r.IntN(4) == 0, CountOnly: r.IntN(6) == 0, Serializable: r.IntN(3) == 0,
		SortOrder: pb.RangeRequest_SortOrder(r.IntN(3)),
	}
	g.Key, g.RangeEnd = r.span()
	if r.IntN(2) == 0 {
		g.SortTarget = pb.RangeRequest_SortTarget(r.IntN(5))
	}
	if r.IntN(2) == 0 {
		g.Limit = int64(r.IntN(8))
	}
	for _, bound := range []*int64{&g.MinModRevision, &g.MaxModRevision, &g.MinCreateRevision, &g.MaxCreateRevision} {
		if r.IntN(8) == 0 {
			*bound = now - r.Int64N(80)
		}
	}
	if r.IntN(3) == 0 {
		g.Revision = max(0, now+2-r.Int64N(100))
	}
	return g
}

func (r random) compare(now int64) *pb.Compare {
	c := &pb.Compare{Result: pb.Compare_CompareResult(r.IntN(4)), Target: pb.Compare_CompareTarget(r.IntN(5))}
	c.Key, c.RangeEnd = r.span()
	switch c.Target {
	case pb.Compare_VERSION:
		c.TargetUnion = &pb.Compare_Version{Version: r.Int64N(3)}
	case pb.Compare_CREATE:
		c.TargetUnion = &pb.Compare_CreateRevision{CreateRevision: now - r.Int64N(50)}
	case pb.Compare_MOD:
		c.TargetUnion = &pb.Compare_ModRevision{ModRevision: now - r.Int64N(50)}
	case pb.Compare_VALUE:
		c.TargetUnion = &pb.Compare_Value{Value: fmt.Appendf(nil, "%02d", r.IntN(20))}
	case pb.Compare_LEASE:
		c.TargetUnion = &pb.Compare_Lease{}
	}
	return c
}

func (r random) txn(now int64) *pb.TxnRequest {
	txn := &pb.TxnRequest{}
	for range r.IntN(3) {
		txn.Compare = append(txn.Compare, r.compare(now))
	}
	get := func() *pb.RequestOp {
		return &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: r.get(now)}}
	}
	for range r.IntN(3) {
		txn.Success = append(txn.Success, get())
	}
	for range r.IntN(3) {
		txn.Failure = append(txn.Failure, get())
	}
	return txn
}

func linearizable(key string) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: []byte(key)}}}
}

// TestSameAnswers makes random changes, and compares the cache's answers to random questions with
// the server's: they are the same, to the byte.
func TestSameAnswers(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			run(t, []string{"b/", "a/", "a/x/"}, []cache.Option{cache.WithWindow(60, 1<<20)}, nil, func(r *rig) {
				sameAnswers(r, random{rand.New(rand.NewPCG(seed, 7))})
			})
		})
	}
}

func sameAnswers(r *rig, rnd random) {
	ctx, t := r.t.Context(), r.t
	leases := []int64{11, 12}
	for _, id := range leases {
		if _, err := pb.NewLeaseClient(r.plain).LeaseGrant(ctx, &pb.LeaseGrantRequest{ID: id, TTL: 3600}); err != nil {
			t.Fatal(err)
		}
	}
	const steps = 400
	older := 0
	for step := range steps {
		var err error
		switch rnd.IntN(4) {
		case 0, 1:
			_, err = r.direct.Put(ctx, rnd.put(leases))
		case 2:
			d := &pb.DeleteRangeRequest{Key: []byte(rnd.key())}
			if rnd.IntN(20) == 0 {
				d.Key, d.RangeEnd = rnd.span()
			}
			_, err = r.direct.DeleteRange(ctx, d)
		case 3: // several keys in one revision
			put := func() *pb.RequestOp {
				p := rnd.put(leases)
				return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: p}}
			}
			one, two := put(), put()
			two.GetRequestPut().Key = append(one.GetRequestPut().Key[:2:2], "twin"...)
			_, err = r.direct.Txn(ctx, &pb.TxnRequest{Success: []*pb.RequestOp{one, two}})
		}
		if err != nil {
			t.Fatal(err)
		}
		now := r.cluster.Revision()
		var req, got, want proto.Message
		var gotErr, wantErr error
		if rnd.IntN(3) == 0 {
			txn := rnd.txn(now)
			req = txn
			if rnd.IntN(2) == 0 { // it may be serializable as a whole, of prefixes that have come less far
				txn.Success = append(txn.Success, linearizable("a/"))
				txn.Failure = append(txn.Failure, linearizable("b/"))
			} else {
				for _, prefix := range []string{"a/", "b/"} {
					if _, err := r.stub.Range(ctx, linearizable(prefix).GetRequestRange()); err != nil {
						t.Fatal(err)
					}
				}
			}
			got, gotErr = r.stub.Txn(ctx, txn)
			want, wantErr = r.direct.Txn(ctx, txn)
		} else {
			get := rnd.get(now)
			if get.Serializable {
				synctest.Wait()
				get.Revision = min(get.Revision, now)
			}
			req = get
			resp, err := r.stub.Range(ctx, get)
			if err == nil && get.Serializable && resp.Header.Revision < now {
				// The revision of what is cached is older, since it has not changed since.
				resp.Header.Revision = now
				older++
			}
			got, gotErr = resp, err
			want, wantErr = r.direct.Range(ctx, get)
		}
		if fmt.Sprint(gotErr) != fmt.Sprint(wantErr) || gotErr == nil && !proto.Equal(got, want) {
			t.Fatalf("step %d, revision %d: %v\ncache:  %v %v\nserver: %v %v", step, now, req, got, gotErr, want, wantErr)
		}
	}
	if older == 0 || older > steps/4 {
		t.Errorf("%d of %d answers are of an older revision, want some of the serializable ones", older, steps)
	}
	for _, s := range r.cached.Stats().Prefixes {
		if s.Hits < 50 || s.Comparisons > 0 || s.Resyncs > 0 {
			t.Errorf("%+v: want many hits, and no comparison or resync", s)
		}
	}
}
