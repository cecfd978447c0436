package integration_test

import (
	"slices"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
	"google.golang.org/protobuf/proto"
)

// The requests of TestEtcdtestAnswersAsEtcdDoes, in their order: each list goes on with
// what those before it have left.

func putOf(key, value string) *pb.PutRequest {
	return &pb.PutRequest{Key: []byte(key), Value: []byte(value)}
}

func rangeOf(key, end string) *pb.RangeRequest {
	return &pb.RangeRequest{Key: []byte(key), RangeEnd: []byte(end)}
}

func kvRequests() []proto.Message {
	reqs := []proto.Message{
		rangeOf("a", ""), rangeOf("", ""), rangeOf("a", "\x00"), rangeOf("b", "a"),
		&pb.PutRequest{Value: []byte("x")},
		&pb.PutRequest{Key: []byte("a"), IgnoreValue: true},
		&pb.PutRequest{Key: []byte("a"), IgnoreLease: true},
		&pb.PutRequest{Key: []byte("a"), Value: []byte("x"), IgnoreValue: true},
		&pb.PutRequest{Key: []byte("a"), Lease: 7, IgnoreLease: true},
		&pb.PutRequest{Key: []byte("a"), Lease: 7},
		&pb.PutRequest{Key: []byte("a"), PrevKv: true},
	}
	for _, kv := range [][2]string{{"a", "1"}, {"c", "2"}, {"b", "3"}, {"a", "4"}, {"d", "1"}, {"b", "5"}} {
		reqs = append(reqs, putOf(kv[0], kv[1]))
	}
	reqs = append(reqs,
		&pb.PutRequest{Key: []byte("a"), IgnoreValue: true, PrevKv: true},
		&pb.PutRequest{Key: []byte("a"), Value: []byte("6"), IgnoreLease: true, PrevKv: true},
	)
	for _, target := range []pb.RangeRequest_SortTarget{
		pb.RangeRequest_KEY, pb.RangeRequest_VERSION, pb.RangeRequest_CREATE, pb.RangeRequest_MOD, pb.RangeRequest_VALUE,
	} {
		for _, order := range []pb.RangeRequest_SortOrder{pb.RangeRequest_NONE, pb.RangeRequest_ASCEND, pb.RangeRequest_DESCEND} {
			for _, limit := range []int64{0, 1, 3, 9} {
				reqs = append(reqs, &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}, SortTarget: target, SortOrder: order, Limit: limit})
			}
		}
	}
	for rev := range int64(13) {
		reqs = append(reqs, &pb.RangeRequest{Key: []byte("a"), RangeEnd: []byte("z"), Revision: rev - 1})
	}
	return append(reqs,
		&pb.RangeRequest{Key: []byte("a"), RangeEnd: []byte("z"), CountOnly: true},
		&pb.RangeRequest{Key: []byte("a"), RangeEnd: []byte("z"), CountOnly: true, Limit: 1},
		&pb.RangeRequest{Key: []byte("a"), RangeEnd: []byte("z"), KeysOnly: true, Limit: 2},
		&pb.RangeRequest{Key: []byte("a"), RangeEnd: []byte("z"), Limit: -1},
		&pb.RangeRequest{Key: []byte("a"), RangeEnd: []byte("z"), Serializable: true, MinModRevision: 5, MaxModRevision: 8},
		&pb.RangeRequest{Key: []byte("a"), RangeEnd: []byte("z"), MinCreateRevision: 3, MaxCreateRevision: 4, Limit: 1},
		&pb.RangeRequest{Key: []byte("a"), RangeEnd: []byte("z"), SortOrder: 9},
		&pb.RangeRequest{Key: []byte("a"), RangeEnd: []byte("z"), SortTarget: 9},
		&pb.DeleteRangeRequest{},
		&pb.DeleteRangeRequest{Key: []byte("nothing")},
		&pb.DeleteRangeRequest{Key: []byte("c"), PrevKv: true},
		&pb.DeleteRangeRequest{Key: []byte("a"), RangeEnd: []byte("c"), PrevKv: true},
		rangeOf("a", "z"),
		putOf("a", "again"), rangeOf("a", ""),
		&pb.CompactionRequest{Revision: 99}, &pb.CompactionRequest{Revision: 5}, &pb.CompactionRequest{Revision: 5},
		&pb.CompactionRequest{Revision: 4}, &pb.CompactionRequest{Revision: -1},
		&pb.RangeRequest{Key: []byte("a"), RangeEnd: []byte("z"), Revision: 4},
		&pb.RangeRequest{Key: []byte("a"), RangeEnd: []byte("z"), Revision: 5},
	)
}

func opOf(m proto.Message) *pb.RequestOp {
	switch m := m.(type) {
	case *pb.RangeRequest:
		return &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: m}}
	case *pb.PutRequest:
		return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: m}}
	case *pb.DeleteRangeRequest:
		return &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: m}}
	case *pb.TxnRequest:
		return &pb.RequestOp{Request: &pb.RequestOp_RequestTxn{RequestTxn: m}}
	}
	return &pb.RequestOp{}
}

func txnRequests() []proto.Message {
	var reqs []proto.Message
	for _, result := range []pb.Compare_CompareResult{pb.Compare_EQUAL, pb.Compare_GREATER, pb.Compare_LESS, pb.Compare_NOT_EQUAL} {
		for _, c := range []*pb.Compare{
			{Key: []byte("a"), Target: pb.Compare_VERSION, TargetUnion: &pb.Compare_Version{Version: 1}},
			{Key: []byte("a"), Target: pb.Compare_VALUE, TargetUnion: &pb.Compare_Value{Value: []byte("again")}},
			{Key: []byte("none"), Target: pb.Compare_VALUE, TargetUnion: &pb.Compare_Value{Value: []byte("x")}},
			{Key: []byte("none"), Target: pb.Compare_CREATE, TargetUnion: &pb.Compare_CreateRevision{}},
			{Key: []byte("none"), Target: pb.Compare_MOD, TargetUnion: &pb.Compare_ModRevision{ModRevision: 1}},
			{Key: []byte("none"), Target: pb.Compare_LEASE, TargetUnion: &pb.Compare_Lease{}},
			{Key: []byte("a"), RangeEnd: []byte("z"), Target: pb.Compare_CREATE, TargetUnion: &pb.Compare_CreateRevision{CreateRevision: 3}},
			{Key: []byte("n"), RangeEnd: []byte("o"), Target: pb.Compare_VERSION, TargetUnion: &pb.Compare_Version{Version: 1}},
		} {
			c.Result = result
			reqs = append(reqs, &pb.TxnRequest{Compare: []*pb.Compare{c}, Success: []*pb.RequestOp{opOf(rangeOf("a", ""))}})
		}
	}
	nested := func(ops ...proto.Message) *pb.TxnRequest {
		r := &pb.TxnRequest{}
		for _, op := range ops {
			r.Success = append(r.Success, opOf(op))
		}
		return r
	}
	return append(reqs,
		&pb.TxnRequest{},
		nested(putOf("x", "1"), rangeOf("x", ""), &pb.DeleteRangeRequest{Key: []byte("a"), PrevKv: true}),
		nested(putOf("x", "1"), putOf("x", "2")),
		nested(putOf("x", "1"), &pb.DeleteRangeRequest{Key: []byte("a"), RangeEnd: []byte("z")}),
		nested(&pb.DeleteRangeRequest{Key: []byte("x")}, &pb.DeleteRangeRequest{Key: []byte("x")}),
		nested(putOf("", "1")),
		nested(rangeOf("", "")),
		nested(nested(putOf("y", "1"), nested(putOf("z", "1"), rangeOf("y", "\x00")))),
		nested(putOf("y", "1"), nested(putOf("y", "2"))),
		nested(&pb.RangeRequest{Key: []byte("a"), Revision: 99}),
		nested(&pb.RangeRequest{Key: []byte("a"), Revision: 2}),
		nested(&pb.PutRequest{Key: []byte("y"), Lease: 99}),
		&pb.TxnRequest{Compare: []*pb.Compare{{}}},
		&pb.TxnRequest{Failure: slices.Repeat([]*pb.RequestOp{opOf(rangeOf("a", ""))}, 129)},
		&pb.TxnRequest{Success: slices.Repeat([]*pb.RequestOp{opOf(rangeOf("a", ""))}, 128)},
		rangeOf("\x00", "\x00"),
	)
}

func leaseRequests() []proto.Message {
	return []proto.Message{
		&pb.LeaseGrantRequest{ID: 1, TTL: 1000}, &pb.LeaseGrantRequest{ID: 1, TTL: 1000}, &pb.LeaseGrantRequest{ID: 2, TTL: 2000},
		&pb.LeaseGrantRequest{ID: 3, TTL: 10_000_000_000}, &pb.LeaseGrantRequest{ID: 3}, &pb.LeaseGrantRequest{ID: 4, TTL: -1},
		&pb.LeaseLeasesRequest{},
		&pb.PutRequest{Key: []byte("l1"), Lease: 1}, &pb.PutRequest{Key: []byte("l2"), Lease: 1}, &pb.PutRequest{Key: []byte("l2"), Lease: 2},
		&pb.PutRequest{Key: []byte("l2"), IgnoreLease: true}, rangeOf("l", "m"),
		&pb.LeaseTimeToLiveRequest{ID: 1, Keys: true}, &pb.LeaseTimeToLiveRequest{ID: 2, Keys: true}, &pb.LeaseTimeToLiveRequest{ID: 99, Keys: true},
		&pb.LeaseKeepAliveRequest{ID: 1}, &pb.LeaseKeepAliveRequest{ID: 99},
		&v3lockpb.LockRequest{Name: []byte("lock"), Lease: 2}, &v3lockpb.LockRequest{Name: []byte("lock"), Lease: 2},
		&v3lockpb.LockRequest{Name: []byte("lock"), Lease: 99},
		rangeOf("lock", "locl"),
		&v3lockpb.UnlockRequest{Key: []byte("lock/2")}, &v3lockpb.UnlockRequest{Key: []byte("lock/2")}, &v3lockpb.UnlockRequest{},
		&pb.LeaseRevokeRequest{ID: 1}, &pb.LeaseRevokeRequest{ID: 1}, &pb.LeaseRevokeRequest{},
		rangeOf("l", "m"),
	}
}

func watchRequests() []proto.Message {
	return []proto.Message{
		&pb.WatchCreateRequest{Key: []byte("a"), StartRevision: 6},
		&pb.WatchCreateRequest{Key: []byte("a"), StartRevision: 5},
		&pb.WatchCreateRequest{Key: []byte("a"), StartRevision: 4},
		&pb.WatchCreateRequest{Key: []byte("a"), StartRevision: -1},
		&pb.WatchCreateRequest{Key: []byte("b"), RangeEnd: []byte("a")},
		&pb.WatchCreateRequest{Key: []byte{0}, RangeEnd: []byte{0}, StartRevision: 6, PrevKv: true},
		&pb.WatchCreateRequest{Key: []byte{0}, RangeEnd: []byte{0}, StartRevision: 6, Filters: []pb.WatchCreateRequest_FilterType{pb.WatchCreateRequest_NOPUT}},
		&pb.WatchCreateRequest{Key: []byte{0}, RangeEnd: []byte{0}, StartRevision: 6, Filters: []pb.WatchCreateRequest_FilterType{pb.WatchCreateRequest_NODELETE}},
		&pb.WatchCreateRequest{Key: []byte("nothing"), StartRevision: 6},
		&pb.WatchCreateRequest{RangeEnd: []byte{0}, StartRevision: 6},
		&pb.WatchCreateRequest{WatchId: -1, Key: []byte("a"), StartRevision: 6},
	}
}
