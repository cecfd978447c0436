package cache_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/middleware/batch"
	"github.com/getcd/getcd/middleware/cache"
	"github.com/getcd/getcd/middleware/namespace"
	"github.com/getcd/getcd/middleware/once"
)

// TestStackAnswers sends the same random requests through middleware on middleware to one cluster,
// and directly to another, and compares the answers. The slots of package once take revisions, so
// each revision is compared by the write that has made it.
func TestStackAnswers(t *testing.T) {
	for seed := range uint64(2) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				stackAnswers(t, random{rand.New(rand.NewPCG(seed, 11))})
			})
		})
	}
}

// side is one of the two clusters, or what is seen of it.
type side struct {
	cc   grpc.ClientConnInterface
	revs []int64 // after each write that has changed something
}

func (s *side) call(t *testing.T, req proto.Message) (proto.Message, error) {
	t.Helper()
	switch r := req.(type) {
	case *pb.RangeRequest:
		return pb.NewKVClient(s.cc).Range(t.Context(), r)
	case *pb.PutRequest:
		return pb.NewKVClient(s.cc).Put(t.Context(), r)
	case *pb.DeleteRangeRequest:
		return pb.NewKVClient(s.cc).DeleteRange(t.Context(), r)
	default:
		return pb.NewKVClient(s.cc).Txn(t.Context(), req.(*pb.TxnRequest))
	}
}

// revision names the fields that have one.
var revision = map[protoreflect.Name]bool{
	"revision": true, "create_revision": true, "mod_revision": true,
	"min_mod_revision": true, "max_mod_revision": true, "min_create_revision": true, "max_create_revision": true,
}

// each calls f with all revisions of m, and sets them to what it returns.
func each(m protoreflect.Message, f func(name protoreflect.Name, rev int64) int64) {
	m.Range(func(field protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case revision[field.Name()]:
			m.Set(field, protoreflect.ValueOfInt64(f(field.Name(), v.Int())))
		case field.Kind() != protoreflect.MessageKind:
		case field.IsList():
			for i := range v.List().Len() {
				each(v.List().Get(i).Message(), f)
			}
		default:
			each(v.Message(), f)
		}
		return true
	})
}

// asked replaces the numbers of writes in a request by the revisions of this side.
func (s *side) asked(req proto.Message) proto.Message {
	req = proto.Clone(req)
	each(req.ProtoReflect(), func(_ protoreflect.Name, n int64) int64 {
		if n >= int64(len(s.revs)) {
			return 1 << 40
		}
		return s.revs[max(0, n)]
	})
	return req
}

// answered is the reverse, for an answer. The rest of the headers is of no interest.
func (s *side) answered(resp proto.Message) proto.Message {
	each(resp.ProtoReflect(), func(name protoreflect.Name, rev int64) int64 {
		n, _ := slices.BinarySearch(s.revs, rev)
		if name == "revision" {
			return 0 // of a header, which tells how far an answer is
		}
		return int64(n)
	})
	headers(resp.ProtoReflect())
	return resp
}

func headers(m protoreflect.Message) {
	m.Range(func(field protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case field.Name() == "header":
			m.Clear(field)
		case field.Kind() != protoreflect.MessageKind:
		case field.IsList():
			for i := range v.List().Len() {
				headers(v.List().Get(i).Message())
			}
		default:
			headers(v.Message())
		}
		return true
	})
}

// write is a random write, with reads, comparisons and transactions within.
func (r random) write(now int64, leases []int64) proto.Message {
	put := func() *pb.PutRequest {
		p := r.put(leases)
		p.PrevKv = r.IntN(2) == 0
		if p.Lease == 0 && r.IntN(8) == 0 {
			p.IgnoreLease = true
		} else if r.IntN(8) == 0 {
			p.IgnoreValue, p.Value = true, nil
		}
		return p
	}
	remove := func() *pb.DeleteRangeRequest {
		d := &pb.DeleteRangeRequest{Key: []byte(r.key()), PrevKv: r.IntN(2) == 0}
		if r.IntN(6) == 0 {
			d.Key, d.RangeEnd = r.span()
		}
		if r.IntN(3) > 0 && len(d.RangeEnd) == 1 { // what is left should not be little
			d.RangeEnd = nil
		}
		return d
	}
	var txn func(depth int) *pb.TxnRequest
	op := func(depth int) *pb.RequestOp {
		switch n := r.IntN(10); {
		case n < 4:
			return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: put()}}
		case n < 6:
			return &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: remove()}}
		case n < 8 || depth > 1:
			return &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: r.get(now)}}
		default:
			return &pb.RequestOp{Request: &pb.RequestOp_RequestTxn{RequestTxn: txn(depth + 1)}}
		}
	}
	txn = func(depth int) *pb.TxnRequest {
		t := &pb.TxnRequest{}
		for range r.IntN(3) {
			t.Compare = append(t.Compare, r.compare(now))
		}
		for range r.IntN(4) {
			t.Success = append(t.Success, op(depth))
		}
		for range r.IntN(3) {
			t.Failure = append(t.Failure, op(depth))
		}
		return t
	}
	switch r.IntN(5) {
	case 0, 1:
		return put()
	case 2:
		return remove()
	default:
		return txn(0)
	}
}

func stackAnswers(t *testing.T, rnd random) {
	t.Helper()
	const prefix = "ns/"
	stacked, direct := etcdtest.Start(t, 1), etcdtest.Start(t, 1)
	below := stacked.Conn(t)
	written := once.NewConn(below, "once/")
	defer func() { _ = written.Close() }()
	cached := cache.NewConn(batch.NewConn(written), []string{prefix + "a/", prefix + "b/"}, cache.WithWindow(60, 1<<20))
	defer func() { _ = cached.Close() }()
	a, b := &side{cc: namespace.NewConn(cached, prefix)}, &side{cc: namespace.NewConn(direct.Conn(t), prefix)}
	leases := []int64{11, 12}
	for _, cc := range []grpc.ClientConnInterface{a.cc, b.cc} {
		for _, id := range leases {
			if _, err := pb.NewLeaseClient(cc).LeaseGrant(t.Context(), &pb.LeaseGrantRequest{ID: id, TTL: 3600}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cached.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	note := func() {
		if n := len(b.revs); n > 0 && b.revs[n-1] == direct.Revision() {
			return
		}
		a.revs, b.revs = append(a.revs, stacked.Revision()), append(b.revs, direct.Revision())
	}
	note()
	lost := 0
	stacked.Member(0).Intercept(func(_ context.Context, _ string, req any, next func() (any, error)) (any, error) {
		resp, err := next()
		if r, ok := req.(*pb.TxnRequest); ok && err == nil && len(r.GetCompare()) == 1 && bytes.HasPrefix(r.GetCompare()[0].GetKey(), []byte("once/")) && resp.(*pb.TxnResponse).GetSucceeded() {
			if lost++; lost%3 == 0 {
				return nil, status.Error(codes.Unavailable, "the answer is lost")
			}
		}
		return resp, err
	})
	compare := func(step int, req proto.Message) {
		t.Helper()
		asked := a.asked(req)
		got, gotErr := a.call(t, asked)
		want, wantErr := b.call(t, b.asked(req))
		if gotErr == nil && wantErr == nil {
			got, want = a.answered(got), b.answered(want)
		}
		if fmt.Sprint(gotErr) != fmt.Sprint(wantErr) || gotErr == nil && !proto.Equal(got, want) {
			t.Errorf("step %d, %d writes: %v\nstack:  %v %v\ndirect: %v %v", step, len(a.revs), asked, got, gotErr, want, wantErr)
		}
	}
	for step := range 200 {
		now := int64(len(a.revs) - 1)
		if compare(step, rnd.write(now, leases)); t.Failed() {
			return
		}
		note()
		for _, prefix := range []string{"a/", "b/"} { // or a serializable transaction of both has the older one's revision
			if _, err := a.call(t, linearizable(prefix).GetRequestRange()); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		var together sync.WaitGroup
		for range 1 + rnd.IntN(8) {
			req := proto.Message(rnd.get(int64(len(a.revs) - 1)))
			if rnd.IntN(3) == 0 {
				req = rnd.txn(int64(len(a.revs) - 1))
			}
			together.Go(func() { compare(step, req) })
		}
		if together.Wait(); t.Failed() {
			return
		}
	}
	hits := int64(0)
	for _, s := range cached.Stats().Prefixes {
		hits += s.Hits
	}
	if hits < 100 || lost < 60 {
		t.Errorf("%d reads from memory and %d writes, want more", hits, lost)
	}
}
