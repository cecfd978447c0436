package namespace

import (
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// hasKeys lists every method of etcd 3.7 and tells whether its requests have keys. A method
// that is not listed is refused: it might have keys, and so reach keys of others.
var hasKeys = map[string]bool{
	pb.KV_Range_FullMethodName: true, pb.KV_RangeStream_FullMethodName: true,
	pb.KV_Put_FullMethodName: true, pb.KV_DeleteRange_FullMethodName: true,
	pb.KV_Txn_FullMethodName: true, pb.KV_Compact_FullMethodName: false,

	pb.Watch_Watch_FullMethodName: true,

	pb.Lease_LeaseGrant_FullMethodName: false, pb.Lease_LeaseRevoke_FullMethodName: false,
	pb.Lease_LeaseKeepAlive_FullMethodName: false, pb.Lease_LeaseLeases_FullMethodName: false,
	pb.Lease_LeaseTimeToLive_FullMethodName: false, // its response has

	v3lockpb.Lock_Lock_FullMethodName: true, v3lockpb.Lock_Unlock_FullMethodName: true,

	v3electionpb.Election_Campaign_FullMethodName: true, v3electionpb.Election_Proclaim_FullMethodName: true,
	v3electionpb.Election_Leader_FullMethodName: true, v3electionpb.Election_Observe_FullMethodName: true,
	v3electionpb.Election_Resign_FullMethodName: true,

	pb.Cluster_MemberAdd_FullMethodName: false, pb.Cluster_MemberRemove_FullMethodName: false,
	pb.Cluster_MemberUpdate_FullMethodName: false, pb.Cluster_MemberList_FullMethodName: false,
	pb.Cluster_MemberPromote_FullMethodName: false,

	pb.Maintenance_Alarm_FullMethodName: false, pb.Maintenance_Status_FullMethodName: false,
	pb.Maintenance_Defragment_FullMethodName: false, pb.Maintenance_Hash_FullMethodName: false,
	pb.Maintenance_HashKV_FullMethodName: false, pb.Maintenance_Snapshot_FullMethodName: false,
	pb.Maintenance_MoveLeader_FullMethodName: false, pb.Maintenance_Downgrade_FullMethodName: false,

	pb.Auth_AuthEnable_FullMethodName: false, pb.Auth_AuthDisable_FullMethodName: false,
	pb.Auth_AuthStatus_FullMethodName: false, pb.Auth_Authenticate_FullMethodName: false,
	pb.Auth_UserAdd_FullMethodName: false, pb.Auth_UserGet_FullMethodName: false,
	pb.Auth_UserList_FullMethodName: false, pb.Auth_UserDelete_FullMethodName: false,
	pb.Auth_UserChangePassword_FullMethodName: false, pb.Auth_UserGrantRole_FullMethodName: false,
	pb.Auth_UserRevokeRole_FullMethodName: false, pb.Auth_RoleAdd_FullMethodName: false,
	pb.Auth_RoleGet_FullMethodName:  false, // its response has
	pb.Auth_RoleList_FullMethodName: false, pb.Auth_RoleDelete_FullMethodName: false,
	pb.Auth_RoleGrantPermission_FullMethodName: true, pb.Auth_RoleRevokePermission_FullMethodName: true,

	grpc_health_v1.Health_Check_FullMethodName: false, grpc_health_v1.Health_Watch_FullMethodName: false,
	grpc_health_v1.Health_List_FullMethodName: false,
}

// errUnknown has the code of a server that does not have the method.
func errUnknown(method string) error {
	return status.Errorf(codes.Unimplemented, "namespace: %s is not a method of etcd 3.7: it might have keys, which would get no prefix; call it on a connection without the namespace", method)
}

// errMessage refuses a request whose keys cannot be found.
func errMessage(method string, m any) error {
	return status.Errorf(codes.InvalidArgument, "namespace: %s was given a %T, whose keys cannot be prefixed; use the request type of etcd's own package", method, m)
}
