package kv

import (
	"context"
	"errors"
	"io"
	"iter"
	"slices"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/getcd/getcd/internal/misuse"
)

// Streamer reads ranges in parts, so that neither the server nor the client holds
// a whole range in memory. It is safe for concurrent use.
//
// It takes Get's options. Servers from etcd 3.7 on have a method for it
// (KV.RangeStream). From older servers it fetches one page after another, all at
// one revision. A range that is sorted, or filtered by revision, cannot be
// streamed and arrives as a single part.
type Streamer interface {
	// Parts is Get as an iterator. The Kvs of all parts, in order, are those of
	// Get. Only the last part has the header, Count and More. If reading fails,
	// the last pair has an error: a *UsageError, the context's error, or the
	// connection's, such as when the member fails. The parts before it are then
	// correct but incomplete.
	Parts(ctx context.Context, key string, opts ...OpOption) iter.Seq2[*GetResponse, error]

	// GetStream is Parts as a channel, with clientv3's signature. The channel
	// closes after the last part, or after a response whose Err says why reading
	// failed. Unless the caller reads the channel to its end, it must end ctx.
	GetStream(ctx context.Context, key string, opts ...OpOption) (GetStreamChan, error)
}

// GetStreamChan is what GetStream returns.
type GetStreamChan <-chan RangeStreamResponse

// RangeStreamResponse is a part of a range, or the error that ended the stream.
type RangeStreamResponse struct {
	// RangeResponse has the part's Kvs, and in the last part all of Get's fields.
	// It is nil if Err is not.
	*pb.RangeResponse

	err error
}

// Err is nil for a part. Otherwise it says why there are no more parts.
func (r *RangeStreamResponse) Err() error { return r.err }

// GetStreamToGetResponse reads a stream to its end and returns what Get would
// have returned.
func GetStreamToGetResponse(stream GetStreamChan) (*GetResponse, error) {
	all := new(pb.RangeResponse)
	for part := range stream {
		if part.err != nil {
			return nil, part.err
		}
		proto.Merge(all, part.RangeResponse)
	}
	return (*GetResponse)(all), nil
}

// NewStreamer returns a Streamer on a connection. Each call uses opts. It starts
// no goroutine and has nothing to close.
func NewStreamer(cc grpc.ClientConnInterface, opts ...grpc.CallOption) Streamer {
	cc = misuse.Conn("kv", cc)
	return streamer{func(ctx context.Context, op Op) iter.Seq2[*GetResponse, error] {
		return stream(ctx, pb.NewKVClient(cc), op, New(cc, opts...), opts)
	}}
}

// StreamerOf returns a Streamer that fetches one page after another from a KV,
// such as one of package namespace.
func StreamerOf(store KV) Streamer {
	return streamer{func(ctx context.Context, op Op) iter.Seq2[*GetResponse, error] {
		return pages(ctx, store, op)
	}}
}

// streamer reads the parts of an operation that is already checked.
type streamer struct {
	parts func(ctx context.Context, op Op) iter.Seq2[*GetResponse, error]
}

func (s streamer) Parts(ctx context.Context, key string, opts ...OpOption) iter.Seq2[*GetResponse, error] {
	op := OpGet(key, opts...)
	if err := misuse.Context(ctx, "kv: Parts"); err != nil {
		return func(yield func(*GetResponse, error) bool) { yield(nil, err) }
	}
	if err := op.check(); err != nil {
		return func(yield func(*GetResponse, error) bool) { yield(nil, err) }
	}
	return s.parts(ctx, op)
}

func (s streamer) GetStream(ctx context.Context, key string, opts ...OpOption) (GetStreamChan, error) {
	if err := misuse.Context(ctx, "kv: GetStream"); err != nil {
		return nil, err
	}
	op := OpGet(key, opts...)
	if err := op.check(); err != nil {
		return nil, err
	}
	out := make(chan RangeStreamResponse, 1)
	go func() {
		defer close(out)
		for part, err := range s.parts(ctx, op) {
			select {
			case out <- RangeStreamResponse{RangeResponse: (*pb.RangeResponse)(part), err: err}:
			case <-ctx.Done():
				// The caller may have stopped reading. If not, it should learn
				// why the stream ended.
				select {
				case out <- RangeStreamResponse{err: ctx.Err()}:
				default:
				}
				return
			}
		}
	}()
	return out, nil
}

// stream opens the server's stream if the server has one, and otherwise fetches
// pages from store.
func stream(ctx context.Context, rpc pb.KVClient, op Op, store KV, opts []grpc.CallOption) iter.Seq2[*GetResponse, error] {
	if !op.inOrder() {
		return pages(ctx, store, op)
	}
	return func(yield func(*GetResponse, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		in, err := rpc.RangeStream(ctx, op.rangeRequest(), opts...)
		for first := true; ; first = false {
			var part *pb.RangeStreamResponse
			if err == nil {
				part, err = in.Recv()
			}
			switch {
			case errors.Is(err, io.EOF):
				return
			case err != nil && first && status.Code(err) == codes.Unimplemented:
				pages(ctx, store, op)(yield)
				return
			case err != nil:
				yield(nil, err)
				return
			}
			if !yield((*GetResponse)(part.GetRangeResponse()), nil) {
				return
			}
		}
	}
}

// inOrder reports whether a Get returns all keys of a range in key order. The
// server streams nothing else (v3rpc/key.go), and nothing else can be fetched
// page by page.
func (op *Op) inOrder() bool {
	sorted := op.sort.Target != SortByKey || op.sort.Order == SortDescend
	filtered := op.minModRev|op.maxModRev|op.minCreateRev|op.maxCreateRev != 0
	return !sorted && !filtered
}

// pageSize is the number of keys per request to a server that does not stream.
const pageSize = 1000

// pages fetches one page after another, all at the revision of the first.
func pages(ctx context.Context, store KV, op Op) iter.Seq2[*GetResponse, error] {
	return func(yield func(*GetResponse, error) bool) {
		if !op.inOrder() || len(op.end) == 0 || op.countOnly {
			resp, err := store.Do(ctx, op)
			yield(resp.Get(), err)
			return
		}
		op, limit := op, op.limit // a limit of 0 means none
		var first *GetResponse
		for got := int64(0); ; {
			op.limit = pageSize
			if limit > 0 {
				op.limit = min(limit-got, pageSize)
			}
			do, err := store.Do(ctx, op)
			if err != nil {
				yield(nil, err)
				return
			}
			resp := do.Get()
			if first == nil {
				first = resp
				if op.rev == 0 {
					op.rev = resp.Header.GetRevision()
				}
			}
			n := len(resp.Kvs)
			got += int64(n)
			if !resp.More || n == 0 || got == limit {
				yield(&GetResponse{Header: first.Header, Kvs: resp.Kvs, Count: first.Count, More: resp.More}, nil)
				return
			}
			last := resp.Kvs[n-1].GetKey()
			if !yield(&GetResponse{Kvs: resp.Kvs}, nil) {
				return
			}
			op.key = append(slices.Clip(last), 0)
		}
	}
}
