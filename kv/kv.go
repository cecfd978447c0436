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
	// CompactResponse has only a header. It is empty if package client found only by
	// a copy of the request that the first one was applied.
	CompactResponse pb.CompactionResponse
	// PutResponse has PrevKv if WithPrevKV was set and the key existed.
	PutResponse pb.PutResponse
	// GetResponse has Kvs, More (a limit cut Kvs short) and Count (the number of
	// keys in the range, regardless of limit and filters).
	GetResponse pb.RangeResponse
	// DeleteResponse has Deleted, the number of deleted keys, and, with
	// WithPrevKV, PrevKvs.
	DeleteResponse pb.DeleteRangeResponse
	// TxnResponse has Succeeded (the Then branch was taken) and Responses, one
	// for each operation of the branch that was taken.
	TxnResponse pb.TxnResponse
)

// KV is etcd's key-value store. It is safe for concurrent use.
//
// An invalid call returns a *UsageError. All other errors are the connection's:
// those of a client unwrap to the errors of rpctypes and of the context, and
// those of a plain grpc.ClientConn are gRPC statuses.
type KV interface {
	// Put sets a key's value. It takes WithLease, WithPrevKV, WithIgnoreValue
	// and WithIgnoreLease.
	Put(ctx context.Context, key, val string, opts ...OpOption) (*PutResponse, error)

	// Get reads a key, or a range of keys (WithRange, WithPrefix, WithFromKey).
	// If a key does not exist, Kvs is empty; that is no error. It takes
	// WithLimit, WithRev, WithSort, WithSerializable, WithKeysOnly,
	// WithCountOnly, the revision filters, and the option lists from WithFirstKey
	// to WithLastCreate.
	Get(ctx context.Context, key string, opts ...OpOption) (*GetResponse, error)

	// Delete removes a key, or a range of keys (WithRange, WithPrefix,
	// WithFromKey). It is no error if there was no such key. It takes WithPrevKV.
	Delete(ctx context.Context, key string, opts ...OpOption) (*DeleteResponse, error)

	// Compact discards the history before rev: values that were replaced before
	// rev can no longer be read. It returns rpctypes.ErrCompacted if rev is
	// already compacted, and rpctypes.ErrFutureRev if the store has not reached
	// it.
	Compact(ctx context.Context, rev int64, opts ...CompactOption) (*CompactResponse, error)

	// Do runs an operation that was built with OpGet, OpPut, OpDelete or OpTxn.
	Do(ctx context.Context, op Op) (OpResponse, error)

	// Txn begins a transaction. Its Commit sends it with ctx.
	Txn(ctx context.Context) Txn
}

// New returns the KV service on a connection. Each call uses opts. It starts no
// goroutine and has nothing to close.
func New(cc grpc.ClientConnInterface, opts ...grpc.CallOption) KV {
	// Build the options once that the generated stub would build for each call.
	// The slice has no spare capacity, so that an append copies it.
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

// OpResponse is the response of Do. Only the field of the operation's kind is
// set, and none after an error.
type OpResponse struct {
	put *PutResponse
	get *GetResponse
	del *DeleteResponse
	txn *TxnResponse
}

// Put returns the response to a Put, or nil.
func (r OpResponse) Put() *PutResponse { return r.put }

// Get returns the response to a Get, or nil.
func (r OpResponse) Get() *GetResponse { return r.get }

// Del returns the response to a Delete, or nil.
func (r OpResponse) Del() *DeleteResponse { return r.del }

// Txn returns the response to a transaction, or nil.
func (r OpResponse) Txn() *TxnResponse { return r.txn }

// OpResponse returns the response as Do would return it.
func (resp *PutResponse) OpResponse() OpResponse { return OpResponse{put: resp} }

// OpResponse returns the response as Do would return it.
func (resp *GetResponse) OpResponse() OpResponse { return OpResponse{get: resp} }

// OpResponse returns the response as Do would return it.
func (resp *DeleteResponse) OpResponse() OpResponse { return OpResponse{del: resp} }

// OpResponse returns the response as Do would return it.
func (resp *TxnResponse) OpResponse() OpResponse { return OpResponse{txn: resp} }

// CompactOp is a compaction, made by OpCompact.
type CompactOp struct {
	revision int64
	physical bool
	err      *UsageError
}

// CompactOption is an option of Compact.
type CompactOption func(*CompactOp)

// OpCompact builds the operation that KV.Compact sends.
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

// WithCompactPhysical makes Compact wait until the member that answers has
// removed the history from its storage. Without it, Compact returns as soon as
// the cluster has agreed on the compaction.
func WithCompactPhysical() CompactOption {
	return func(op *CompactOp) { op.physical = true }
}
