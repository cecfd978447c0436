package compat

import (
	"context"
	"errors"
	"slices"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"

	getcd "github.com/getcd/getcd/clientv3"
)

// ToCmp converts c to the original's type.
func ToCmp(c getcd.Cmp) clientv3.Cmp { return clientv3.FromCompare(c.GetCompare()) }

// FromCmp converts c to getcd's type.
func FromCmp(c clientv3.Cmp) getcd.Cmp { return getcd.FromCompare(c.GetCompare()) }

// ToOp converts op, which must be for Do or for a transaction, to the original's
// type. The result makes the same request. The error says what is wrong with op.
func ToOp(op getcd.Op) (clientv3.Op, error) {
	var seen observer
	_, err := getcd.NewKVFromKVClient(&seen, nil).Do(context.Background(), op)
	if seen.op == nil {
		return clientv3.Op{}, err
	}
	return theirs.op(seen.op), nil
}

// FromOp converts op, which must be for Do or for a transaction, to getcd's type.
// The result makes the same request. The error says what is wrong with op.
func FromOp(op clientv3.Op) (getcd.Op, error) {
	if !complete(op) {
		return getcd.Op{}, errors.New("compat: the Op has no operation: make it with OpGet, OpPut, OpDelete or OpTxn")
	}
	var seen observer
	_, err := clientv3.NewKVFromKVClient(&seen, nil).Do(context.Background(), op)
	if seen.op == nil {
		return getcd.Op{}, err
	}
	converted := ours.op(seen.op)
	return converted, converted.Err()
}

// complete reports whether an operation can be sent; clientv3 panics if it
// cannot.
func complete(op clientv3.Op) bool {
	_, then, otherwise := op.Txn()
	for _, nested := range slices.Concat(then, otherwise) {
		if !complete(nested) {
			return false
		}
	}
	return op.IsGet() || op.IsPut() || op.IsDelete() || op.IsTxn()
}

// observer is a KV service that records the request. An Op exposes only a part of
// its content, but a client puts all of it into the request.
type observer struct {
	pb.KVClient // nil: nothing else is called

	op *pb.RequestOp
}

var errObserved = errors.New("compat: the request was observed")

func (o *observer) Range(_ context.Context, r *pb.RangeRequest, _ ...grpc.CallOption) (*pb.RangeResponse, error) {
	o.op = &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: r}}
	return nil, errObserved
}

func (o *observer) Put(_ context.Context, r *pb.PutRequest, _ ...grpc.CallOption) (*pb.PutResponse, error) {
	o.op = &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: r}}
	return nil, errObserved
}

func (o *observer) DeleteRange(_ context.Context, r *pb.DeleteRangeRequest, _ ...grpc.CallOption) (*pb.DeleteRangeResponse, error) {
	o.op = &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: r}}
	return nil, errObserved
}

func (o *observer) Txn(_ context.Context, r *pb.TxnRequest, _ ...grpc.CallOption) (*pb.TxnResponse, error) {
	o.op = &pb.RequestOp{Request: &pb.RequestOp_RequestTxn{RequestTxn: r}}
	return nil, errObserved
}
