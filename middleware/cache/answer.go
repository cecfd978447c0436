package cache

import (
	"bytes"
	"cmp"
	"math"
	"sort"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"
)

// known reports whether a request has only what this package knows.
func known(r proto.Message) bool { return len(r.ProtoReflect().GetUnknown()) == 0 }

// answerable reports whether a range can be answered by a cache of its keys: the server would
// not refuse it (api/v3rpc/key.go, checkRangeRequest).
func answerable(r *pb.RangeRequest) bool {
	return len(r.Key) > 0 && r.Revision >= 0 && known(r) &&
		pb.RangeRequest_NONE <= r.SortOrder && r.SortOrder <= pb.RangeRequest_DESCEND &&
		pb.RangeRequest_KEY <= r.SortTarget && r.SortTarget <= pb.RangeRequest_VALUE
}

func (st *state) answer(r *pb.RangeRequest, out *pb.RangeResponse) (ok bool) {
	return st.answerAt(r, st.rev, out)
}

// answerAt is the server's answer to a range of keys of this prefix, without a header, where the
// present revision is now. ok is false when only the server knows it: the revision is not one of
// those that are known, or what the answer has depends on the server's version.
func (st *state) answerAt(r *pb.RangeRequest, now int64, out *pb.RangeResponse) (ok bool) {
	rev := cmp.Or(r.Revision, now)
	if rev > st.rev || rev < st.floor {
		return false
	}
	if len(r.RangeEnd) == 0 {
		return st.single(r, rev, out)
	}
	keys := spanOf(r.Key, r.RangeEnd)
	v := st.at(rev, keys)
	out.Count = int64(v.count(keys))
	if r.CountOnly || out.Count == 0 {
		return true
	}
	items := list(v, keys, r, int(out.Count))
	if r.Limit > 0 && int64(len(items)) > r.Limit {
		items, out.More = items[:r.Limit], true
	}
	for i := range items {
		if doubtful(r, &items[i]) {
			return false
		}
	}
	out.Kvs = messages(items, r.KeysOnly)
	return true
}

// doubtful reports whether servers differ in what they answer: since etcd 3.7 an answer of keys
// alone has no leases (mvcc/kvstore_txn.go, FastKeysOnly).
func doubtful(r *pb.RangeRequest, it *item) bool {
	return r.KeysOnly && it.lease != 0 && r.SortTarget != pb.RangeRequest_VALUE
}

// pair is what an answer of one key has.
type pair struct {
	header pb.ResponseHeader
	kv     mvccpb.KeyValue
	kvs    [1]*mvccpb.KeyValue
}

// single is the answer to a range of one key. It has room for a header.
func (st *state) single(r *pb.RangeRequest, rev int64, out *pb.RangeResponse) bool {
	var rec record
	var ok bool
	if rev == st.rev {
		rec, ok = st.root.get(string(r.Key))
	} else {
		rec, ok = st.at(rev, spanOf(r.Key, nil)).get(string(r.Key))
	}
	if !ok {
		return true
	}
	out.Count = 1
	it := parse(rec)
	switch {
	case r.CountOnly || !passes(r, &it):
		return true
	case doubtful(r, &it):
		return false
	}
	p := &pair{}
	it.fill(&p.kv, r.KeysOnly, make([]byte, it.size(r.KeysOnly)))
	p.kvs[0] = &p.kv
	out.Header, out.Kvs = &p.header, p.kvs[:]
	return true
}

// list follows etcd's server/etcdserver/txn/range.go, executeRange, up to the limit.
func list(v view, keys span, r *pb.RangeRequest, count int) []item {
	order := r.SortOrder
	usual := order == pb.RangeRequest_NONE || r.SortTarget == pb.RangeRequest_KEY && order == pb.RangeRequest_ASCEND
	limit := count
	if usual && !filtered(r) && r.Limit > 0 && r.Limit < math.MaxInt32 {
		// One more, to know whether there are more. A target without an order is taken for
		// nothing to sort here, and then sorts after all what was read.
		limit = min(count, int(r.Limit)+1)
	}
	items := make([]item, 0, limit)
	v.each(keys, func(rec record) bool {
		if len(items) == limit {
			return false
		}
		items = append(items, parse(rec))
		return true
	})
	items = filter(items, r)
	if r.SortTarget != pb.RangeRequest_KEY && order == pb.RangeRequest_NONE {
		order = pb.RangeRequest_ASCEND
	}
	// The same algorithm as the server's leaves in the same order what compares equal.
	by := sorter{items, r.SortTarget}
	switch {
	case order == pb.RangeRequest_NONE, order == pb.RangeRequest_ASCEND && r.SortTarget == pb.RangeRequest_KEY:
	case order == pb.RangeRequest_ASCEND:
		sort.Sort(by)
	default:
		sort.Sort(sort.Reverse(by))
	}
	return items
}

func filtered(r *pb.RangeRequest) bool {
	return r.MinModRevision != 0 || r.MaxModRevision != 0 || r.MinCreateRevision != 0 || r.MaxCreateRevision != 0
}

// passes reports whether the filters let a key through.
func passes(r *pb.RangeRequest, it *item) bool {
	return (r.MaxModRevision == 0 || it.mod <= r.MaxModRevision) && (r.MinModRevision == 0 || it.mod >= r.MinModRevision) &&
		(r.MaxCreateRevision == 0 || it.create <= r.MaxCreateRevision) && (r.MinCreateRevision == 0 || it.create >= r.MinCreateRevision)
}

func filter(items []item, r *pb.RangeRequest) []item {
	if !filtered(r) {
		return items
	}
	kept := items[:0]
	for i := range items {
		if passes(r, &items[i]) {
			kept = append(kept, items[i])
		}
	}
	return kept
}

type sorter struct {
	items []item
	by    pb.RangeRequest_SortTarget
}

// Len implements sort.Interface.
func (s sorter) Len() int { return len(s.items) }

// Swap implements sort.Interface.
func (s sorter) Swap(i, j int) { s.items[i], s.items[j] = s.items[j], s.items[i] }

// Less implements sort.Interface.
func (s sorter) Less(i, j int) bool {
	a, b := &s.items[i], &s.items[j]
	switch s.by {
	case pb.RangeRequest_VERSION:
		return a.version < b.version
	case pb.RangeRequest_CREATE:
		return a.create < b.create
	case pb.RangeRequest_MOD:
		return a.mod < b.mod
	case pb.RangeRequest_VALUE:
		return a.value < b.value
	default:
		return a.key < b.key
	}
}

// compare follows etcd's server/etcdserver/txn/txn.go, applyCompare: every key of the range has
// to fit, and a key that is not there has zeros to compare, but no value.
func compare(v view, keys span, c *pb.Compare) bool {
	fits, none := true, true
	v.each(keys, func(rec record) bool {
		it := parse(rec)
		none = false
		fits = fit(c, &it)
		return fits
	})
	if none {
		return c.Target != pb.Compare_VALUE && fit(c, &item{})
	}
	return fits
}

func fit(c *pb.Compare, it *item) bool {
	var order int
	switch c.Target {
	case pb.Compare_VALUE:
		order = strings.Compare(it.value, string(c.GetValue()))
	case pb.Compare_CREATE:
		order = cmp.Compare(it.create, c.GetCreateRevision())
	case pb.Compare_MOD:
		order = cmp.Compare(it.mod, c.GetModRevision())
	case pb.Compare_VERSION:
		order = cmp.Compare(it.version, c.GetVersion())
	case pb.Compare_LEASE:
		order = cmp.Compare(it.lease, c.GetLease())
	}
	switch c.Result {
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

var noEnd = []byte{0}

// prefixEnd is the protocol's end of the range of keys that begin with prefix.
func prefixEnd(prefix string) []byte {
	end := []byte(prefix)
	for len(end) > 0 {
		if last := &end[len(end)-1]; *last < 0xff {
			*last++
			return end
		}
		end = end[:len(end)-1]
	}
	return noEnd
}

// within reports whether all keys of a request's range begin with a prefix whose range ends at end.
func within(key, rangeEnd []byte, prefix string, end []byte) bool {
	if len(key) == 0 || len(key) < len(prefix) || string(key[:len(prefix)]) != prefix {
		return false
	}
	switch {
	case len(rangeEnd) == 0:
		return true
	case bytes.Equal(end, noEnd):
		return true
	case bytes.Equal(rangeEnd, noEnd):
		return false
	}
	return bytes.Compare(rangeEnd, end) <= 0
}
