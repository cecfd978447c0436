package kv

import (
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// The operations of the branch that was taken are numbered from 0, as they were given to
// Then or to Else. Ask Succeeded first when the two branches differ.
//
// The Header of an operation's response has at most a revision. For a Get it is the one
// that the operation has read, before the changes that come after it in the transaction.
// The transaction's own Header has everything else.

// Get returns the response to the branch's operation number i, which must be an OpGet. A
// number that the branch does not have, and an operation of another kind, are a
// *UsageError.
func (resp *TxnResponse) Get(i int) (*GetResponse, error) {
	op, err := resp.answer("Get", i)
	if err != nil {
		return nil, err
	}
	if r, ok := op.GetResponse().(*pb.ResponseOp_ResponseRange); ok {
		return (*GetResponse)(r.ResponseRange), nil
	}
	return nil, resp.wrongKind("Get", i, op)
}

// Put returns the response to an OpPut, as Get does to an OpGet.
func (resp *TxnResponse) Put(i int) (*PutResponse, error) {
	op, err := resp.answer("Put", i)
	if err != nil {
		return nil, err
	}
	if r, ok := op.GetResponse().(*pb.ResponseOp_ResponsePut); ok {
		return (*PutResponse)(r.ResponsePut), nil
	}
	return nil, resp.wrongKind("Put", i, op)
}

// Delete returns the response to an OpDelete, as Get does to an OpGet.
func (resp *TxnResponse) Delete(i int) (*DeleteResponse, error) {
	op, err := resp.answer("Delete", i)
	if err != nil {
		return nil, err
	}
	if r, ok := op.GetResponse().(*pb.ResponseOp_ResponseDeleteRange); ok {
		return (*DeleteResponse)(r.ResponseDeleteRange), nil
	}
	return nil, resp.wrongKind("Delete", i, op)
}

// Txn returns the response to an OpTxn, as Get does to an OpGet.
func (resp *TxnResponse) Txn(i int) (*TxnResponse, error) {
	op, err := resp.answer("Txn", i)
	if err != nil {
		return nil, err
	}
	if r, ok := op.GetResponse().(*pb.ResponseOp_ResponseTxn); ok {
		return (*TxnResponse)(r.ResponseTxn), nil
	}
	return nil, resp.wrongKind("Txn", i, op)
}

// answer is the response to operation i, of whatever kind.
func (resp *TxnResponse) answer(call string, i int) (*pb.ResponseOp, error) {
	if resp == nil {
		return nil, &UsageError{Op: "TxnResponse", Option: call, Reason: "there is no response; look at Commit's error first"}
	}
	if n := len(resp.Responses); i < 0 || i >= n {
		return nil, resp.misused(call, i, fmt.Sprintf("that branch has %d operations, numbered from 0", n))
	}
	return resp.Responses[i], nil
}

func (resp *TxnResponse) wrongKind(call string, i int, op *pb.ResponseOp) error {
	var kind opKind
	switch op.GetResponse().(type) {
	case *pb.ResponseOp_ResponseRange:
		kind = opGet
	case *pb.ResponseOp_ResponsePut:
		kind = opPut
	case *pb.ResponseOp_ResponseDeleteRange:
		kind = opDelete
	case *pb.ResponseOp_ResponseTxn:
		kind = opTxn
	default:
		return resp.misused(call, i, "the server's response to it is empty")
	}
	return resp.misused(call, i, fmt.Sprintf("that is a %v; use %[1]v(%d)", kind, i))
}

func (resp *TxnResponse) misused(call string, i int, reason string) error {
	branch := "Else"
	if resp.Succeeded {
		branch = "Then"
	}
	return &UsageError{Op: "TxnResponse", Option: fmt.Sprintf("%s(%d)", call, i), Reason: "the " + branch + " branch was taken, and " + reason}
}
