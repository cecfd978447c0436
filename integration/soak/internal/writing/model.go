package writing

import (
	"bytes"
	"cmp"
	"maps"
	"slices"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"
)

// model is the store, as the history has it so far. It knows what workers do, and no more.
type model struct {
	keys    map[string]*mvccpb.KeyValue
	rev     int64 // of the write that is carried out
	touched map[string]bool
}

func newModel() *model { return &model{keys: make(map[string]*mvccpb.KeyValue)} }

// change carries out what the history says.
func (m *model) change(e *mvccpb.Event) {
	if e.GetType() == mvccpb.Event_DELETE {
		delete(m.keys, string(e.GetKv().GetKey()))
	} else {
		m.keys[string(e.GetKv().GetKey())] = e.GetKv()
	}
}

// do carries out a request at a revision, and returns its answer.
func (m *model) do(req proto.Message, rev int64) proto.Message {
	m.rev, m.touched = rev, make(map[string]bool)
	switch req := req.(type) {
	case *pb.PutRequest:
		return &pb.PutResponse{PrevKv: m.put(req).GetPrevKv()}
	case *pb.DeleteRangeRequest:
		r := m.remove(req)
		return &pb.DeleteRangeResponse{Deleted: r.GetDeleted(), PrevKvs: r.GetPrevKvs()}
	default:
		t := req.(*pb.TxnRequest)
		took := make(map[*pb.TxnRequest]bool)
		m.decide(t, took)
		return m.txn(t, took)
	}
}

// decide makes all comparisons, nested ones too, before anything is changed.
func (m *model) decide(t *pb.TxnRequest, took map[*pb.TxnRequest]bool) {
	took[t] = !slices.ContainsFunc(t.GetCompare(), func(c *pb.Compare) bool { return !m.holds(c) })
	for _, op := range taken(t, took) {
		if nested := op.GetRequestTxn(); nested != nil {
			m.decide(nested, took)
		}
	}
}

func taken(t *pb.TxnRequest, took map[*pb.TxnRequest]bool) []*pb.RequestOp {
	if took[t] {
		return t.GetSuccess()
	}
	return t.GetFailure()
}

func (m *model) holds(c *pb.Compare) bool {
	kv := m.keys[string(c.GetKey())]
	if c.GetTarget() == pb.Compare_VALUE {
		return kv != nil && bytes.Compare(kv.GetValue(), c.GetValue()) < 0
	}
	return cmp.Compare(kv.GetVersion(), c.GetVersion()) > 0
}

func (m *model) txn(t *pb.TxnRequest, took map[*pb.TxnRequest]bool) *pb.TxnResponse {
	resp := &pb.TxnResponse{Succeeded: took[t]}
	for _, op := range taken(t, took) {
		var out pb.ResponseOp
		switch op := op.GetRequest().(type) {
		case *pb.RequestOp_RequestPut:
			out.Response = &pb.ResponseOp_ResponsePut{ResponsePut: m.put(op.RequestPut)}
		case *pb.RequestOp_RequestDeleteRange:
			out.Response = &pb.ResponseOp_ResponseDeleteRange{ResponseDeleteRange: m.remove(op.RequestDeleteRange)}
		case *pb.RequestOp_RequestRange:
			kvs := m.within(op.RequestRange.GetKey(), op.RequestRange.GetRangeEnd())
			out.Response = &pb.ResponseOp_ResponseRange{ResponseRange: &pb.RangeResponse{Header: m.header(), Kvs: kvs, Count: int64(len(kvs))}}
		case *pb.RequestOp_RequestTxn:
			nested := m.txn(op.RequestTxn, took)
			nested.Header = &pb.ResponseHeader{}
			out.Response = &pb.ResponseOp_ResponseTxn{ResponseTxn: nested}
		}
		resp.Responses = append(resp.Responses, &out)
	}
	return resp
}

// header is that of an operation: the revision counts only when something was changed.
func (m *model) header() *pb.ResponseHeader {
	if len(m.touched) > 0 {
		return &pb.ResponseHeader{Revision: m.rev}
	}
	return &pb.ResponseHeader{Revision: m.rev - 1}
}

func (m *model) put(r *pb.PutRequest) *pb.PutResponse {
	key := string(r.GetKey())
	before := m.keys[key]
	after := &mvccpb.KeyValue{Key: r.GetKey(), Value: r.GetValue(), CreateRevision: m.rev, ModRevision: m.rev, Version: 1}
	if before != nil {
		after.CreateRevision, after.Version = before.GetCreateRevision(), before.GetVersion()+1
	}
	m.keys[key], m.touched[key] = after, true
	resp := &pb.PutResponse{Header: m.header()}
	if r.GetPrevKv() {
		resp.PrevKv = before
	}
	return resp
}

func (m *model) remove(r *pb.DeleteRangeRequest) *pb.DeleteRangeResponse {
	before := m.within(r.GetKey(), r.GetRangeEnd())
	for _, kv := range before {
		delete(m.keys, string(kv.GetKey()))
		m.touched[string(kv.GetKey())] = true
	}
	resp := &pb.DeleteRangeResponse{Header: m.header(), Deleted: int64(len(before))}
	if r.GetPrevKv() {
		resp.PrevKvs = before
	}
	return resp
}

// within returns the keys of a range, in order.
func (m *model) within(key, end []byte) []*mvccpb.KeyValue {
	if len(end) == 0 {
		if kv := m.keys[string(key)]; kv != nil {
			return []*mvccpb.KeyValue{kv}
		}
		return nil
	}
	var out []*mvccpb.KeyValue
	for _, name := range slices.Sorted(maps.Keys(m.keys)) {
		if name >= string(key) && name < string(end) {
			out = append(out, m.keys[name])
		}
	}
	return out
}
