package etcdtest

import (
	"bytes"
	"context"
	"slices"
	"sort"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

type kvServer struct {
	pb.UnimplementedKVServer
	m *Member
}

func (k *kvServer) Range(ctx context.Context, r *pb.RangeRequest) (*pb.RangeResponse, error) {
	if err := checkRange(r); err != nil {
		return nil, err
	}
	if !r.Serializable {
		if err := k.m.awaitLeader(ctx); err != nil {
			return nil, err
		}
	}
	s := k.m.c.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.checkRevLocked(r.Revision); err != nil {
		return nil, err
	}
	resp := s.doRangeLocked(r, s.rev)
	resp.Header = k.m.header(s.rev)
	return resp, nil
}

// RangeStream sends the keys in chunks of ten, header, count and more in the
// last one. etcd starts with ten as well and adapts the size.
func (k *kvServer) RangeStream(r *pb.RangeRequest, stream grpc.ServerStreamingServer[pb.RangeStreamResponse]) error {
	if r.SortOrder != pb.RangeRequest_NONE && (r.SortTarget != pb.RangeRequest_KEY || r.SortOrder != pb.RangeRequest_ASCEND) {
		return status.Error(codes.Unimplemented, "RangeStream does not support custom sort orders")
	}
	if r.MinModRevision != 0 || r.MaxModRevision != 0 || r.MinCreateRevision != 0 || r.MaxCreateRevision != 0 {
		return status.Error(codes.Unimplemented, "RangeStream does not support revision filters")
	}
	if err := k.m.c.permit(stream.Context(), r); err != nil {
		return err
	}
	resp, err := k.Range(stream.Context(), r)
	if err != nil {
		return err
	}
	const chunk = 10
	for len(resp.Kvs) > chunk {
		part := &pb.RangeResponse{Kvs: resp.Kvs[:chunk]}
		if err := stream.Send(&pb.RangeStreamResponse{RangeResponse: part}); err != nil {
			return err
		}
		resp.Kvs = resp.Kvs[chunk:]
	}
	return stream.Send(&pb.RangeStreamResponse{RangeResponse: resp})
}

func (k *kvServer) Put(ctx context.Context, r *pb.PutRequest) (*pb.PutResponse, error) {
	if err := checkPut(r); err != nil {
		return nil, err
	}
	if err := k.m.awaitLeader(ctx); err != nil {
		return nil, err
	}
	s := k.m.c.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.checkPutLocked(r); err != nil {
		return nil, err
	}
	w := s.beginLocked()
	resp := w.doPut(r)
	w.commit()
	resp.Header = k.m.header(s.rev)
	return resp, nil
}

func (k *kvServer) DeleteRange(ctx context.Context, r *pb.DeleteRangeRequest) (*pb.DeleteRangeResponse, error) {
	if len(r.Key) == 0 {
		return nil, rpctypes.ErrGRPCEmptyKey
	}
	if err := k.m.awaitLeader(ctx); err != nil {
		return nil, err
	}
	s := k.m.c.store
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.beginLocked()
	resp := w.doDelete(r)
	w.commit()
	resp.Header = k.m.header(s.rev)
	return resp, nil
}

func (k *kvServer) Compact(ctx context.Context, r *pb.CompactionRequest) (*pb.CompactionResponse, error) {
	if err := k.m.awaitLeader(ctx); err != nil {
		return nil, err
	}
	s := k.m.c.store
	if err := s.compact(r.Revision); err != nil {
		return nil, err
	}
	return &pb.CompactionResponse{Header: k.m.header(s.revision())}, nil
}

func checkRange(r *pb.RangeRequest) error {
	if len(r.Key) == 0 {
		return rpctypes.ErrGRPCEmptyKey
	}
	_, knownOrder := pb.RangeRequest_SortOrder_name[int32(r.SortOrder)]
	_, knownTarget := pb.RangeRequest_SortTarget_name[int32(r.SortTarget)]
	if !knownOrder || !knownTarget {
		return rpctypes.ErrGRPCInvalidSortOption
	}
	return nil
}

func checkPut(r *pb.PutRequest) error {
	switch {
	case len(r.Key) == 0:
		return rpctypes.ErrGRPCEmptyKey
	case r.IgnoreValue && len(r.Value) != 0:
		return rpctypes.ErrGRPCValueProvided
	case r.IgnoreLease && r.Lease != 0:
		return rpctypes.ErrGRPCLeaseProvided
	}
	return nil
}

// checkPutLocked checks what can only be known when the put is applied.
func (s *store) checkPutLocked(r *pb.PutRequest) error {
	if r.Lease != 0 && s.leases[r.Lease] == nil {
		return rpctypes.ErrGRPCLeaseNotFound
	}
	if (r.IgnoreValue || r.IgnoreLease) && s.atLocked(string(r.Key), s.rev) == nil {
		return rpctypes.ErrGRPCKeyNotFound
	}
	return nil
}

// doRangeLocked answers r from the state at revision cur, which is not yet the
// store's inside a transaction. Filters act before the limit; the count knows
// neither.
func (s *store) doRangeLocked(r *pb.RangeRequest, cur int64) *pb.RangeResponse {
	rev := r.Revision
	if rev <= 0 {
		rev = cur
	}
	kvs := s.rangeLocked(keyRange{r.Key, r.RangeEnd}, rev)
	resp := &pb.RangeResponse{Count: int64(len(kvs))}
	if r.CountOnly {
		return resp
	}
	kvs = slices.DeleteFunc(kvs, func(kv *mvccpb.KeyValue) bool { return filteredOut(r, kv) })
	// etcd reads one key more than the limit, to know whether there are more, and
	// all of them if it has to sort; but it takes a target without an order for
	// nothing to sort, and then sorts after all what it has read.
	filtered := r.MinModRevision != 0 || r.MaxModRevision != 0 || r.MinCreateRevision != 0 || r.MaxCreateRevision != 0
	if r.SortOrder == pb.RangeRequest_NONE && !filtered && r.Limit > 0 && int64(len(kvs)) > r.Limit {
		kvs = kvs[:r.Limit+1]
	}
	sortKVs(kvs, r.SortTarget, r.SortOrder)
	if r.Limit > 0 && int64(len(kvs)) > r.Limit {
		kvs = kvs[:r.Limit]
		resp.More = true
	}
	if r.KeysOnly {
		for i, kv := range kvs {
			kvs[i] = &mvccpb.KeyValue{
				Key: kv.Key, CreateRevision: kv.CreateRevision, ModRevision: kv.ModRevision, Version: kv.Version,
			}
			// etcd 3.7 answers from its index, which knows no lease, unless it
			// had to load the values in order to sort by them.
			if r.SortTarget == pb.RangeRequest_VALUE {
				kvs[i].Lease = kv.Lease
			}
		}
	}
	resp.Kvs = kvs
	return resp
}

func filteredOut(r *pb.RangeRequest, kv *mvccpb.KeyValue) bool {
	return (r.MinModRevision != 0 && kv.ModRevision < r.MinModRevision) ||
		(r.MaxModRevision != 0 && kv.ModRevision > r.MaxModRevision) ||
		(r.MinCreateRevision != 0 && kv.CreateRevision < r.MinCreateRevision) ||
		(r.MaxCreateRevision != 0 && kv.CreateRevision > r.MaxCreateRevision)
}

// sortKVs orders kvs, which are in the order of their keys. A target without an
// order means ascending. etcd promises no order of what compares equal; its algorithm
// (server/etcdserver/txn/range.go, sortRangeResults) leaves it as this does.
func sortKVs(kvs []*mvccpb.KeyValue, target pb.RangeRequest_SortTarget, order pb.RangeRequest_SortOrder) {
	by := sorter{kvs, target}
	switch {
	case target == pb.RangeRequest_KEY && order != pb.RangeRequest_DESCEND:
	case order == pb.RangeRequest_DESCEND:
		sort.Sort(sort.Reverse(by))
	default:
		sort.Sort(by)
	}
}

type sorter struct {
	kvs []*mvccpb.KeyValue
	by  pb.RangeRequest_SortTarget
}

// Len implements sort.Interface.
func (s sorter) Len() int { return len(s.kvs) }

// Swap implements sort.Interface.
func (s sorter) Swap(i, j int) { s.kvs[i], s.kvs[j] = s.kvs[j], s.kvs[i] }

// Less implements sort.Interface.
func (s sorter) Less(i, j int) bool {
	a, b := s.kvs[i], s.kvs[j]
	switch s.by {
	case pb.RangeRequest_VERSION:
		return a.Version < b.Version
	case pb.RangeRequest_CREATE:
		return a.CreateRevision < b.CreateRevision
	case pb.RangeRequest_MOD:
		return a.ModRevision < b.ModRevision
	case pb.RangeRequest_VALUE:
		return bytes.Compare(a.Value, b.Value) < 0
	default:
		return bytes.Compare(a.Key, b.Key) < 0
	}
}

func (w *write) doPut(r *pb.PutRequest) *pb.PutResponse {
	prev := w.s.atLocked(string(r.Key), w.rev)
	value, leaseID := r.Value, r.Lease
	// A missing prev was refused by checkPutLocked, unless the same transaction
	// has deleted it, without an end. etcd 3.7.3 panics on that one.
	if r.IgnoreValue {
		value = prev.GetValue()
	}
	if r.IgnoreLease {
		leaseID = prev.GetLease()
	}
	w.put(r.Key, value, leaseID)
	resp := &pb.PutResponse{Header: &pb.ResponseHeader{Revision: w.visibleRev()}}
	if r.PrevKv {
		resp.PrevKv = prev
	}
	return resp
}

func (w *write) doDelete(r *pb.DeleteRangeRequest) *pb.DeleteRangeResponse {
	rng := keyRange{r.Key, r.RangeEnd}
	resp := &pb.DeleteRangeResponse{}
	if r.PrevKv {
		resp.PrevKvs = w.s.rangeLocked(rng, w.rev)
	}
	resp.Deleted = w.delete(rng)
	resp.Header = &pb.ResponseHeader{Revision: w.visibleRev()}
	return resp
}
