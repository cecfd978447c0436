package leasing

import (
	"bytes"
	"cmp"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/getcd/getcd/concurrency/session"
	"github.com/getcd/getcd/kv"
)

// state is a key at a revision. It is never changed.
type state struct {
	pair *mvccpb.KeyValue // nil: it does not exist
	rev  int64
}

// answer is what the server would say to a Get of the key. It shares nothing with
// the state.
func (st *state) answer(op kv.Op, header *pb.ResponseHeader) *pb.RangeResponse {
	resp := &pb.RangeResponse{Header: header}
	if st.pair == nil {
		return resp
	}
	resp.Count = 1
	if op.IsCountOnly() || filtered(op, st.pair) {
		return resp
	}
	pair := &mvccpb.KeyValue{
		Key:            bytes.Clone(st.pair.Key),
		CreateRevision: st.pair.CreateRevision,
		ModRevision:    st.pair.ModRevision,
		Version:        st.pair.Version,
		Lease:          st.pair.Lease,
	}
	if !op.IsKeysOnly() {
		pair.Value = bytes.Clone(st.pair.Value)
	}
	resp.Kvs = []*mvccpb.KeyValue{pair}
	return resp
}

// after is what a key that was in this state is when a transaction, or an operation of
// one, was applied at a revision, or nil if the answer does not tell. Servers refuse
// transactions that write a key twice.
func (st *state) after(key string, op kv.Op, resp *pb.ResponseOp, rev int64) *state {
	switch {
	case op.IsPut() && string(op.KeyBytes()) == key:
		pair := &mvccpb.KeyValue{
			Key: []byte(key), Value: bytes.Clone(op.ValueBytes()), Lease: int64(op.LeaseID()),
			CreateRevision: rev, ModRevision: rev, Version: st.pair.GetVersion() + 1,
		}
		if st.pair != nil {
			pair.CreateRevision = st.pair.GetCreateRevision()
		}
		if op.IsIgnoreValue() {
			pair.Value = bytes.Clone(st.pair.GetValue())
		}
		if op.IsIgnoreLease() {
			pair.Lease = st.pair.GetLease()
		}
		return &state{pair: pair, rev: rev}
	case op.IsDelete() && (&target{key: string(op.KeyBytes()), end: string(op.RangeBytes())}).has(key):
		return &state{rev: rev}
	case op.IsTxn():
		txn := resp.GetResponseTxn()
		_, ops, elseOps := op.Txn()
		if !txn.GetSucceeded() {
			ops = elseOps
		}
		if len(txn.GetResponses()) != len(ops) {
			return nil
		}
		for i, op := range ops {
			if next := st.after(key, op, txn.GetResponses()[i], rev); next == nil || next.pair != st.pair {
				return next
			}
		}
	}
	return &state{pair: st.pair, rev: rev}
}

// filtered reports whether a Get leaves a key out; 0 is no bound.
func filtered(op kv.Op, pair *mvccpb.KeyValue) bool {
	outside := func(rev, low, high int64) bool { return rev < low || high != 0 && rev > high }
	return outside(pair.ModRevision, op.MinModRev(), op.MaxModRev()) ||
		outside(pair.CreateRevision, op.MinCreateRev(), op.MaxCreateRev())
}

// holds is what the server makes of a comparison with one key: one that does not
// exist has zeros, and no value.
func (st *state) holds(c *pb.Compare) bool {
	pair, order := st.pair, 0
	switch c.GetTarget() {
	case pb.Compare_VALUE:
		if pair == nil {
			return false
		}
		order = bytes.Compare(pair.GetValue(), c.GetValue())
	case pb.Compare_CREATE:
		order = cmp.Compare(pair.GetCreateRevision(), c.GetCreateRevision())
	case pb.Compare_MOD:
		order = cmp.Compare(pair.GetModRevision(), c.GetModRevision())
	case pb.Compare_VERSION:
		order = cmp.Compare(pair.GetVersion(), c.GetVersion())
	case pb.Compare_LEASE:
		order = cmp.Compare(pair.GetLease(), c.GetLease())
	}
	switch c.GetResult() {
	case pb.Compare_EQUAL:
		return order == 0
	case pb.Compare_NOT_EQUAL:
		return order != 0
	case pb.Compare_GREATER:
		return order > 0
	default:
		return order < 0
	}
}

// txn answers a transaction if all that it looks at is known, and its branch writes
// nothing, and returns the session that must still live.
func (c *cache) txn(op kv.Op) (*pb.TxnResponse, *session.Session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session == nil || c.seen.GetRevision() == 0 {
		return nil, nil // the session is new, and no revision is known
	}
	resp := c.txnLocked(op)
	if resp == nil {
		return nil, nil
	}
	resp.Header = copied(c.seen)
	return resp, c.session
}

// txnLocked returns nil for a transaction that cannot be answered. Its answer has no
// header yet.
func (c *cache) txnLocked(op kv.Op) *pb.TxnResponse {
	cmps, thenOps, elseOps := op.Txn()
	resp := &pb.TxnResponse{Succeeded: true}
	for _, compare := range cmps {
		message := compare.GetCompare()
		st := c.entries[string(message.GetKey())].current()
		if st == nil || len(message.GetRangeEnd()) > 0 {
			return nil
		}
		if !st.holds(message) {
			resp.Succeeded = false
			break
		}
	}
	ops := thenOps
	if !resp.Succeeded {
		ops = elseOps
	}
	for _, op := range ops {
		part := c.partLocked(op)
		if part == nil {
			return nil
		}
		resp.Responses = append(resp.Responses, part)
	}
	return resp
}

func (c *cache) partLocked(op kv.Op) *pb.ResponseOp {
	switch {
	case op.IsGet() && len(op.RangeBytes()) == 0 && op.Rev() == 0:
		if st := c.entries[string(op.KeyBytes())].current(); st != nil {
			return &pb.ResponseOp{Response: &pb.ResponseOp_ResponseRange{ResponseRange: st.answer(op, copied(c.seen))}}
		}
	case op.IsTxn():
		if resp := c.txnLocked(op); resp != nil {
			resp.Header = copied(c.seen)
			return &pb.ResponseOp{Response: &pb.ResponseOp_ResponseTxn{ResponseTxn: resp}}
		}
	}
	return nil
}

func copied(h *pb.ResponseHeader) *pb.ResponseHeader {
	return &pb.ResponseHeader{
		ClusterId: h.GetClusterId(),
		MemberId:  h.GetMemberId(),
		Revision:  h.GetRevision(),
		RaftTerm:  h.GetRaftTerm(),
	}
}
