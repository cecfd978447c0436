package kv

import (
	"context"
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/internal/misuse"
)

// The responses are the protocol's messages under clientv3's names.
type (
	// CompactResponse has the header alone.
	CompactResponse pb.CompactionResponse
	// PutResponse has PrevKv if WithPrevKV asked for it and there was one.
	PutResponse pb.PutResponse
	// GetResponse has Kvs, More (a limit cut them short) and Count (how many
	// there are in the range, whatever the limit and the filters).
	GetResponse pb.RangeResponse
	// DeleteResponse has Deleted, the number of keys, and PrevKvs if WithPrevKV
	// asked for them.
	DeleteResponse pb.DeleteRangeResponse
	// TxnResponse has Succeeded (the Then branch was taken) and Responses, one
	// for each operation of the branch.
	TxnResponse pb.TxnResponse
)

// KV is etcd's key-value store. It is safe for concurrent use.
//
// Errors are a *UsageError for a call that cannot mean anything, and otherwise
// the connection's: on a client's they unwrap to rpctypes' errors and to the
// context's, on a plain grpc.ClientConn they are gRPC statuses.
type KV interface {
	// Put sets a key's value. It takes WithLease, WithPrevKV, WithIgnoreValue
	// and WithIgnoreLease.
	Put(ctx context.Context, key, val string, opts ...OpOption) (*PutResponse, error)

	// Get reads a key, or a range of keys (WithRange, WithPrefix, WithFromKey).
	// A key that does not exist is no error: Kvs is empty. It takes WithLimit,
	// WithRev, WithSort, WithSerializable, WithKeysOnly, WithCountOnly, the
	// revision filters, and the lists WithFirstKey to WithLastCreate.
	Get(ctx context.Context, key string, opts ...OpOption) (*GetResponse, error)

	// Delete removes a key, or a range of keys (WithRange, WithPrefix,
	// WithFromKey). That there was none is no error. It takes WithPrevKV.
	Delete(ctx context.Context, key string, opts ...OpOption) (*DeleteResponse, error)

	// Compact gives up the history before rev: what was superseded then can no
	// longer be read. A revision that is compacted already is
	// rpctypes.ErrCompacted, one to come rpctypes.ErrFutureRev.
	Compact(ctx context.Context, rev int64, opts ...CompactOption) (*CompactResponse, error)

	// Do runs an operation that was made before.
	Do(ctx context.Context, op Op) (OpResponse, error)

	// Txn begins a transaction, which Commit sends with ctx.
	Txn(ctx context.Context) Txn
}

// New returns the KV service on a connection, with opts for each call. It starts
// nothing, and has nothing to close.
func New(cc grpc.ClientConnInterface, opts ...grpc.CallOption) KV {
	// What the generated stub puts together for each call is put together once.
	// The full capacity makes whoever appends to it copy it first.
	all := make([]grpc.CallOption, 0, len(opts)+1)
	all = append(all, grpc.StaticMethod())
	return &client{cc: misuse.Conn("kv", cc), opts: append(all, opts...)}
}

type client struct {
	cc   grpc.ClientConnInterface
	opts []grpc.CallOption
}

func (c *client) Put(ctx context.Context, key, val string, opts ...OpOption) (*PutResponse, error) {
	op := OpPut(key, val, opts...)
	return c.put(ctx, &op)
}

func (c *client) Get(ctx context.Context, key string, opts ...OpOption) (*GetResponse, error) {
	op := OpGet(key, opts...)
	return c.get(ctx, &op)
}

func (c *client) Delete(ctx context.Context, key string, opts ...OpOption) (*DeleteResponse, error) {
	op := OpDelete(key, opts...)
	return c.delete(ctx, &op)
}

func (c *client) put(ctx context.Context, op *Op) (*PutResponse, error) {
	if err := op.check(); err != nil {
		return nil, err
	}
	resp := new(pb.PutResponse)
	if err := c.cc.Invoke(ctx, pb.KV_Put_FullMethodName, op.putRequest(), resp, c.opts...); err != nil {
		return nil, err
	}
	return (*PutResponse)(resp), nil
}

func (c *client) get(ctx context.Context, op *Op) (*GetResponse, error) {
	if err := op.check(); err != nil {
		return nil, err
	}
	resp := new(pb.RangeResponse)
	if err := c.cc.Invoke(ctx, pb.KV_Range_FullMethodName, op.rangeRequest(), resp, c.opts...); err != nil {
		return nil, err
	}
	return (*GetResponse)(resp), nil
}

func (c *client) delete(ctx context.Context, op *Op) (*DeleteResponse, error) {
	if err := op.check(); err != nil {
		return nil, err
	}
	resp := new(pb.DeleteRangeResponse)
	if err := c.cc.Invoke(ctx, pb.KV_DeleteRange_FullMethodName, op.deleteRequest(), resp, c.opts...); err != nil {
		return nil, err
	}
	return (*DeleteResponse)(resp), nil
}

func (c *client) txn(ctx context.Context, op *Op) (*TxnResponse, error) {
	if op.err != nil {
		return nil, op.err
	}
	req, usage := op.txnRequest()
	if usage != nil {
		return nil, usage
	}
	resp := new(pb.TxnResponse)
	if err := c.cc.Invoke(ctx, pb.KV_Txn_FullMethodName, req, resp, c.opts...); err != nil {
		return nil, err
	}
	return (*TxnResponse)(resp), nil
}

func (c *client) Compact(ctx context.Context, rev int64, opts ...CompactOption) (*CompactResponse, error) {
	op := OpCompact(rev, opts...)
	if op.err != nil {
		return nil, op.err
	}
	resp := new(pb.CompactionResponse)
	req := &pb.CompactionRequest{Revision: op.revision, Physical: op.physical}
	if err := c.cc.Invoke(ctx, pb.KV_Compact_FullMethodName, req, resp, c.opts...); err != nil {
		return nil, err
	}
	return (*CompactResponse)(resp), nil
}

func (c *client) Txn(ctx context.Context) Txn {
	return NewTxn(func(op Op) (*TxnResponse, error) { return c.txn(ctx, &op) })
}

func (c *client) Do(ctx context.Context, op Op) (OpResponse, error) {
	switch op.kind {
	case opPut:
		resp, err := c.put(ctx, &op)
		return OpResponse{put: resp}, err
	case opGet:
		resp, err := c.get(ctx, &op)
		return OpResponse{get: resp}, err
	case opDelete:
		resp, err := c.delete(ctx, &op)
		return OpResponse{del: resp}, err
	case opTxn:
		resp, err := c.txn(ctx, &op)
		return OpResponse{txn: resp}, err
	case opWatch:
		return OpResponse{}, errWatchOp()
	default:
		return OpResponse{}, errOrNil(op.check())
	}
}

// OpResponse is Do's answer: the one of the four that fits the operation is not
// nil, and none after an error.
type OpResponse struct {
	put *PutResponse
	get *GetResponse
	del *DeleteResponse
	txn *TxnResponse
}

// Put returns the answer to a Put.
func (r OpResponse) Put() *PutResponse { return r.put }

// Get returns the answer to a Get.
func (r OpResponse) Get() *GetResponse { return r.get }

// Del returns the answer to a Delete.
func (r OpResponse) Del() *DeleteResponse { return r.del }

// Txn returns the answer to a transaction.
func (r OpResponse) Txn() *TxnResponse { return r.txn }

// OpResponse returns the answer in the form that Do gives it.
func (resp *PutResponse) OpResponse() OpResponse { return OpResponse{put: resp} }

// OpResponse returns the answer in the form that Do gives it.
func (resp *GetResponse) OpResponse() OpResponse { return OpResponse{get: resp} }

// OpResponse returns the answer in the form that Do gives it.
func (resp *DeleteResponse) OpResponse() OpResponse { return OpResponse{del: resp} }

// OpResponse returns the answer in the form that Do gives it.
func (resp *TxnResponse) OpResponse() OpResponse { return OpResponse{txn: resp} }

// CompactOp is a compaction, made by OpCompact.
type CompactOp struct {
	revision int64
	physical bool
	err      *UsageError
}

// CompactOption is an option of Compact.
type CompactOption func(*CompactOp)

// OpCompact is the operation of KV.Compact.
func OpCompact(rev int64, opts ...CompactOption) CompactOp {
	op := CompactOp{revision: rev}
	if rev < 0 {
		op.err = &UsageError{Op: "Compact", Option: "revision", Reason: fmt.Sprintf("it is %d; no revision is negative", rev)}
	}
	for i, opt := range opts {
		if opt == nil {
			if op.err == nil {
				op.err = &UsageError{Op: "Compact", Option: fmt.Sprintf("option %d", i+1), Reason: "it is nil; leave it out"}
			}
			continue
		}
		opt(&op)
	}
	return op
}

// WithCompactPhysical makes Compact return only when the member that answers has
// removed the history from its storage, and not when that is merely agreed on.
func WithCompactPhysical() CompactOption {
	return func(op *CompactOp) { op.physical = true }
}
