package batch

import (
	"bytes"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// slab has the bytes of a batch's copies.
type slab []byte

func (s *slab) copyOf(b []byte) []byte {
	if b == nil {
		return nil
	}
	n := len(*s)
	*s = append(*s, b...) // moves when it has no more room, and leaves the others where they are
	return (*s)[n:len(*s):len(*s)]
}

func packPuts(questions []*question, size int) *pb.TxnRequest {
	ops := make([]struct {
		op  pb.RequestOp
		one pb.RequestOp_RequestPut
		put pb.PutRequest
	}, len(questions))
	success, s := make([]*pb.RequestOp, len(questions)), make(slab, 0, size)
	for i, q := range questions {
		o, r := &ops[i], q.first.req.(*pb.PutRequest)
		o.put.Key, o.put.Value = s.copyOf(r.Key), s.copyOf(r.Value)
		o.put.Lease, o.put.PrevKv, o.put.IgnoreValue, o.put.IgnoreLease = r.Lease, r.PrevKv, r.IgnoreValue, r.IgnoreLease
		o.one.RequestPut, o.op.Request = &o.put, &o.one
		success[i] = &o.op
		q.first.place.key = o.put.Key
	}
	return &pb.TxnRequest{Success: success}
}

func packDeletes(questions []*question, size int) *pb.TxnRequest {
	ops := make([]struct {
		op  pb.RequestOp
		one pb.RequestOp_RequestDeleteRange
		del pb.DeleteRangeRequest
	}, len(questions))
	success, s := make([]*pb.RequestOp, len(questions)), make(slab, 0, size)
	for i, q := range questions {
		o, r := &ops[i], q.first.req.(*pb.DeleteRangeRequest)
		o.del.Key, o.del.RangeEnd, o.del.PrevKv = s.copyOf(r.Key), s.copyOf(r.RangeEnd), r.PrevKv
		o.one.RequestDeleteRange, o.op.Request = &o.del, &o.one
		success[i] = &o.op
		q.first.place.key, q.first.place.end = o.del.Key, o.del.RangeEnd
	}
	return &pb.TxnRequest{Success: success}
}

func packReads(questions []*question, size int) *pb.TxnRequest {
	ops := make([]struct {
		op   pb.RequestOp
		one  pb.RequestOp_RequestRange
		read pb.RangeRequest
	}, len(questions))
	success, s := make([]*pb.RequestOp, len(questions)), make(slab, 0, size)
	for i, q := range questions {
		o := &ops[i]
		copyRead(&o.read, q.first.req.(*pb.RangeRequest), &s)
		o.one.RequestRange, o.op.Request = &o.read, &o.one
		success[i] = &o.op
	}
	return &pb.TxnRequest{Success: success}
}

func copyOfRead(q *question) *pb.RangeRequest {
	out, s := new(pb.RangeRequest), make(slab, 0, q.size)
	copyRead(out, q.first.req.(*pb.RangeRequest), &s)
	return out
}

func copyRead(out, r *pb.RangeRequest, s *slab) {
	out.Key, out.RangeEnd = s.copyOf(r.Key), s.copyOf(r.RangeEnd)
	out.Limit, out.Revision, out.SortOrder, out.SortTarget = r.Limit, r.Revision, r.SortOrder, r.SortTarget
	out.Serializable, out.KeysOnly, out.CountOnly = r.Serializable, r.KeysOnly, r.CountOnly
	out.MinModRevision, out.MaxModRevision = r.MinModRevision, r.MaxModRevision
	out.MinCreateRevision, out.MaxCreateRevision = r.MinCreateRevision, r.MaxCreateRevision
}

// sameRead reports whether two reads ask the same.
func sameRead(a, b *pb.RangeRequest) bool {
	return bytes.Equal(a.Key, b.Key) && bytes.Equal(a.RangeEnd, b.RangeEnd) &&
		a.Limit == b.Limit && a.Revision == b.Revision && a.SortOrder == b.SortOrder && a.SortTarget == b.SortTarget &&
		a.Serializable == b.Serializable && a.KeysOnly == b.KeysOnly && a.CountOnly == b.CountOnly &&
		a.MinModRevision == b.MinModRevision && a.MaxModRevision == b.MaxModRevision &&
		a.MinCreateRevision == b.MinCreateRevision && a.MaxCreateRevision == b.MaxCreateRevision
}

// lastDeadlineLocked is when the last caller stops waiting; ends is false when one does not.
// It counts the callers, too.
func (b *batch) lastDeadlineLocked() (last time.Time, ends bool) {
	ends = true
	see := func(a *call) {
		a.state, a.batch = going, b
		b.live++
		if !ends {
			return
		}
		var d time.Time
		if d, ends = a.ctx.Deadline(); d.After(last) {
			last = d
		}
	}
	for _, q := range b.questions {
		see(q.first)
		for _, a := range q.more {
			see(a)
		}
	}
	return last, ends
}
