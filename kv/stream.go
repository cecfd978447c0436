package kv

import (
	"cmp"
	"context"
	"iter"
	"sync/atomic"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/getcd/getcd/internal/misuse"
)

// Streamer reads ranges in parts, so that neither the server nor the client holds
// a whole range in memory. It is safe for concurrent use.
//
// It takes Get's options. All parts are of one revision: the latest, unless WithRev names
// another. They are read with RangeStream, which servers have from etcd 3.7 on, or one page
// after another. A hundred keys take one round trip, and more take two besides the reading.
//
// A failure does not end the reading. The rest is read from the last key on, at the
// same revision, from whichever member the connection chooses: each key comes
// once, in order. So an error is one that a Get would return, too: the context's, a
// *UsageError, rpctypes.ErrCompacted if the revision was compacted meanwhile, or the
// connection's, when it can't reach any member or has only one.
//
// With WithSerializable, a page is linearizable after all if it comes from a member that
// has not yet seen the revision.
//
// # Memory
//
// At most one part and what gRPC has received ahead (its flow control window, at most
// 16 MiB) are in memory. A page aims at 1 MiB, by the size of the one before it, and
// the parts of RangeStream at the server's --max-request-bytes, 1.5 MiB by default. No
// message may be larger than MaxPartSize. If one would be, the Streamer asks for
// fewer keys. A single key with its value may be larger.
//
// Three exceptions are read as a single part of any size: a range that is sorted
// otherwise than by ascending keys, one that is filtered by revision, and a count.
type Streamer interface {
	// Scan returns the keys of a range one by one, in ascending order:
	//
	//	for pair, err := range store.Scan(ctx, "jobs/", kv.WithPrefix()) {
	//		if err != nil {
	//			return err
	//		}
	//		fmt.Printf("%s: %s\n", pair.Key, pair.Value)
	//	}
	//
	// An error comes alone, with a nil pair, and is the last. The pairs before it are
	// correct, and those of the rest are missing. Once ctx has ended, no more pairs
	// come, but its error. Leaving the loop ends the reading.
	//
	// The pairs are the caller's, who may keep and change them. Options that can't be
	// read in pages are a *UsageError: WithSort, unless by ascending keys, the
	// revision filters and WithCountOnly.
	Scan(ctx context.Context, key string, opts ...OpOption) iter.Seq2[*mvccpb.KeyValue, error]

	// Parts is Get as an iterator. The Kvs of all parts, in order, are those of
	// Get. Only the last part has the header, Count and More. An error comes alone, and
	// is the last; the parts before it are then correct but incomplete. Leaving the loop
	// ends the reading.
	Parts(ctx context.Context, key string, opts ...OpOption) iter.Seq2[*GetResponse, error]

	// GetStream is Parts as a channel, with clientv3's signature. The channel
	// closes after the last part, or after a response whose Err says why reading
	// failed. Unless the caller reads the channel to its end, it must end ctx.
	GetStream(ctx context.Context, key string, opts ...OpOption) (GetStreamChan, error)
}

// MaxPartSize is the size in bytes of the largest message that a Streamer accepts, unless
// it has a single key. Among NewStreamer's options, a grpc.MaxCallRecvMsgSize replaces it,
// and also limits a single key.
const MaxPartSize = 8 << 20

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
	if stream == nil {
		return nil, misuse.Error("kv: GetStreamToGetResponse: the stream is nil; give one that GetStream has returned")
	}
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
	within := append([]grpc.CallOption{grpc.MaxCallRecvMsgSize(MaxPartSize)}, opts...)
	rpc, whole, limited := pb.NewKVClient(cc), New(cc, opts...), New(cc, within...)
	return streamer{
		old: new(atomic.Pointer[time.Time]),
		get: func(ctx context.Context, op Op, within bool) (*GetResponse, error) {
			store := whole
			if within {
				store = limited
			}
			resp, err := store.Do(ctx, op)
			return resp.Get(), err
		},
		stream: func(ctx context.Context, op Op) (grpc.ServerStreamingClient[pb.RangeStreamResponse], error) {
			return rpc.RangeStream(ctx, op.rangeRequest(), within...)
		},
	}
}

// StreamerOf returns a Streamer that fetches one page after another from a KV,
// such as one of package namespace. MaxPartSize does not apply to it.
func StreamerOf(store KV) Streamer {
	return streamer{get: func(ctx context.Context, op Op, _ bool) (*GetResponse, error) {
		if err := misuse.Nil("kv: StreamerOf", "store", store); err != nil {
			return nil, err
		}
		resp, err := store.Do(ctx, op)
		return resp.Get(), err
	}}
}

// streamer reads the parts of a range.
type streamer struct {
	// get is Get. If within is set, the answer is limited to MaxPartSize.
	get func(ctx context.Context, op Op, within bool) (*GetResponse, error)
	// stream opens a stream of the server's. It is nil if there are only pages.
	stream func(ctx context.Context, op Op) (grpc.ServerStreamingClient[pb.RangeStreamResponse], error)
	// old is when a server last had no streams. It is nil if stream is.
	old *atomic.Pointer[time.Time]
}

func (s streamer) Scan(ctx context.Context, key string, opts ...OpOption) iter.Seq2[*mvccpb.KeyValue, error] {
	return func(yield func(*mvccpb.KeyValue, error) bool) {
		op, err := scanned(ctx, key, opts)
		if err != nil {
			yield(nil, err)
			return
		}
		for part, err := range s.parts(ctx, op) {
			if err != nil {
				yield(nil, err)
				return
			}
			for _, pair := range part.Kvs {
				if err := ctx.Err(); err != nil {
					yield(nil, err)
					return
				}
				if !yield(pair, nil) {
					return
				}
			}
		}
	}
}

// scanned returns the operation of a Scan, or what is wrong with it.
func scanned(ctx context.Context, key string, opts []OpOption) (Op, error) {
	if err := misuse.Context(ctx, "kv: Scan"); err != nil {
		return Op{}, err
	}
	op := OpGet(key, opts...)
	if err := op.check(); err != nil {
		return Op{}, err
	}
	var option string
	switch {
	case op.countOnly:
		option = "WithCountOnly"
	case op.filtered():
		option = "a revision filter"
	case !op.inOrder():
		option = "WithSort"
	default:
		return op, nil
	}
	return Op{}, &UsageError{Op: "Scan", Option: option, Reason: "a Scan reads in pages, in the order of the keys, which this option does not allow; use Get"}
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
				endStream(out, cmp.Or(err, ctx.Err()))
				return
			}
		}
	}()
	return out, nil
}

// endStream sends the last response of a stream whose caller may have stopped reading, so it
// must not wait. It is the only sender. When the channel is full, it takes a part out that was
// not read: the parts before it are still in order, and whoever reads on learns that some are
// missing.
func endStream(out chan RangeStreamResponse, err error) {
	for {
		select {
		case out <- RangeStreamResponse{err: err}:
			return
		case <-out:
		}
	}
}
