package batch

import (
	"context"
	"hash/maphash"
	"maps"
	"math"
	"slices"
	"strconv"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/getcd/getcd/internal/attempt"
)

// readLane returns the lane of a read; ok is false when it goes alone.
func readLane(ctx context.Context, r *pb.RangeRequest, opts []grpc.CallOption) (key laneKey, ok bool) {
	if len(r.Key) == 0 || unknown(r) || privateTo(ctx, opts, &key) || !sortable(r) {
		return key, false
	}
	switch {
	case !small(r):
		read, err := proto.MarshalOptions{Deterministic: true}.Marshal(r)
		if err != nil {
			return key, false
		}
		key.kind, key.read = large, string(read)
	case r.Serializable:
		key.kind = serializable
	default:
		key.kind = linearizable
	}
	return key, true
}

// small reports whether the answer to r has few keys, which are easily found. A read of an
// unknown number of keys would delay those that it travels with.
func small(r *pb.RangeRequest) bool {
	const few = 16
	if len(r.Key)+len(r.RangeEnd) > maxSmall || r.Revision < 0 { // a transaction does not take a negative one for 0 (etcdserver/txn/range.go, checkRange)
		return false
	}
	return len(r.RangeEnd) == 0 ||
		0 < r.Limit && r.Limit <= few && !r.CountOnly &&
			r.SortOrder == pb.RangeRequest_NONE && r.SortTarget == pb.RangeRequest_KEY &&
			r.MinModRevision == 0 && r.MaxModRevision == 0 && r.MinCreateRevision == 0 && r.MaxCreateRevision == 0
}

// sortable reports whether the server knows the order (api/v3rpc/key.go, checkRangeRequest).
func sortable(r *pb.RangeRequest) bool {
	_, order := pb.RangeRequest_SortOrder_name[int32(r.SortOrder)]
	_, target := pb.RangeRequest_SortTarget_name[int32(r.SortTarget)]
	return order && target
}

// putLane returns the lane of a put; ok is false when it goes alone: when it is large, or
// the server would refuse it whatever the store has (api/v3rpc/key.go, checkPutRequest).
func putLane(ctx context.Context, r *pb.PutRequest, opts []grpc.CallOption) (key laneKey, ok bool) {
	key.kind = puts
	ok = len(r.Key) > 0 && len(r.Key)+len(r.Value) <= maxSmall &&
		(!r.IgnoreValue || len(r.Value) == 0) && (!r.IgnoreLease || r.Lease == 0) &&
		!unknown(r) && !privateTo(ctx, opts, &key)
	return key, ok
}

// deleteLane returns the lane of a deletion; ok is false when it goes alone: its answer may
// be of any size.
func deleteLane(ctx context.Context, r *pb.DeleteRangeRequest, opts []grpc.CallOption) (key laneKey, ok bool) {
	key.kind = deletes
	ok = len(r.Key) > 0 && len(r.Key)+len(r.RangeEnd) <= maxSmall &&
		(!r.PrevKv || len(r.RangeEnd) == 0) && !unknown(r) && !privateTo(ctx, opts, &key)
	return key, ok
}

// unknown reports whether a request has fields that this package does not know, and so would
// not copy.
func unknown(r proto.Message) bool { return len(r.ProtoReflect().GetUnknown()) > 0 }

// privateTo reports whether a call can't share a request with others: it has options for
// its own RPC, or tells the connection below something about itself. If it can, key gets
// what the others must have, too.
func privateTo(ctx context.Context, opts []grpc.CallOption, key *laneKey) bool {
	if attempt.FromContext(ctx) != nil {
		return true
	}
	for _, o := range opts {
		part, ok := optionKey(o)
		if !ok {
			return true
		}
		key.options += part
	}
	if md, ok := metadata.FromOutgoingContext(ctx); ok {
		key.metadata = metadataKey(md)
	}
	return false
}

// optionKey returns a text that is the same for options that mean the same; ok is false for
// those that belong to one call, such as a Header.
func optionKey(o grpc.CallOption) (_ string, ok bool) {
	switch o := o.(type) {
	case grpc.StaticMethodCallOption, grpc.EmptyCallOption:
		return "", true
	case grpc.FailFastCallOption:
		return "f" + strconv.FormatBool(o.FailFast), true
	case grpc.MaxRecvMsgSizeCallOption:
		return "r" + strconv.Itoa(o.MaxRecvMsgSize), true
	case grpc.MaxSendMsgSizeCallOption:
		return "s" + strconv.Itoa(o.MaxSendMsgSize), true
	case grpc.CompressorCallOption:
		return "c" + strconv.Quote(o.CompressorType), true
	case grpc.MaxRetryRPCBufferSizeCallOption:
		return "b" + strconv.Itoa(o.MaxRetryRPCBufferSize), true
	}
	return "", false
}

// unlimited is for answers that may be large together.
var unlimited = grpc.MaxCallRecvMsgSize(math.MaxInt32)

// metadataKey returns a text that is the same for the same metadata.
func metadataKey(md metadata.MD) string {
	var b []byte
	for _, name := range slices.Sorted(maps.Keys(md)) {
		b = strconv.AppendQuote(b, name)
		for _, value := range md[name] {
			b = append(strconv.AppendQuote(b, value), ',')
		}
	}
	return string(b)
}

// hash is the same for reads that are the same.
func (c *conn) hash(r *pb.RangeRequest) uint64 {
	h := maphash.Bytes(c.seed, r.Key)
	if len(r.RangeEnd) > 0 {
		h = h*31 + maphash.Bytes(c.seed, r.RangeEnd)
	}
	return h*31 + uint64(r.Revision)
}

func readSize(r *pb.RangeRequest) int { return len(r.Key) + len(r.RangeEnd) + overhead }
