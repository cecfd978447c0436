package once

import (
	"bytes"
	"context"
	"slices"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"
)

// rebuild makes up the answer of w, which was lost. slot is the slot as w has left it: its mod
// revision is w's revision, and its value names the branch. header is that of the answer that
// showed it.
//
// The rest follows from the store one revision earlier, since etcd applies nothing else at w's:
// the comparisons, those of nested transactions included, see that state (etcdserver/txn/txn.go,
// compareToPath), and so do the operations, except for what those before them in the same
// transaction have changed (storage/mvcc/kvstore_txn.go, storeTxnWrite.Range).
func (c *Conn) rebuild(ctx context.Context, w *write, slot *mvccpb.KeyValue, header *pb.ResponseHeader) error {
	rev, succeeded := slot.GetModRevision(), string(slot.GetValue()) == tookThen
	p := &replay{ctx: ctx, t: c.slots.transport, rev: rev}
	ops, err := p.branch(w.txn, succeeded)
	if err != nil {
		return &AppliedError{Revision: rev, Succeeded: succeeded, Err: err}
	}
	w.fill(&pb.ResponseHeader{
		ClusterId: header.GetClusterId(), MemberId: header.GetMemberId(), RaftTerm: header.GetRaftTerm(), Revision: rev,
	}, succeeded, ops)
	return nil
}

// replay carries out the operations of a transaction once more, from what the store's history
// says.
type replay struct {
	ctx context.Context //nolint:containedctx // a replay lives within one call
	t   transport
	rev int64 // of the transaction

	done    []*pb.RequestOp // puts and deletions so far
	changed bool            // by one of them: the store is at rev, not before it
}

// branch replays the operations of the branch of t that was taken.
func (p *replay) branch(t *pb.TxnRequest, succeeded bool) ([]*pb.ResponseOp, error) {
	ops := t.GetFailure()
	if succeeded {
		ops = t.GetSuccess()
	}
	out := make([]*pb.ResponseOp, len(ops))
	for i, op := range ops {
		var err error
		if out[i], err = p.op(op); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (p *replay) op(op *pb.RequestOp) (*pb.ResponseOp, error) {
	switch op := op.GetRequest().(type) {
	case *pb.RequestOp_RequestRange:
		r, err := p.get(op.RequestRange)
		return &pb.ResponseOp{Response: &pb.ResponseOp_ResponseRange{ResponseRange: r}}, err
	case *pb.RequestOp_RequestPut:
		r, err := p.put(op.RequestPut)
		return &pb.ResponseOp{Response: &pb.ResponseOp_ResponsePut{ResponsePut: r}}, err
	case *pb.RequestOp_RequestDeleteRange:
		r, err := p.remove(op.RequestDeleteRange)
		return &pb.ResponseOp{Response: &pb.ResponseOp_ResponseDeleteRange{ResponseDeleteRange: r}}, err
	default: // a transaction; the server refuses what is none of them
		t := op.(*pb.RequestOp_RequestTxn).RequestTxn
		took, err := p.compare(t.GetCompare())
		if err != nil {
			return nil, err
		}
		ops, err := p.branch(t, took)
		r := &pb.TxnResponse{Header: &pb.ResponseHeader{}, Succeeded: took, Responses: ops}
		return &pb.ResponseOp{Response: &pb.ResponseOp_ResponseTxn{ResponseTxn: r}}, err
	}
}

// now is the revision that the store has in the middle of the transaction.
func (p *replay) now() int64 {
	if p.changed {
		return p.rev
	}
	return p.rev - 1
}

func (p *replay) get(r *pb.RangeRequest) (*pb.RangeResponse, error) {
	s := span{r.GetKey(), r.GetRangeEnd()}
	var resp *pb.RangeResponse
	if r.GetRevision() <= 0 && p.touched(s) {
		kvs, err := p.view(s)
		if err != nil {
			return nil, err
		}
		resp = choose(r, kvs)
	} else {
		past := proto.Clone(r).(*pb.RangeRequest)
		past.Serializable = false // a member that is behind does not have the revision yet
		if past.GetRevision() <= 0 {
			past.Revision = p.rev - 1
		}
		var err error
		if resp, err = p.t.get(p.ctx, past); err != nil {
			return nil, err
		}
	}
	resp.Header = &pb.ResponseHeader{Revision: p.now()}
	return resp, nil
}

func (p *replay) put(r *pb.PutRequest) (*pb.PutResponse, error) {
	resp := &pb.PutResponse{Header: &pb.ResponseHeader{Revision: p.rev}}
	if r.GetPrevKv() {
		kvs, err := p.view(span{from: r.GetKey()})
		if err != nil {
			return nil, err
		}
		if len(kvs) > 0 {
			resp.PrevKv = kvs[0]
		}
	}
	p.done = append(p.done, &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: r}})
	p.changed = true
	return resp, nil
}

func (p *replay) remove(r *pb.DeleteRangeRequest) (*pb.DeleteRangeResponse, error) {
	s := span{r.GetKey(), r.GetRangeEnd()}
	resp := &pb.DeleteRangeResponse{}
	if !r.GetPrevKv() && !p.touched(s) {
		n, err := p.t.get(p.ctx, &pb.RangeRequest{Key: s.from, RangeEnd: s.end, Revision: p.rev - 1, CountOnly: true})
		if err != nil {
			return nil, err
		}
		resp.Deleted = n.GetCount()
	} else {
		kvs, err := p.view(s)
		if err != nil {
			return nil, err
		}
		resp.Deleted = int64(len(kvs))
		if r.GetPrevKv() {
			resp.PrevKvs = kvs
		}
	}
	p.done = append(p.done, &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: r}})
	p.changed = p.changed || resp.Deleted > 0
	resp.Header = &pb.ResponseHeader{Revision: p.now()}
	return resp, nil
}

// touched reports whether an earlier operation may have changed a key of s.
func (p *replay) touched(s span) bool {
	return slices.ContainsFunc(p.done, func(op *pb.RequestOp) bool {
		w, _ := writeSpan(op)
		return s.meets(w)
	})
}

// view returns the keys of s in the middle of the transaction, in order.
func (p *replay) view(s span) ([]*mvccpb.KeyValue, error) {
	kvs, err := p.before(s)
	if err != nil {
		return nil, err
	}
	for _, op := range p.done {
		if r := op.GetRequestPut(); r != nil && s.has(r.GetKey()) {
			kvs = p.with(kvs, r)
		} else if d := op.GetRequestDeleteRange(); d != nil {
			gone := span{d.GetKey(), d.GetRangeEnd()}
			kvs = slices.DeleteFunc(kvs, func(kv *mvccpb.KeyValue) bool { return gone.has(kv.GetKey()) })
		}
	}
	return kvs, nil
}

// before returns the keys of s as they were before the transaction.
func (p *replay) before(s span) ([]*mvccpb.KeyValue, error) {
	resp, err := p.t.get(p.ctx, &pb.RangeRequest{Key: s.from, RangeEnd: s.end, Revision: p.rev - 1})
	return resp.GetKvs(), err
}

// with returns kvs after a put. The answer is the caller's, and the request may be used again, so
// they share no memory.
func (p *replay) with(kvs []*mvccpb.KeyValue, r *pb.PutRequest) []*mvccpb.KeyValue {
	kv := &mvccpb.KeyValue{Key: bytes.Clone(r.GetKey()), Value: bytes.Clone(r.GetValue()), Lease: r.GetLease(), CreateRevision: p.rev, ModRevision: p.rev, Version: 1}
	i, there := slices.BinarySearchFunc(kvs, r.GetKey(), byKey)
	if !there {
		return slices.Insert(kvs, i, kv)
	}
	kv.CreateRevision, kv.Version = kvs[i].GetCreateRevision(), kvs[i].GetVersion()+1
	if r.GetIgnoreValue() {
		kv.Value = kvs[i].GetValue()
	}
	if r.GetIgnoreLease() {
		kv.Lease = kvs[i].GetLease()
	}
	kvs[i] = kv
	return kvs
}
