package clientv3

import (
	"context"

	"go.etcd.io/etcd/api/v3/authpb"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/auth"
	"github.com/getcd/getcd/clientv3/internal/bare"
	"github.com/getcd/getcd/cluster"
	"github.com/getcd/getcd/maintenance"
)

// These types are package auth's; see there.
type (
	// Auth is etcd's auth service.
	Auth = auth.Auth
	// AuthDisableResponse is the answer to AuthDisable.
	AuthDisableResponse = auth.DisableResponse
	// AuthEnableResponse is the answer to AuthEnable.
	AuthEnableResponse = auth.EnableResponse
	// AuthRoleAddResponse is the answer to RoleAdd.
	AuthRoleAddResponse = auth.RoleAddResponse
	// AuthRoleDeleteResponse is the answer to RoleDelete.
	AuthRoleDeleteResponse = auth.RoleDeleteResponse
	// AuthRoleGetResponse is the answer to RoleGet.
	AuthRoleGetResponse = auth.RoleGetResponse
	// AuthRoleGrantPermissionResponse is the answer to RoleGrantPermission.
	AuthRoleGrantPermissionResponse = auth.RoleGrantPermissionResponse
	// AuthRoleListResponse is the answer to RoleList.
	AuthRoleListResponse = auth.RoleListResponse
	// AuthRoleRevokePermissionResponse is the answer to RoleRevokePermission.
	AuthRoleRevokePermissionResponse = auth.RoleRevokePermissionResponse
	// AuthStatusResponse is the answer to AuthStatus.
	AuthStatusResponse = auth.StatusResponse
	// AuthUserAddResponse is the answer to UserAdd.
	AuthUserAddResponse = auth.UserAddResponse
	// AuthUserChangePasswordResponse is the answer to UserChangePassword.
	AuthUserChangePasswordResponse = auth.UserChangePasswordResponse
	// AuthUserDeleteResponse is the answer to UserDelete.
	AuthUserDeleteResponse = auth.UserDeleteResponse
	// AuthUserGetResponse is the answer to UserGet.
	AuthUserGetResponse = auth.UserGetResponse
	// AuthUserGrantRoleResponse is the answer to UserGrantRole.
	AuthUserGrantRoleResponse = auth.UserGrantRoleResponse
	// AuthUserListResponse is the answer to UserList.
	AuthUserListResponse = auth.UserListResponse
	// AuthUserRevokeRoleResponse is the answer to UserRevokeRole.
	AuthUserRevokeRoleResponse = auth.UserRevokeRoleResponse
	// AuthenticateResponse is the answer to Authenticate.
	AuthenticateResponse = auth.AuthenticateResponse
	// Permission is what a role may do with a range of keys.
	Permission = auth.Permission
	// PermissionType says what a permission allows.
	PermissionType = auth.PermissionType
	// UserAddOptions are the options of UserAddWithOptions.
	UserAddOptions = auth.UserAddOptions
)

// The types of permissions.
const (
	PermRead      = authpb.Permission_READ
	PermWrite     = authpb.Permission_WRITE
	PermReadWrite = authpb.Permission_READWRITE
)

// StrToPermissionType parses "read", "write" or "readwrite".
func StrToPermissionType(s string) (PermissionType, error) { return auth.ParsePermissionType(s) }

// NewAuth returns the auth service on the client's connection.
func NewAuth(c *Client) Auth { return auth.New(plainConn{c.conn()}) }

// NewAuthFromAuthClient returns the auth service on a generated stub. With a
// client, which may be nil, calls wait for a member as its own do.
func NewAuthFromAuthClient(remote pb.AuthClient, c *Client) Auth {
	return auth.New(plainConn{stub{auth: remote, client: c}})
}

// These types are package cluster's; see there.
type (
	// Cluster is etcd's cluster service.
	Cluster = cluster.Cluster
	// Member is a member of the cluster.
	Member = cluster.Member
	// MemberAddResponse is the answer to MemberAdd.
	MemberAddResponse = cluster.MemberAddResponse
	// MemberListResponse is the answer to MemberList.
	MemberListResponse = cluster.MemberListResponse
	// MemberPromoteResponse is the answer to MemberPromote.
	MemberPromoteResponse = cluster.MemberPromoteResponse
	// MemberRemoveResponse is the answer to MemberRemove.
	MemberRemoveResponse = cluster.MemberRemoveResponse
	// MemberUpdateResponse is the answer to MemberUpdate.
	MemberUpdateResponse = cluster.MemberUpdateResponse
)

// NewCluster returns the cluster service on the client's connection.
func NewCluster(c *Client) Cluster { return cluster.New(plainConn{c.conn()}) }

// NewClusterFromClusterClient returns the cluster service on a generated stub.
// With a client, which may be nil, calls wait for a member as its own do.
func NewClusterFromClusterClient(remote pb.ClusterClient, c *Client) Cluster {
	return cluster.New(plainConn{stub{cluster: remote, client: c}})
}

// These types are package maintenance's; see there.
type (
	// Maintenance is etcd's maintenance service.
	Maintenance = maintenance.Maintenance
	// AlarmMember is an alarm, and the member that raised it.
	AlarmMember = maintenance.AlarmMember
	// AlarmResponse is the answer to AlarmList and AlarmDisarm.
	AlarmResponse = maintenance.AlarmResponse
	// DefragmentResponse is the answer to Defragment.
	DefragmentResponse = maintenance.DefragmentResponse
	// DowngradeAction says what Downgrade does.
	DowngradeAction = maintenance.DowngradeAction
	// DowngradeResponse is the answer to Downgrade.
	DowngradeResponse = maintenance.DowngradeResponse
	// HashKVResponse is the answer to HashKV.
	HashKVResponse = maintenance.HashKVResponse
	// MoveLeaderResponse is the answer to MoveLeader.
	MoveLeaderResponse = maintenance.MoveLeaderResponse
	// SnapshotResponse is a snapshot that has started.
	SnapshotResponse = maintenance.SnapshotResponse
	// StatusResponse is the answer to Status.
	StatusResponse = maintenance.StatusResponse
)

// The actions of Downgrade.
const (
	DowngradeValidate = maintenance.DowngradeValidate
	DowngradeEnable   = maintenance.DowngradeEnable
	DowngradeCancel   = maintenance.DowngradeCancel
)

// NewMaintenance returns the maintenance service on the client's connection. A
// call that names an endpoint uses a separate connection to it.
func NewMaintenance(c *Client) Maintenance {
	return upkeep{maintenance.New(plainConn{c.conn()}, maintenance.WithEndpointDialer(c.dialEndpoint))}
}

// NewMaintenanceFromMaintenanceClient returns the maintenance service on a
// generated stub, which handles calls for every endpoint. With a client, which
// may be nil, calls wait for a member as its own do.
func NewMaintenanceFromMaintenanceClient(remote pb.MaintenanceClient, c *Client) Maintenance {
	cc := plainConn{stub{maintenance: remote, client: c}}
	return upkeep{maintenance.New(cc, maintenance.WithEndpointDialer(
		func(context.Context, string) (grpc.ClientConnInterface, func() error, error) { return cc, nil, nil }))}
}

// upkeep is the maintenance service with clientv3's errors.
type upkeep struct{ *maintenance.Service }

// AlarmDisarm returns the error of the request that failed, without the words of package
// maintenance around it.
func (u upkeep) AlarmDisarm(ctx context.Context, m *AlarmMember) (*AlarmResponse, error) {
	resp, err := u.Service.AlarmDisarm(ctx, m)
	return resp, bare.Error(err)
}

// retrying returns the connection of generated stubs that retry. Their calls are no
// wait-for-ready calls unless they say so.
func (c *Client) retrying() grpc.ClientConnInterface {
	if c == nil || c.native == nil {
		return statusConn{unconnected{}}
	}
	return rawConn{statusConn{c.guard()}, c.native, true}
}

// RetryAuthClient returns a generated stub that retries requests that may be
// repeated.
func RetryAuthClient(c *Client) pb.AuthClient { return pb.NewAuthClient(c.retrying()) }

// RetryClusterClient returns a generated stub that retries requests that may be
// repeated.
func RetryClusterClient(c *Client) pb.ClusterClient { return pb.NewClusterClient(c.retrying()) }

// RetryKVClient returns a generated stub that retries requests that may be
// repeated.
func RetryKVClient(c *Client) pb.KVClient { return pb.NewKVClient(c.retrying()) }

// RetryLeaseClient returns a generated stub that retries requests that may be
// repeated.
func RetryLeaseClient(c *Client) pb.LeaseClient { return pb.NewLeaseClient(c.retrying()) }

// RetryMaintenanceClient returns a generated stub on conn. If conn comes from
// ActiveConnection or Dial, requests that no member has answered are retried if
// they may be repeated.
func RetryMaintenanceClient(_ *Client, conn *grpc.ClientConn) pb.MaintenanceClient {
	return pb.NewMaintenanceClient(conn)
}
