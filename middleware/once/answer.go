package once

import (
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"
)

// answer fills in the caller's reply from that of the transaction in which w has traveled.
func (w *write) answer(resp *pb.TxnResponse) {
	inner := resp
	if !w.blind() {
		inner = resp.GetResponses()[0].GetResponseTxn()
	}
	ops := inner.GetResponses()
	w.fill(resp.GetHeader(), inner.GetSucceeded(), ops[:len(ops)-1]) // without the slot
}

// fill fills in the caller's reply.
func (w *write) fill(header *pb.ResponseHeader, succeeded bool, ops []*pb.ResponseOp) {
	switch r := w.reply.(type) {
	case *pb.PutResponse:
		proto.Reset(r)
		r.Header, r.PrevKv = header, ops[0].GetResponsePut().GetPrevKv()
	case *pb.DeleteRangeResponse:
		d := ops[0].GetResponseDeleteRange()
		proto.Reset(r)
		r.Header, r.Deleted, r.PrevKvs = header, d.GetDeleted(), d.GetPrevKvs()
	case *pb.TxnResponse:
		proto.Reset(r)
		r.Header, r.Succeeded, r.Responses = header, succeeded, ops
	}
}
