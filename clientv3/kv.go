package clientv3

import (
	"cmp"
	"context"
	"errors"
	"io"
	"slices"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/kv"
)

// These types are package kv's; see there.
type (
	// Cmp is one comparison of a transaction.
	Cmp = kv.Cmp
	// CompareTarget is the property of a key that a comparison looks at.
	CompareTarget = kv.CompareTarget
	// CompareResult is the operator of a comparison.
	CompareResult = kv.CompareResult
	// CompactOp is a compaction.
	CompactOp = kv.CompactOp
	// CompactOption is an option of Compact.
	CompactOption = kv.CompactOption
	// CompactResponse is the answer to Compact.
	CompactResponse = kv.CompactResponse
	// DeleteResponse is the answer to Delete.
	DeleteResponse = kv.DeleteResponse
	// GetResponse is the answer to Get.
	GetResponse = kv.GetResponse
	// GetStreamChan is what GetStream returns.
	GetStreamChan = kv.GetStreamChan
	// RangeStreamResponse is a part of a range.
	RangeStreamResponse = kv.RangeStreamResponse
	// Op is one operation.
	Op = kv.Op
	// OpOption is an option of an operation.
	OpOption = kv.OpOption
	// OpResponse is the answer to Do.
	OpResponse = kv.OpResponse
	// PutResponse is the answer to Put.
	PutResponse = kv.PutResponse
	// SortOption is a target and an order.
	SortOption = kv.SortOption
	// SortOrder is the direction in which WithSort sorts.
	SortOrder = kv.SortOrder
	// SortTarget is the property that WithSort sorts by.
	SortTarget = kv.SortTarget
	// Txn assembles a transaction.
	Txn = kv.Txn
	// TxnResponse is the answer to a transaction.
	TxnResponse = kv.TxnResponse
)

// The compare targets.
const (
	CompareVersion  = kv.CompareVersion
	CompareCreated  = kv.CompareCreated
	CompareModified = kv.CompareModified
	CompareValue    = kv.CompareValue
)

// The sort orders.
const (
	SortNone    = kv.SortNone
	SortAscend  = kv.SortAscend
	SortDescend = kv.SortDescend
)

// The sort targets.
const (
	SortByKey            = kv.SortByKey
	SortByVersion        = kv.SortByVersion
	SortByCreateRevision = kv.SortByCreateRevision
	SortByModRevision    = kv.SortByModRevision
	SortByValue          = kv.SortByValue
)

// KV is etcd's key-value store: package kv's interface with GetStream in
// addition. Errors are clientv3's (see the package comment).
type KV interface {
	// Put sets a key's value.
	Put(ctx context.Context, key, val string, opts ...OpOption) (*PutResponse, error)

	// Get reads a key or a range of keys.
	Get(ctx context.Context, key string, opts ...OpOption) (*GetResponse, error)

	// GetStream reads a range of keys in parts. Unless the caller reads the
	// channel to its end, it must end ctx. Servers before etcd 3.7 do not support
	// it: the only part then has an Unimplemented status. A service that wraps
	// another one (package namespace) reads page by page instead.
	GetStream(ctx context.Context, key string, opts ...OpOption) (GetStreamChan, error)

	// Delete removes a key or a range of keys.
	Delete(ctx context.Context, key string, opts ...OpOption) (*DeleteResponse, error)

	// Compact discards the history before rev. A negative rev is ErrCompacted.
	Compact(ctx context.Context, rev int64, opts ...CompactOption) (*CompactResponse, error)

	// Do runs an operation that was built before.
	Do(ctx context.Context, op Op) (OpResponse, error)

	// Txn begins a transaction.
	Txn(ctx context.Context) Txn
}

// NewKV returns the key-value service on the client's connection.
func NewKV(c *Client) KV {
	k := newKV(c.conn())
	if c != nil {
		k.native = c.native
	}
	return k
}

// NewKVFromKVClient returns the key-value service on a generated stub, such as
// that of an in-process server. The stub decides which requests are repeated, and
// when. With a client, which may be nil, calls wait for a member as its own do.
func NewKVFromKVClient(remote pb.KVClient, c *Client) KV { return newKV(stub{kv: remote, client: c}) }

func newKV(cc grpc.ClientConnInterface) keyValues {
	return keyValues{store: kv.New(cc), streamer: kv.NewStreamer(streaming{plainConn{cc}})}
}

// FromKV makes a KV from getcd's own service, or from a wrapper of one. clientv3
// does not have it. Its Unwrap method returns store. If store wraps a KV of this
// package, pass that KV as wraps; otherwise wraps is nil.
func FromKV(store kv.KV, wraps KV) KV {
	k := keyValues{store: store, streamer: kv.StreamerOf(keyValues{store: store})}
	if w, ok := wraps.(keyValues); ok {
		k.native = w.native
	}
	return k
}

// keyValues converts errors to clientv3's.
type keyValues struct {
	store    kv.KV
	streamer kv.Streamer
	native   *client.Client // the client whose connection it uses, if any
}

// Native returns the client whose connection the service uses, or nil.
func (k keyValues) Native() *client.Client { return k.native }

// Unwrap returns the underlying service, whose errors have more information.
func (k keyValues) Unwrap() kv.KV { return k.store }

func (k keyValues) Put(ctx context.Context, key, val string, opts ...OpOption) (*PutResponse, error) {
	resp, err := k.store.Put(ctx, key, val, opts...)
	return resp, plain(ctx, err)
}

func (k keyValues) Get(ctx context.Context, key string, opts ...OpOption) (*GetResponse, error) {
	resp, err := k.store.Get(ctx, key, opts...)
	return resp, plain(ctx, err)
}

func (k keyValues) GetStream(ctx context.Context, key string, opts ...OpOption) (GetStreamChan, error) {
	stream, err := k.streamer.GetStream(ctx, key, opts...)
	return stream, plain(ctx, err)
}

func (k keyValues) Delete(ctx context.Context, key string, opts ...OpOption) (*DeleteResponse, error) {
	resp, err := k.store.Delete(ctx, key, opts...)
	return resp, plain(ctx, err)
}

func (k keyValues) Compact(ctx context.Context, rev int64, opts ...CompactOption) (*CompactResponse, error) {
	if rev < 0 && ctx != nil {
		// Programs compute it from the latest revision. Package kv refuses it. The
		// server's answer is this.
		return nil, cmp.Or(ctx.Err(), rpctypes.ErrCompacted)
	}
	resp, err := k.store.Compact(ctx, rev, opts...)
	return resp, plain(ctx, err)
}

func (k keyValues) Do(ctx context.Context, op Op) (OpResponse, error) {
	resp, err := k.store.Do(ctx, op)
	return resp, plain(ctx, err)
}

func (k keyValues) Txn(ctx context.Context) Txn { return txn{ctx, k.store.Txn(ctx)} }

type txn struct {
	ctx context.Context //nolint:containedctx // the transaction's
	of  Txn
}

func (t txn) If(cs ...Cmp) Txn   { return txn{t.ctx, t.of.If(cs...)} }
func (t txn) Then(ops ...Op) Txn { return txn{t.ctx, t.of.Then(ops...)} }
func (t txn) Else(ops ...Op) Txn { return txn{t.ctx, t.of.Else(ops...)} }

func (t txn) Commit() (*TxnResponse, error) {
	resp, err := t.of.Commit()
	return resp, plain(t.ctx, err)
}

// streaming is a connection on which a range is either streamed or refused:
// package kv would fall back to pages, but clientv3 programs have their own
// fallbacks.
type streaming struct{ grpc.ClientConnInterface }

func (s streaming) Invoke(ctx context.Context, method string, req, reply any, opts ...grpc.CallOption) error {
	in, isRange := req.(*pb.RangeRequest)
	out, ok := reply.(*pb.RangeResponse)
	if !isRange || !ok {
		return s.ClientConnInterface.Invoke(ctx, method, req, reply, opts...)
	}
	if len(in.GetKey()) > 0 && len(in.GetRangeEnd()) == 0 {
		// A range of this key alone. kine streams nothing without an end (its
		// pkg/server/rangestream.go), and long ranges are streamed after a read of one key.
		in = proto.CloneOf(in)
		in.RangeEnd = append(slices.Clip(in.Key), 0)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := pb.NewKVClient(s).RangeStream(ctx, in, opts...)
	for err == nil {
		var part *pb.RangeStreamResponse
		if part, err = stream.Recv(); err == nil {
			proto.Merge(out, part.GetRangeResponse())
		}
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
