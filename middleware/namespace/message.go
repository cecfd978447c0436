package namespace

import (
	"bytes"
	"slices"

	"go.etcd.io/etcd/api/v3/authpb"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// shallow returns a copy of m that shares what m refers to: requests are the caller's,
// and their values may be large.
func shallow[M proto.Message](m M) M {
	from := m.ProtoReflect()
	to := from.New()
	from.Range(func(field protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		to.Set(field, v)
		return true
	})
	to.SetUnknown(from.GetUnknown())
	return to.Interface().(M)
}

// bounds takes a key and a range end. Without a key, the request stays the server's to refuse: with
// the prefix for a key, the range would have the key that is the prefix itself, which is in no
// namespace. It loses its end, so that nobody can take it for a range of all keys.
func (p space) bounds(key, end *[]byte) {
	if len(*key) == 0 {
		*end = nil
		return
	}
	*key, *end = p.key(*key), p.end(*end)
}

// watched is bounds for a watch, where etcd takes no key for the first one
// (api/v3rpc/watch.go, recvLoop).
func (p space) watched(key, end *[]byte) {
	if len(*key) == 0 {
		*key = []byte{0}
	}
	p.bounds(key, end)
}

// permitted is bounds for a permission, which is kept within the namespace whatever the server makes
// of a range without a key.
func (p space) permitted(key, end *[]byte) {
	if len(*key) > 0 || len(*end) > 0 {
		*key, *end = p.key(*key), p.end(*end)
	}
}

// single takes a key without a range. Without one, the request stays the server's to refuse.
func (p space) single(key *[]byte) {
	if len(*key) > 0 {
		*key = p.key(*key)
	}
}

// request returns m with its keys prefixed, or the error that refuses it. It does not
// change m.
func (p space) request(method string, m any) (any, error) {
	keys, known := hasKeys[method]
	switch {
	case !known:
		return nil, errUnknown(method)
	case !keys:
		return m, nil
	}
	if r := p.keyed(m); r != nil {
		return r, nil
	}
	return nil, errMessage(method, m)
}

// keyed returns m with its keys prefixed; nil if m is not a request with keys.
func (p space) keyed(m any) any {
	switch m := m.(type) {
	case *pb.RangeRequest:
		r := shallow(m)
		p.bounds(&r.Key, &r.RangeEnd)
		return r
	case *pb.PutRequest:
		r := shallow(m)
		p.single(&r.Key)
		return r
	case *pb.DeleteRangeRequest:
		r := shallow(m)
		p.bounds(&r.Key, &r.RangeEnd)
		return r
	case *pb.TxnRequest:
		return p.txn(m)
	case *pb.WatchRequest:
		if m.GetCreateRequest() == nil {
			return m
		}
		r := shallow(m.GetCreateRequest())
		p.watched(&r.Key, &r.RangeEnd)
		return &pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: r}}
	case *v3lockpb.LockRequest: // etcd makes keys of the names, of an empty one too
		r := shallow(m)
		r.Name = p.key(r.GetName())
		return r
	case *v3lockpb.UnlockRequest:
		r := shallow(m)
		p.single(&r.Key)
		return r
	case *v3electionpb.CampaignRequest:
		r := shallow(m)
		r.Name = p.key(r.GetName())
		return r
	case *v3electionpb.LeaderRequest: // Observe's, too
		r := shallow(m)
		r.Name = p.key(r.GetName())
		return r
	case *v3electionpb.ProclaimRequest:
		r := shallow(m)
		r.Leader = p.leader(r.GetLeader())
		return r
	case *v3electionpb.ResignRequest:
		r := shallow(m)
		r.Leader = p.leader(r.GetLeader())
		return r
	case *pb.AuthRoleGrantPermissionRequest:
		r := shallow(m)
		if m.GetPerm() != nil {
			r.Perm = shallow(m.GetPerm())
			p.permitted(&r.Perm.Key, &r.Perm.RangeEnd)
		}
		return r
	case *pb.AuthRoleRevokePermissionRequest:
		r := shallow(m)
		p.permitted(&r.Key, &r.RangeEnd)
		return r
	}
	return nil
}

func (p space) leader(m *v3electionpb.LeaderKey) *v3electionpb.LeaderKey {
	if m == nil {
		return nil
	}
	r := shallow(m)
	r.Name = p.key(r.GetName())
	p.single(&r.Key)
	return r
}

func (p space) txn(m *pb.TxnRequest) *pb.TxnRequest {
	r := shallow(m)
	r.Compare = slices.Clone(m.GetCompare())
	for i, c := range r.GetCompare() {
		c = shallow(c)
		p.bounds(&c.Key, &c.RangeEnd)
		r.Compare[i] = c
	}
	r.Success, r.Failure = p.branch(m.GetSuccess()), p.branch(m.GetFailure())
	return r
}

func (p space) branch(ops []*pb.RequestOp) []*pb.RequestOp {
	out := make([]*pb.RequestOp, len(ops))
	for i, op := range ops {
		switch op := op.GetRequest().(type) {
		case *pb.RequestOp_RequestRange:
			out[i] = &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: p.keyed(op.RequestRange).(*pb.RangeRequest)}}
		case *pb.RequestOp_RequestPut:
			out[i] = &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: p.keyed(op.RequestPut).(*pb.PutRequest)}}
		case *pb.RequestOp_RequestDeleteRange:
			out[i] = &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: p.keyed(op.RequestDeleteRange).(*pb.DeleteRangeRequest)}}
		case *pb.RequestOp_RequestTxn:
			out[i] = &pb.RequestOp{Request: &pb.RequestOp_RequestTxn{RequestTxn: p.txn(op.RequestTxn)}}
		default:
			out[i] = ops[i] // empty, which the server refuses
		}
	}
	return out
}

// stripResponse takes the prefix off the keys of a response of any service.
func (p space) stripResponse(m any) {
	switch m := m.(type) {
	case *pb.RangeResponse:
		p.stripKVs(m.GetKvs())
	case *pb.RangeStreamResponse:
		p.stripKVs(m.GetRangeResponse().GetKvs())
	case *pb.PutResponse:
		p.stripKV(m.GetPrevKv())
	case *pb.DeleteRangeResponse:
		p.stripKVs(m.GetPrevKvs())
	case *pb.TxnResponse:
		p.stripTxn(m)
	case *pb.WatchResponse:
		p.stripEvents(m.GetEvents())
	case *pb.LeaseTimeToLiveResponse:
		m.Keys = p.stripKeys(m.GetKeys())
	case *v3lockpb.LockResponse:
		m.Key = p.strip(m.GetKey())
	case *v3electionpb.CampaignResponse:
		if l := m.GetLeader(); l != nil {
			l.Name, l.Key = p.strip(l.GetName()), p.strip(l.GetKey())
		}
	case *v3electionpb.LeaderResponse:
		p.stripKV(m.GetKv())
	case *pb.AuthRoleGetResponse:
		m.Perm = p.stripPermissions(m.GetPerm())
	}
}

// stripPermissions leaves out a permission for a range that is not wholly inside the
// namespace.
func (p space) stripPermissions(perms []*authpb.Permission) []*authpb.Permission {
	return slices.DeleteFunc(perms, func(perm *authpb.Permission) bool { return !p.stripPermission(perm) })
}

func (p space) stripPermission(perm *authpb.Permission) (inside bool) {
	key, end := perm.GetKey(), perm.GetRangeEnd()
	single := len(end) == 0
	switch {
	case !bytes.HasPrefix(key, []byte(p)), single && len(key) == len(p):
		return false
	case single:
	case bytes.Equal(end, p.end([]byte{0})):
		end = []byte{0}
	case bytes.HasPrefix(end, []byte(p)):
		end = p.strip(end)
	default:
		return false
	}
	perm.Key = p.strip(key)
	perm.RangeEnd = end
	return true
}

// stripKeys leaves out what is not in the namespace, such as the key that is the prefix itself.
func (p space) stripKeys(keys [][]byte) [][]byte {
	keys = slices.DeleteFunc(keys, func(key []byte) bool { return len(key) <= len(p) || !bytes.HasPrefix(key, []byte(p)) })
	for i, key := range keys {
		keys[i] = p.strip(key)
	}
	return keys
}
