package kv

import (
	"context"
	"errors"
	"iter"
	"math"
	"slices"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/internal/attempt"
)

const (
	// firstPage is the number of keys in the first page, of whose size nothing is known.
	firstPage = 100
	// growth is how many times as many keys the next page may have: the values may become
	// larger all of a sudden.
	growth = 10
	// pageSize is the size in bytes that a page aims at.
	pageSize = 1 << 20
	// pairSize is what a key adds to its own bytes and its value's, in memory: a KeyValue.
	pairSize = 128
)

// parts reads op, which is valid, part by part.
func (s streamer) parts(ctx context.Context, op Op) iter.Seq2[*GetResponse, error] {
	return func(yield func(*GetResponse, error) bool) {
		if !op.inOrder() || len(op.end) == 0 || op.countOnly {
			yield(s.get(ctx, op, false))
			return
		}
		op.sort = SortOption{} // the order that there is anyway
		r := reader{streamer: s, op: op, left: op.limit, size: firstPage, yield: yield}
		if op.limit == 0 {
			r.left = math.MaxInt64
		}
		r.read(ctx)
	}
}

// inOrder reports whether a Get returns all keys of a range in key order. The
// server streams nothing else (v3rpc/key.go), and nothing else can be fetched
// page by page.
func (op *Op) inOrder() bool {
	sorted := op.sort.Target != SortByKey || op.sort.Order == SortDescend
	return !sorted && !op.filtered()
}

func (op *Op) filtered() bool {
	return op.minModRev|op.maxModRev|op.minCreateRev|op.maxCreateRev != 0
}

// reader reads a range once, in one goroutine.
//
// The first part is a page, since only its header tells the revision while the reading
// goes on: that of a stream comes with its last part. The rest is a stream. When it
// fails, or there is none, another page comes next: a page is a request, which the
// connection sends to another member, and whose error is final.
type reader struct {
	streamer
	op    Op           // the rest, at the revision of the first page
	left  int64        // the keys of the rest, as far as a limit says
	first *GetResponse // the first page, for its header and its count
	size  int64        // the number of keys in the next page
	wall  int64        // if not 0, that many keys from here on were too large together
	yield func(*GetResponse, error) bool
}

func (r *reader) read(ctx context.Context) {
	for {
		page, err := r.page(ctx)
		if err != nil {
			r.yield(nil, err)
			return
		}
		if r.first == nil {
			r.first = page
			if r.op.rev == 0 {
				r.op.rev = page.Header.GetRevision()
			}
		}
		n := int64(len(page.Kvs))
		if !r.deliver(page.Kvs, page.More, !page.More || n == 0 || n == r.left) {
			return
		}
		if r.stream != nil && r.follow(ctx) {
			return
		}
	}
}

// page fetches the next page. It asks for fewer keys if they are too large.
func (r *reader) page(ctx context.Context) (*GetResponse, error) {
	for within := true; ; {
		op := r.op
		op.limit = min(r.left, r.size)
		if r.wall > 0 {
			op.limit = min(op.limit, max(r.wall/2, 1))
		}
		resp, err := r.get(ctx, op, within)
		switch {
		case err == nil:
			r.adapt(resp.Kvs)
			return resp, nil
		case tooLarge(err) && op.limit > 1:
			r.wall = op.limit
		case tooLarge(err) && within:
			within = false
		case op.serializable && r.first != nil && errors.Is(rpctypes.Error(err), rpctypes.ErrFutureRev):
			r.op.serializable = false // so that the member waits until it has the revision
		default:
			return nil, err
		}
	}
}

// adapt chooses the size of the next page by what there was in this one.
func (r *reader) adapt(kvs []*mvccpb.KeyValue) {
	if len(kvs) == 0 {
		return
	}
	bytes := 0
	for _, kv := range kvs {
		bytes += pairSize + len(kv.Key) + len(kv.Value)
	}
	r.size = min(max(pageSize/int64(bytes/len(kvs)), 1), growth*r.size)
}

// follow reads the rest from a stream. It reports false if the stream has failed.
func (r *reader) follow(ctx context.Context) (done bool) {
	// The stream leaves a member that the connection leaves, since the rest can be read
	// from another one.
	a := &attempt.Attempt{Flow: true, Spread: true, AnyMember: r.op.serializable}
	ctx, cancel := context.WithCancel(attempt.NewContext(ctx, a))
	defer cancel()
	op := r.op
	op.limit = 0
	if r.left < math.MaxInt64 {
		op.limit = r.left
	}
	in, err := r.stream(ctx, op)
	for err == nil {
		a.Expect()
		var part *pb.RangeStreamResponse
		if part, err = in.Recv(); err != nil {
			break
		}
		resp := part.GetRangeResponse()
		last := resp.GetHeader() != nil // rpc.proto, RangeStreamResponse: only the last part has one
		if last {
			_, _ = in.Recv() // the end, of which nothing depends any more
		}
		if !r.deliver(resp.GetKvs(), resp.GetMore(), last) {
			return true
		}
	}
	if status.Code(err) == codes.Unimplemented || tooLarge(err) {
		r.stream = nil // of no use
	}
	return false
}

// deliver gives a part to the caller. It reports whether there is more to read.
func (r *reader) deliver(kvs []*mvccpb.KeyValue, more, last bool) bool {
	if last {
		r.yield(&GetResponse{Header: r.first.Header, Kvs: kvs, Count: r.first.Count, More: more}, nil)
		return false
	}
	if len(kvs) == 0 {
		return true
	}
	r.left -= int64(len(kvs))
	r.wall = max(r.wall-int64(len(kvs)), 0)
	r.op.key = append(slices.Clip(kvs[len(kvs)-1].GetKey()), 0)
	return r.yield(&GetResponse{Kvs: kvs}, nil)
}

// tooLarge reports whether err is gRPC's error for an answer above a limit, be it
// the client's or the server's (rpc_util.go, stream.go).
func tooLarge(err error) bool {
	return status.Code(err) == codes.ResourceExhausted && strings.Contains(err.Error(), "larger than max")
}
