package kv

import (
	"context"
	"errors"
	"iter"
	"math"
	"slices"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/internal/attempt"
	"github.com/getcd/getcd/internal/etcderr"
)

const (
	// firstPage is the number of keys in the first page, of whose size nothing is known, and
	// how many are few.
	firstPage = 100
	// growth is how many times as many keys the next page may have: the values may become
	// larger all of a sudden.
	growth = 10
	// pageSize is the size in bytes that a page aims at.
	pageSize = 1 << 20
	// pairSize is what a key adds to its own bytes and its value's, in memory: a KeyValue.
	pairSize = 128
	// oldFor is for how long a server that has no streams is not asked for one.
	oldFor = time.Minute
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
// A stream tells its revision with its last part, too late to go on elsewhere when it fails.
// So few keys are read by one stream, and for more the revision is asked for first: by a
// read of one key, since a page of many has the server count all keys of the range. When a
// stream fails a page comes next, which is a request that the connection sends to another
// member, and whose error is final. Then another stream has the rest. If there are no
// streams, there are only pages.
type reader struct {
	streamer
	op     Op                 // the rest, at the revision of what came first
	left   int64              // the keys of the rest, as far as a limit says
	before int64              // the keys before the rest
	base   int64              // before, when the present page or stream was asked for
	header *pb.ResponseHeader // of what came first
	size   int64              // the number of keys in the next page
	wall   int64              // if not 0, that many keys from here on were too large together
	yield  func(*GetResponse, error) bool
}

func (r *reader) read(ctx context.Context) {
	switch {
	case !r.streams():
	case r.op.rev == 0 && r.few(ctx):
		return
	case r.streams():
		if err := r.begin(ctx); err != nil {
			r.yield(nil, err)
			return
		}
		if r.follow(ctx) {
			return
		}
	}
	for {
		page, err := r.page(ctx)
		if err != nil {
			r.yield(nil, err)
			return
		}
		r.pin(page.Header)
		n := int64(len(page.Kvs))
		if !r.deliver((*pb.RangeResponse)(page), !page.More || n == 0 || n == r.left) || r.streams() && r.follow(ctx) {
			return
		}
	}
}

// begin asks for the revision to read at, unless the caller has named one.
func (r *reader) begin(ctx context.Context) error {
	if r.op.rev != 0 {
		return nil
	}
	op := r.op
	op.end, op.limit, op.keysOnly = nil, 0, true
	resp, err := r.get(ctx, op, true)
	if err == nil {
		r.pin(resp.Header)
	}
	return err
}

// pin reads everything at the revision of what came first.
func (r *reader) pin(header *pb.ResponseHeader) {
	if r.header != nil {
		return
	}
	r.header = header
	if r.op.rev == 0 {
		r.op.rev = header.GetRevision()
	}
}

// page fetches the next page. It asks for fewer keys if they are too large.
func (r *reader) page(ctx context.Context) (*GetResponse, error) {
	r.base = r.before
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
		case etcderr.TooLarge(err) && op.limit > 1:
			r.wall = op.limit
		case etcderr.TooLarge(err) && within:
			within = false
		case op.serializable && r.header != nil && errors.Is(rpctypes.Error(err), rpctypes.ErrFutureRev):
			r.op.serializable = false // so that the member waits until it has the revision
		default:
			return nil, err
		}
	}
}

// adapt chooses the size of the next page by what there was in this part.
func (r *reader) adapt(kvs []*mvccpb.KeyValue) {
	if len(kvs) == 0 {
		return
	}
	r.size = min(max(pageSize/int64(sizeOf(kvs)/len(kvs)), 1), growth*r.size)
}

// few reads a range that has few keys. It reports false if there are more, or the stream has
// failed; then nothing was delivered.
func (r *reader) few(ctx context.Context) (done bool) {
	var kvs []*mvccpb.KeyValue
	bytes := 0
	r.receive(ctx, func(part *pb.RangeResponse, last bool) bool {
		kvs, bytes = append(kvs, part.GetKvs()...), bytes+sizeOf(part.GetKvs())
		if done = last; last {
			part.Kvs = kvs
			r.pin(part.Header)
			r.deliver(part, true)
		}
		return !last && len(kvs) < firstPage && bytes < pageSize
	})
	return done
}

// follow reads the rest from a stream. It reports false if the stream has failed.
func (r *reader) follow(ctx context.Context) (done bool) {
	r.receive(ctx, func(part *pb.RangeResponse, last bool) bool {
		if last {
			r.pin(part.Header)
		}
		r.adapt(part.GetKvs())
		done = !r.deliver(part, last)
		return !done
	})
	return done
}

// receive reads the rest from a stream, part by part, until the last one, a failure, or take
// returns false.
func (r *reader) receive(ctx context.Context, take func(part *pb.RangeResponse, last bool) bool) {
	// The stream leaves a member that the connection leaves, since the rest can be read
	// from another one.
	a := &attempt.Attempt{Flow: true, Spread: true, AnyMember: r.op.serializable}
	ctx, cancel := context.WithCancel(attempt.NewContext(ctx, a))
	defer cancel()
	r.base = r.before
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
		if !take(resp, last) {
			return
		}
	}
	switch {
	case status.Code(err) == codes.Unimplemented:
		old := time.Now()
		r.old.Store(&old)
		r.stream = nil
	case etcderr.TooLarge(err):
		r.stream = nil // of no use
	}
}

// streams reports whether there are streams.
func (r *reader) streams() bool {
	if r.stream == nil {
		return false
	}
	old := r.old.Load()
	return old == nil || time.Since(*old) >= oldFor
}

// deliver gives a part to the caller. It reports whether there is more to read.
func (r *reader) deliver(part *pb.RangeResponse, last bool) bool {
	kvs := part.GetKvs()
	if last {
		r.yield(&GetResponse{Header: r.header, Kvs: kvs, Count: r.base + part.GetCount(), More: part.GetMore()}, nil)
		return false
	}
	if len(kvs) == 0 {
		return true
	}
	n := int64(len(kvs))
	r.left -= n
	r.before += n
	r.wall = max(r.wall-n, 0)
	r.op.key = append(slices.Clip(kvs[n-1].GetKey()), 0)
	return r.yield(&GetResponse{Kvs: kvs}, nil)
}

// sizeOf is about what pairs take in memory.
func sizeOf(kvs []*mvccpb.KeyValue) int {
	bytes := 0
	for _, kv := range kvs {
		bytes += pairSize + len(kv.Key) + len(kv.Value)
	}
	return bytes
}
