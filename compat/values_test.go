package compat_test

import (
	"context"
	"reflect"
	"strings"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	getcd "github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/compat"
)

// pairs has the same operations in both packages.
var pairs = map[string]struct {
	theirs clientv3.Op
	ours   getcd.Op
}{
	"get": {clientv3.OpGet("k"), getcd.OpGet("k")},
	"all of get": {
		clientv3.OpGet("k", clientv3.WithPrefix(), clientv3.WithLimit(3), clientv3.WithRev(7), clientv3.WithSerializable(),
			clientv3.WithMinModRev(1), clientv3.WithMaxModRev(2), clientv3.WithMinCreateRev(3), clientv3.WithMaxCreateRev(4),
			clientv3.WithKeysOnly(), clientv3.WithSort(clientv3.SortByModRevision, clientv3.SortDescend)),
		getcd.OpGet("k", getcd.WithPrefix(), getcd.WithLimit(3), getcd.WithRev(7), getcd.WithSerializable(),
			getcd.WithMinModRev(1), getcd.WithMaxModRev(2), getcd.WithMinCreateRev(3), getcd.WithMaxCreateRev(4),
			getcd.WithKeysOnly(), getcd.WithSort(getcd.SortByModRevision, getcd.SortDescend)),
	},
	"count":          {clientv3.OpGet("k", clientv3.WithFromKey(), clientv3.WithCountOnly()), getcd.OpGet("k", getcd.WithFromKey(), getcd.WithCountOnly())},
	"all keys":       {clientv3.OpGet("", clientv3.WithPrefix()), getcd.OpGet("", getcd.WithPrefix())},
	"from the first": {clientv3.OpGet("", clientv3.WithFromKey()), getcd.OpGet("", getcd.WithFromKey())},
	"sort by key":    {clientv3.OpGet("k", clientv3.WithPrefix(), clientv3.WithSort(clientv3.SortByKey, clientv3.SortDescend)), getcd.OpGet("k", getcd.WithPrefix(), getcd.WithSort(getcd.SortByKey, getcd.SortDescend))},
	"put":            {clientv3.OpPut("k", "v", clientv3.WithLease(9), clientv3.WithPrevKV()), getcd.OpPut("k", "v", getcd.WithLease(9), getcd.WithPrevKV())},
	"put no value":   {clientv3.OpPut("k", "", clientv3.WithIgnoreValue(), clientv3.WithIgnoreLease()), getcd.OpPut("k", "", getcd.WithIgnoreValue(), getcd.WithIgnoreLease())},
	"delete":         {clientv3.OpDelete("k", clientv3.WithRange("z"), clientv3.WithPrevKV()), getcd.OpDelete("k", getcd.WithRange("z"), getcd.WithPrevKV())},
	"txn": {
		clientv3.OpTxn([]clientv3.Cmp{clientv3.Compare(clientv3.Value("k"), "!=", "v"), clientv3.Compare(clientv3.Version("p"), ">", 0).WithPrefix()},
			[]clientv3.Op{clientv3.OpPut("k", "v"), clientv3.OpTxn(nil, []clientv3.Op{clientv3.OpGet("n")}, nil)},
			[]clientv3.Op{clientv3.OpGet("k")}),
		getcd.OpTxn([]getcd.Cmp{getcd.Compare(getcd.Value("k"), "!=", "v"), getcd.Compare(getcd.Version("p"), ">", 0).WithPrefix()},
			[]getcd.Op{getcd.OpPut("k", "v"), getcd.OpTxn(nil, []getcd.Op{getcd.OpGet("n")}, nil)},
			[]getcd.Op{getcd.OpGet("k")}),
	},
}

// seen is a stub that records the last request.
type seen struct {
	pb.KVClient

	req proto.Message
}

func (s *seen) Range(_ context.Context, r *pb.RangeRequest, _ ...grpc.CallOption) (*pb.RangeResponse, error) {
	s.req = r
	return &pb.RangeResponse{}, nil
}

func (s *seen) Put(_ context.Context, r *pb.PutRequest, _ ...grpc.CallOption) (*pb.PutResponse, error) {
	s.req = r
	return &pb.PutResponse{}, nil
}

func (s *seen) DeleteRange(_ context.Context, r *pb.DeleteRangeRequest, _ ...grpc.CallOption) (*pb.DeleteRangeResponse, error) {
	s.req = r
	return &pb.DeleteRangeResponse{}, nil
}

func (s *seen) Txn(_ context.Context, r *pb.TxnRequest, _ ...grpc.CallOption) (*pb.TxnResponse, error) {
	s.req = r
	return &pb.TxnResponse{}, nil
}

func theirRequest(t *testing.T, op clientv3.Op) proto.Message {
	t.Helper()
	s := &seen{}
	if _, err := clientv3.NewKVFromKVClient(s, nil).Do(t.Context(), op); err != nil {
		t.Fatal(err)
	}
	return s.req
}

func ourRequest(t *testing.T, op getcd.Op) proto.Message {
	t.Helper()
	s := &seen{}
	if _, err := getcd.NewKVFromKVClient(s, nil).Do(t.Context(), op); err != nil {
		t.Fatal(err)
	}
	return s.req
}

// An operation makes the same request before and after the conversion.
func TestOps(t *testing.T) {
	for name, pair := range pairs {
		t.Run(name, func(t *testing.T) {
			theirs, err := compat.ToOp(pair.ours)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := theirRequest(t, theirs), theirRequest(t, pair.theirs); !proto.Equal(got, want) {
				t.Errorf("ToOp makes %v, want %v", got, want)
			}
			ours, err := compat.FromOp(pair.theirs)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := ourRequest(t, ours), ourRequest(t, pair.ours); !proto.Equal(got, want) {
				t.Errorf("FromOp makes %v, want %v", got, want)
			}
		})
	}
}

func TestCmps(t *testing.T) {
	theirs := clientv3.Compare(clientv3.CreateRevision("k"), "<", 5).WithRange("z")
	ours := getcd.Compare(getcd.CreateRevision("k"), "<", 5).WithRange("z")
	to, from := compat.ToCmp(ours), compat.FromCmp(theirs)
	if got, want := to.GetCompare(), theirs.GetCompare(); !proto.Equal(got, want) {
		t.Errorf("ToCmp makes %v, want %v", got, want)
	}
	if got, want := from.GetCompare(), ours.GetCompare(); !proto.Equal(got, want) {
		t.Errorf("FromCmp makes %v, want %v", got, want)
	}
}

// An Op without an operation is an error in both directions.
func TestNoOps(t *testing.T) {
	for name, op := range map[string]clientv3.Op{
		"zero":   {},
		"nested": clientv3.OpTxn(nil, []clientv3.Op{{}}, nil),
		"else":   clientv3.OpTxn(nil, nil, []clientv3.Op{clientv3.OpTxn(nil, []clientv3.Op{{}}, nil)}),
	} {
		if _, err := compat.FromOp(op); err == nil || !strings.Contains(err.Error(), "OpGet, OpPut, OpDelete or OpTxn") {
			t.Errorf("FromOp, %s: %v", name, err)
		}
	}
	for name, op := range map[string]getcd.Op{
		"zero":   {},
		"watch":  getcd.OpWatch("k"),
		"nested": getcd.OpTxn(nil, []getcd.Op{{}}, nil),
		"empty":  getcd.OpGet("", getcd.WithSort(17, 17)),
	} {
		if _, err := compat.ToOp(op); err == nil {
			t.Errorf("ToOp, %s: no error", name)
		}
	}
	invalid := clientv3.OpGet("k", clientv3.WithSort(17, 17))
	if _, err := compat.FromOp(invalid); err == nil {
		t.Error("FromOp of a sort that is none: no error")
	}
}

// Go can convert the types that the package comment lists.
func TestConvertible(t *testing.T) {
	pair := func(theirs, ours any) [2]reflect.Type {
		return [2]reflect.Type{reflect.TypeOf(theirs), reflect.TypeOf(ours)}
	}
	for _, p := range [][2]reflect.Type{
		pair((*clientv3.AlarmMember)(nil), (*getcd.AlarmMember)(nil)),
		pair((*clientv3.AlarmResponse)(nil), (*getcd.AlarmResponse)(nil)),
		pair((*clientv3.AuthConfig)(nil), (*getcd.AuthConfig)(nil)),
		pair((*clientv3.AuthDisableResponse)(nil), (*getcd.AuthDisableResponse)(nil)),
		pair((*clientv3.AuthEnableResponse)(nil), (*getcd.AuthEnableResponse)(nil)),
		pair((*clientv3.AuthRoleAddResponse)(nil), (*getcd.AuthRoleAddResponse)(nil)),
		pair((*clientv3.AuthRoleDeleteResponse)(nil), (*getcd.AuthRoleDeleteResponse)(nil)),
		pair((*clientv3.AuthRoleGetResponse)(nil), (*getcd.AuthRoleGetResponse)(nil)),
		pair((*clientv3.AuthRoleGrantPermissionResponse)(nil), (*getcd.AuthRoleGrantPermissionResponse)(nil)),
		pair((*clientv3.AuthRoleListResponse)(nil), (*getcd.AuthRoleListResponse)(nil)),
		pair((*clientv3.AuthRoleRevokePermissionResponse)(nil), (*getcd.AuthRoleRevokePermissionResponse)(nil)),
		pair((*clientv3.AuthStatusResponse)(nil), (*getcd.AuthStatusResponse)(nil)),
		pair((*clientv3.AuthUserAddResponse)(nil), (*getcd.AuthUserAddResponse)(nil)),
		pair((*clientv3.AuthUserChangePasswordResponse)(nil), (*getcd.AuthUserChangePasswordResponse)(nil)),
		pair((*clientv3.AuthUserDeleteResponse)(nil), (*getcd.AuthUserDeleteResponse)(nil)),
		pair((*clientv3.AuthUserGetResponse)(nil), (*getcd.AuthUserGetResponse)(nil)),
		pair((*clientv3.AuthUserGrantRoleResponse)(nil), (*getcd.AuthUserGrantRoleResponse)(nil)),
		pair((*clientv3.AuthUserListResponse)(nil), (*getcd.AuthUserListResponse)(nil)),
		pair((*clientv3.AuthUserRevokeRoleResponse)(nil), (*getcd.AuthUserRevokeRoleResponse)(nil)),
		pair((*clientv3.AuthenticateResponse)(nil), (*getcd.AuthenticateResponse)(nil)),
		pair((*clientv3.CompactResponse)(nil), (*getcd.CompactResponse)(nil)),
		pair((*clientv3.CompareResult)(nil), (*getcd.CompareResult)(nil)),
		pair((*clientv3.CompareTarget)(nil), (*getcd.CompareTarget)(nil)),
		pair((*clientv3.DefragmentResponse)(nil), (*getcd.DefragmentResponse)(nil)),
		pair((*clientv3.DeleteResponse)(nil), (*getcd.DeleteResponse)(nil)),
		pair((*clientv3.DowngradeAction)(nil), (*getcd.DowngradeAction)(nil)),
		pair((*clientv3.DowngradeResponse)(nil), (*getcd.DowngradeResponse)(nil)),
		pair((*clientv3.ErrKeepAliveHalted)(nil), (*getcd.ErrKeepAliveHalted)(nil)),
		pair((*clientv3.GetResponse)(nil), (*getcd.GetResponse)(nil)),
		pair((*clientv3.HashKVResponse)(nil), (*getcd.HashKVResponse)(nil)),
		pair((*clientv3.LeaseID)(nil), (*getcd.LeaseID)(nil)),
		pair((*clientv3.LeaseRevokeResponse)(nil), (*getcd.LeaseRevokeResponse)(nil)),
		pair((*clientv3.Member)(nil), (*getcd.Member)(nil)),
		pair((*clientv3.MemberAddResponse)(nil), (*getcd.MemberAddResponse)(nil)),
		pair((*clientv3.MemberListResponse)(nil), (*getcd.MemberListResponse)(nil)),
		pair((*clientv3.MemberPromoteResponse)(nil), (*getcd.MemberPromoteResponse)(nil)),
		pair((*clientv3.MemberRemoveResponse)(nil), (*getcd.MemberRemoveResponse)(nil)),
		pair((*clientv3.MemberUpdateResponse)(nil), (*getcd.MemberUpdateResponse)(nil)),
		pair((*clientv3.MoveLeaderResponse)(nil), (*getcd.MoveLeaderResponse)(nil)),
		pair((*clientv3.Permission)(nil), (*getcd.Permission)(nil)),
		pair((*clientv3.PermissionType)(nil), (*getcd.PermissionType)(nil)),
		pair((*clientv3.PutResponse)(nil), (*getcd.PutResponse)(nil)),
		pair((*clientv3.SecureConfig)(nil), (*getcd.SecureConfig)(nil)),
		pair((*clientv3.SnapshotResponse)(nil), (*getcd.SnapshotResponse)(nil)),
		pair((*clientv3.SortOrder)(nil), (*getcd.SortOrder)(nil)),
		pair((*clientv3.SortTarget)(nil), (*getcd.SortTarget)(nil)),
		pair((*clientv3.StatusResponse)(nil), (*getcd.StatusResponse)(nil)),
		pair((*clientv3.TxnResponse)(nil), (*getcd.TxnResponse)(nil)),
		pair((*clientv3.UserAddOptions)(nil), (*getcd.UserAddOptions)(nil)),
	} {
		if !p[0].ConvertibleTo(p[1]) || !p[1].ConvertibleTo(p[0]) {
			t.Errorf("Go does not convert %v and %v", p[0], p[1])
		}
	}
	if reflect.TypeFor[clientv3.Event]() != reflect.TypeFor[getcd.Event]() {
		t.Error("Event is not the same type")
	}
}
