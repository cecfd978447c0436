package client_test

import (
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/internal/attempt"
)

// owned is a request that package lease has marked as its own.
type owned struct{ req any }

// What becomes of each of etcd's requests when its answer is lost: asked again of
// another member or not, in doubt or not; and whether a member without a leader
// is to refuse it.
func TestEveryRequestWhoseAnswerIsLost(t *testing.T) {
	type traits struct{ again, doubt, anyMember bool }
	var (
		write      = traits{doubt: true}
		repeatable = traits{again: true, doubt: true}
		read       = traits{again: true}
		local      = traits{again: true, anyMember: true}
	)
	get := &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: []byte("k")}}}
	getLocal := &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: []byte("k"), Serializable: true}}}
	put := &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte("k")}}}
	nested := func(op *pb.RequestOp) *pb.RequestOp {
		return &pb.RequestOp{Request: &pb.RequestOp_RequestTxn{RequestTxn: &pb.TxnRequest{Failure: []*pb.RequestOp{op}}}}
	}
	txn := func(ops ...*pb.RequestOp) *pb.TxnRequest { return &pb.TxnRequest{Failure: ops} }
	for _, c := range []struct {
		method string
		req    any
		want   traits
	}{
		{pb.KV_Range_FullMethodName, &pb.RangeRequest{}, read},
		{pb.KV_Range_FullMethodName, &pb.RangeRequest{Serializable: true}, local},
		{pb.KV_Put_FullMethodName, &pb.PutRequest{}, write},
		{pb.KV_DeleteRange_FullMethodName, &pb.DeleteRangeRequest{}, write},
		{pb.KV_Txn_FullMethodName, txn(get, getLocal), read},
		{pb.KV_Txn_FullMethodName, txn(getLocal), local},
		{pb.KV_Txn_FullMethodName, txn(getLocal, nested(getLocal)), read}, // as the server sees it
		{pb.KV_Txn_FullMethodName, txn(get, put), write},
		{pb.KV_Txn_FullMethodName, txn(get, nested(put)), write},
		{pb.KV_Txn_FullMethodName, txn(&pb.RequestOp{}), write},
		{pb.KV_Compact_FullMethodName, &pb.CompactionRequest{}, repeatable},
		{pb.Lease_LeaseGrant_FullMethodName, owned{&pb.LeaseGrantRequest{ID: 7}}, repeatable},
		{pb.Lease_LeaseGrant_FullMethodName, &pb.LeaseGrantRequest{ID: 7}, write}, // the caller's
		{pb.Lease_LeaseGrant_FullMethodName, &pb.LeaseGrantRequest{}, write},
		{pb.Lease_LeaseRevoke_FullMethodName, owned{&pb.LeaseRevokeRequest{ID: 7}}, repeatable},
		{pb.Lease_LeaseRevoke_FullMethodName, &pb.LeaseRevokeRequest{ID: 7}, write},
		{pb.Lease_LeaseTimeToLive_FullMethodName, &pb.LeaseTimeToLiveRequest{}, read},
		{pb.Lease_LeaseLeases_FullMethodName, &pb.LeaseLeasesRequest{}, read},
		{v3lockpb.Lock_Lock_FullMethodName, &v3lockpb.LockRequest{Lease: 7}, write},
		{v3lockpb.Lock_Unlock_FullMethodName, &v3lockpb.UnlockRequest{}, write},
		{v3electionpb.Election_Campaign_FullMethodName, &v3electionpb.CampaignRequest{Lease: 7}, write},
		{v3electionpb.Election_Proclaim_FullMethodName, &v3electionpb.ProclaimRequest{}, write},
		{v3electionpb.Election_Resign_FullMethodName, &v3electionpb.ResignRequest{}, write},
		{v3electionpb.Election_Resign_FullMethodName, &v3electionpb.ResignRequest{Leader: &v3electionpb.LeaderKey{Lease: 7}}, repeatable},
		{v3electionpb.Election_Leader_FullMethodName, &v3electionpb.LeaderRequest{}, read},
		{pb.Cluster_MemberAdd_FullMethodName, &pb.MemberAddRequest{}, write},
		{pb.Cluster_MemberRemove_FullMethodName, &pb.MemberRemoveRequest{}, write},
		{pb.Cluster_MemberUpdate_FullMethodName, &pb.MemberUpdateRequest{}, write},
		{pb.Cluster_MemberPromote_FullMethodName, &pb.MemberPromoteRequest{}, write},
		{pb.Cluster_MemberList_FullMethodName, &pb.MemberListRequest{Linearizable: true}, read},
		{pb.Cluster_MemberList_FullMethodName, &pb.MemberListRequest{}, local},
		{pb.Maintenance_Alarm_FullMethodName, &pb.AlarmRequest{}, read},
		{pb.Maintenance_Alarm_FullMethodName, &pb.AlarmRequest{Action: pb.AlarmRequest_DEACTIVATE}, write},
		{pb.Maintenance_Status_FullMethodName, &pb.StatusRequest{}, local},
		{pb.Maintenance_Hash_FullMethodName, &pb.HashRequest{}, local},
		{pb.Maintenance_HashKV_FullMethodName, &pb.HashKVRequest{}, local},
		{pb.Maintenance_Defragment_FullMethodName, &pb.DefragmentRequest{}, traits{doubt: true, anyMember: true}},
		{pb.Maintenance_MoveLeader_FullMethodName, &pb.MoveLeaderRequest{}, write},
		{pb.Maintenance_Downgrade_FullMethodName, &pb.DowngradeRequest{}, write},
		{pb.Auth_Authenticate_FullMethodName, &pb.AuthenticateRequest{}, read},
		{pb.Auth_AuthEnable_FullMethodName, &pb.AuthEnableRequest{}, write},
		{pb.Auth_AuthStatus_FullMethodName, &pb.AuthStatusRequest{}, read},
		{pb.Auth_UserAdd_FullMethodName, &pb.AuthUserAddRequest{}, write},
		{pb.Auth_UserGet_FullMethodName, &pb.AuthUserGetRequest{}, read},
		{pb.Auth_UserList_FullMethodName, &pb.AuthUserListRequest{}, read},
		{pb.Auth_UserDelete_FullMethodName, &pb.AuthUserDeleteRequest{}, write},
		{pb.Auth_RoleGet_FullMethodName, &pb.AuthRoleGetRequest{}, read},
		{pb.Auth_RoleList_FullMethodName, &pb.AuthRoleListRequest{}, read},
		{pb.Auth_RoleGrantPermission_FullMethodName, &pb.AuthRoleGrantPermissionRequest{}, write},
	} {
		run(t, 2, nil, func(r *rig) {
			r.cluster.Member(0).Intercept(refuse(errLostAnswer))
			r.cluster.Member(1).Intercept(refuse(rpctypes.ErrGRPCPermissionDenied))
			first, second := r.cluster.Member(0).Calls(c.method), r.cluster.Member(1).Calls(c.method)
			ctx, req := r.timeout(time.Second), c.req
			if o, ok := req.(owned); ok {
				ctx, req = attempt.NewContext(ctx, &attempt.Attempt{OwnID: true}), o.req
			}
			err := r.Conn().Invoke(ctx, c.method, req, &emptypb.Empty{})
			if n := r.cluster.Member(0).Calls(c.method) - first; n != 1 || err == nil {
				r.t.Errorf("%s: got error %v after %d calls of the first member, want an error after one", c.method, err, n)
			}
			got := traits{
				again:     r.cluster.Member(1).Calls(c.method) > second,
				doubt:     client.IsAmbiguous(err),
				anyMember: len(r.cluster.Member(0).LastMetadata(c.method).Get(rpctypes.MetadataRequireLeaderKey)) == 0,
			}
			if got != c.want {
				r.t.Errorf("%s %v: got %+v, want %+v", c.method, c.req, got, c.want)
			}
		})
	}
}
