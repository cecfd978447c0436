package cache

import (
	"context"
	"slices"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
)

// maxTxnOps is etcd's default of --max-txn-ops.
const maxTxnOps = 128

// ranges returns the prefixes that a transaction reads. ok is false if it does more than read
// them, or the server would refuse it.
func (c *Conn) ranges(r *pb.TxnRequest) (of []*prefix, ok bool) {
	if max(len(r.Compare), len(r.Success), len(r.Failure)) > maxTxnOps || !known(r) {
		return nil, false
	}
	add := func(key, end []byte) bool {
		p := c.of(key, end)
		if p == nil {
			return false
		}
		if !slices.Contains(of, p) {
			of = append(of, p)
		}
		return true
	}
	for _, cmp := range r.Compare {
		_, result := pb.Compare_CompareResult_name[int32(cmp.GetResult())]
		_, target := pb.Compare_CompareTarget_name[int32(cmp.GetTarget())]
		if cmp == nil || !result || !target || !known(cmp) || !add(cmp.Key, cmp.RangeEnd) {
			return nil, false
		}
	}
	for _, branch := range [][]*pb.RequestOp{r.Success, r.Failure} {
		for _, op := range branch {
			get := op.GetRequestRange() // a transaction within goes through raft (txn.IsTxnReadonly)
			if get == nil || !answerable(get) || !add(get.Key, get.RangeEnd) {
				return nil, false
			}
		}
	}
	return of, len(of) > 0
}

// serializable follows etcd's server/etcdserver/txn/txn.go, IsTxnSerializable.
func serializable(r *pb.TxnRequest) bool {
	for _, branch := range [][]*pb.RequestOp{r.Success, r.Failure} {
		for _, op := range branch {
			if !op.GetRequestRange().GetSerializable() {
				return false
			}
		}
	}
	return true
}

// readTxn answers a transaction that only reads from memory, if it can.
func (c *Conn) readTxn(ctx context.Context, r *pb.TxnRequest, out *pb.TxnResponse, opts []grpc.CallOption) bool {
	of, ok := c.ranges(r)
	if !ok || private(ctx, opts) {
		return false
	}
	c.begin()
	t := txn{c: c, states: make(map[*prefix]*state, len(of))}
	for _, p := range of {
		st, ok := p.fresh(ctx, serializable(r))
		if !ok {
			p.stats.misses.Add(1)
			return false
		}
		if t.rev == 0 || st.rev < t.rev {
			t.rev = st.rev
		}
		t.states[p] = st
	}
	// All is read at the revision that the one has that has come least far. It is not older
	// than the call, for a linearizable one: each state was confirmed.
	for p, st := range t.states {
		if t.rev < st.floor {
			p.stats.misses.Add(1)
			return false
		}
	}
	out.Reset()
	if !t.run(r, out) {
		out.Reset()
		of[0].stats.misses.Add(1)
		return false
	}
	out.Header = of[0].headerAt(t.rev)
	of[0].stats.hits.Add(1)
	return true
}

// txn is a transaction that reads at one revision.
type txn struct {
	c      *Conn
	states map[*prefix]*state
	rev    int64
}

func (t *txn) run(r *pb.TxnRequest, out *pb.TxnResponse) bool {
	out.Succeeded = true
	for _, c := range r.Compare {
		keys := spanOf(c.Key, c.RangeEnd)
		if !compare(t.states[t.c.of(c.Key, c.RangeEnd)].at(t.rev, keys), keys, c) {
			out.Succeeded = false
			break
		}
	}
	ops := r.Failure
	if out.Succeeded {
		ops = r.Success
	}
	for _, op := range ops {
		get := op.GetRequestRange()
		resp := &pb.RangeResponse{}
		if !t.get(get, resp) {
			return false
		}
		if resp.Header == nil {
			resp.Header = &pb.ResponseHeader{}
		}
		resp.Header.Revision = t.rev
		out.Responses = append(out.Responses, &pb.ResponseOp{Response: &pb.ResponseOp_ResponseRange{ResponseRange: resp}})
	}
	return true
}

// get answers a range at the transaction's revision, or at its own, which must not be later.
func (t *txn) get(r *pb.RangeRequest, out *pb.RangeResponse) bool {
	return r.Revision <= t.rev && t.states[t.c.of(r.Key, r.RangeEnd)].answerAt(r, t.rev, out)
}
