package kv

import (
	"context"
	"errors"
	"io"
	"iter"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// Streamer reads ranges in parts, which neither the server nor the client ever has
// in memory as a whole. It is safe for concurrent use.
//
// It takes Get's options. Servers from etcd 3.7 on have a method for it
// (KV.RangeStream); of older ones it asks for one page after the other, at one
// revision. What the server does not stream, sorted and filtered by revisions, comes
// as one part.
type Streamer interface {
	// Parts is Get as an iterator: the Kvs of all parts, in their order, are those
	// of Get, and the last part alone has the header, Count and More. The last pair
	// has an error if there was one: a *UsageError, the context's, or the
	// connection's, such as when the member fails; then what came before is right,
	// and not complete.
	Parts(ctx context.Context, key string, opts ...OpOption) iter.Seq2[*GetResponse, error]

	// GetStream is Parts as a channel, in clientv3's shape. The channel closes after
	// the last part, or after one whose Err says why there is no other. ctx must
	// end unless the channel is read to its end.
	GetStream(ctx context.Context, key string, opts ...OpOption) (GetStreamChan, error)
}

// GetStreamChan is what GetStream returns.
type GetStreamChan <-chan RangeStreamResponse

// RangeStreamResponse is a part of a range, or the error that has ended it.
type RangeStreamResponse struct {
	// RangeResponse has the part's Kvs, and in the last part all of Get's fields. It
	// is nil when there is an error.
	*pb.RangeResponse

	err error
}

// Err is nil for a part, and otherwise why there is no other.
func (r *RangeStreamResponse) Err() error { return r.err }

// GetStreamToGetResponse reads a stream to its end, and returns what Get would have.
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

// NewStreamer returns a Streamer on a connection, with opts for each call. It starts
// nothing, and has nothing to close.
func NewStreamer(cc grpc.ClientConnInterface, opts ...grpc.CallOption) Streamer {
	return &streamer{rpc: pb.NewKVClient(cc), opts: opts}
}

type streamer struct {
	rpc  pb.KVClient
	opts []grpc.CallOption
}

// pageSize is how many keys are asked of a server that does not stream at once.
const pageSize = 1000

func (s *streamer) GetStream(ctx context.Context, key string, opts ...OpOption) (GetStreamChan, error) {
	op := OpGet(key, opts...)
	if err := op.check(); err != nil {
		return nil, err
	}
	out := make(chan RangeStreamResponse, 1)
	go func() {
		defer close(out)
		for part, err := range s.parts(ctx, op.rangeRequest()) {
			select {
			case out <- RangeStreamResponse{RangeResponse: (*pb.RangeResponse)(part), err: err}:
			case <-ctx.Done():
				// Nobody may be reading any more; who is should learn why it ends.
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

func (s *streamer) Parts(ctx context.Context, key string, opts ...OpOption) iter.Seq2[*GetResponse, error] {
	op := OpGet(key, opts...)
	if err := op.check(); err != nil {
		return func(yield func(*GetResponse, error) bool) { yield(nil, err) }
	}
	return s.parts(ctx, op.rangeRequest())
}

func (s *streamer) parts(ctx context.Context, req *pb.RangeRequest) iter.Seq2[*GetResponse, error] {
	return func(yield func(*GetResponse, error) bool) {
		if !streams(req) {
			resp, err := s.rpc.Range(ctx, req, s.opts...)
			yield((*GetResponse)(resp), err)
			return
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		stream, err := s.rpc.RangeStream(ctx, req, s.opts...)
		for first := true; ; first = false {
			var part *pb.RangeStreamResponse
			if err == nil {
				part, err = stream.Recv()
			}
			switch {
			case errors.Is(err, io.EOF):
				return
			case err != nil && first && status.Code(err) == codes.Unimplemented:
				s.pages(ctx, req, yield)
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

// streams reports whether servers stream what r asks for (v3rpc/key.go).
func streams(r *pb.RangeRequest) bool {
	sorted := r.GetSortTarget() != pb.RangeRequest_KEY || r.GetSortOrder() == pb.RangeRequest_DESCEND
	filtered := r.GetMinModRevision()|r.GetMaxModRevision()|r.GetMinCreateRevision()|r.GetMaxCreateRevision() != 0
	return !sorted && !filtered
}

// pages asks for one page after the other: all of the revision of the first.
func (s *streamer) pages(ctx context.Context, req *pb.RangeRequest, yield func(*GetResponse, error) bool) {
	req = proto.CloneOf(req)
	limit := req.GetLimit() // 0 means none
	if req.GetRangeEnd() == nil || req.GetCountOnly() {
		resp, err := s.rpc.Range(ctx, req, s.opts...)
		yield((*GetResponse)(resp), err)
		return
	}
	var first *pb.RangeResponse
	for got := int64(0); ; {
		req.Limit = pageSize
		if limit > 0 {
			req.Limit = min(limit-got, pageSize)
		}
		resp, err := s.rpc.Range(ctx, req, s.opts...)
		if err != nil {
			yield(nil, err)
			return
		}
		if first == nil {
			first = &pb.RangeResponse{Header: resp.GetHeader(), Count: resp.GetCount()}
			if req.GetRevision() == 0 {
				req.Revision = resp.GetHeader().GetRevision()
			}
		}
		n := len(resp.GetKvs())
		got += int64(n)
		if !resp.GetMore() || n == 0 || got == limit {
			yield(&GetResponse{Header: first.GetHeader(), Kvs: resp.GetKvs(), Count: first.GetCount(), More: resp.GetMore()}, nil)
			return
		}
		if !yield(&GetResponse{Kvs: resp.GetKvs()}, nil) {
			return
		}
		req.Key = append(resp.GetKvs()[n-1].GetKey(), 0)
	}
}
