package once

import (
	"bytes"
	"cmp"
	"slices"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
)

func byKey(kv *mvccpb.KeyValue, key []byte) int { return bytes.Compare(kv.GetKey(), key) }

// choose answers r from all keys of its range, in order, as the server would
// (etcdserver/txn/range.go).
func choose(r *pb.RangeRequest, kvs []*mvccpb.KeyValue) *pb.RangeResponse {
	resp := &pb.RangeResponse{Count: int64(len(kvs))}
	if r.GetCountOnly() {
		return resp
	}
	filtered := r.GetMinModRevision() != 0 || r.GetMaxModRevision() != 0 || r.GetMinCreateRevision() != 0 || r.GetMaxCreateRevision() != 0
	kvs = slices.DeleteFunc(kvs, func(kv *mvccpb.KeyValue) bool {
		return r.GetMinModRevision() != 0 && kv.GetModRevision() < r.GetMinModRevision() ||
			r.GetMaxModRevision() != 0 && kv.GetModRevision() > r.GetMaxModRevision() ||
			r.GetMinCreateRevision() != 0 && kv.GetCreateRevision() < r.GetMinCreateRevision() ||
			r.GetMaxCreateRevision() != 0 && kv.GetCreateRevision() > r.GetMaxCreateRevision()
	})
	limit := int(min(r.GetLimit(), int64(len(kvs))))
	// rangeLimit: without an order, the server reads up to the limit, and then sorts by a
	// target what it has read.
	if r.GetSortOrder() == pb.RangeRequest_NONE && !filtered && limit > 0 && len(kvs) > limit {
		kvs = kvs[:limit+1]
	}
	order(r, kvs)
	if limit > 0 && len(kvs) > limit {
		kvs, resp.More = kvs[:limit], true
	}
	for i, kv := range kvs {
		if r.GetKeysOnly() {
			kvs[i] = &mvccpb.KeyValue{Key: kv.GetKey(), CreateRevision: kv.GetCreateRevision(), ModRevision: kv.GetModRevision(), Version: kv.GetVersion()}
			// Since 3.7 only the index is read, which knows no lease, unless the values are
			// needed (FastKeysOnly).
			if r.GetSortTarget() == pb.RangeRequest_VALUE {
				kvs[i].Lease = kv.GetLease()
			}
		}
	}
	resp.Kvs = kvs
	return resp
}

// order sorts kvs, which are in the order of their keys. A target without an order means an
// ascending one.
func order(r *pb.RangeRequest, kvs []*mvccpb.KeyValue) {
	descend := r.GetSortOrder() == pb.RangeRequest_DESCEND
	if r.GetSortTarget() == pb.RangeRequest_KEY && !descend {
		return
	}
	slices.SortStableFunc(kvs, func(a, b *mvccpb.KeyValue) int {
		if descend {
			a, b = b, a
		}
		switch r.GetSortTarget() {
		case pb.RangeRequest_VERSION:
			return cmp.Compare(a.GetVersion(), b.GetVersion())
		case pb.RangeRequest_CREATE:
			return cmp.Compare(a.GetCreateRevision(), b.GetCreateRevision())
		case pb.RangeRequest_MOD:
			return cmp.Compare(a.GetModRevision(), b.GetModRevision())
		case pb.RangeRequest_VALUE:
			return bytes.Compare(a.GetValue(), b.GetValue())
		default:
			return bytes.Compare(a.GetKey(), b.GetKey())
		}
	})
}

// compare reports whether the comparisons held when the transaction was applied.
func (p *replay) compare(cs []*pb.Compare) (bool, error) {
	for _, c := range cs {
		kvs, err := p.before(span{c.GetKey(), c.GetRangeEnd()})
		if err != nil {
			return false, err
		}
		if !holds(c, kvs) {
			return false, nil
		}
	}
	return true, nil
}

// holds is one comparison: each key of the range must fit. A key that does not exist has zeros
// to be compared, but no value (etcdserver/txn/txn.go, applyCompare).
func holds(c *pb.Compare, kvs []*mvccpb.KeyValue) bool {
	if len(kvs) == 0 {
		if c.GetTarget() == pb.Compare_VALUE {
			return false
		}
		kvs = []*mvccpb.KeyValue{nil}
	}
	return !slices.ContainsFunc(kvs, func(kv *mvccpb.KeyValue) bool { return !fits(c, kv) })
}

func fits(c *pb.Compare, kv *mvccpb.KeyValue) bool {
	var order int
	switch c.GetTarget() {
	case pb.Compare_VALUE:
		order = bytes.Compare(kv.GetValue(), c.GetValue())
	case pb.Compare_CREATE:
		order = cmp.Compare(kv.GetCreateRevision(), c.GetCreateRevision())
	case pb.Compare_MOD:
		order = cmp.Compare(kv.GetModRevision(), c.GetModRevision())
	case pb.Compare_VERSION:
		order = cmp.Compare(kv.GetVersion(), c.GetVersion())
	case pb.Compare_LEASE:
		order = cmp.Compare(kv.GetLease(), c.GetLease())
	}
	switch c.GetResult() {
	case pb.Compare_EQUAL:
		return order == 0
	case pb.Compare_NOT_EQUAL:
		return order != 0
	case pb.Compare_GREATER:
		return order > 0
	case pb.Compare_LESS:
		return order < 0
	}
	return true
}
