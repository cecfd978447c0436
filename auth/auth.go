package auth

import (
	"context"

	"go.etcd.io/etcd/api/v3/authpb"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// The responses are the protocol's messages. Where nothing is said of one, it has
// the header alone.
type (
	// EnableResponse is the answer to AuthEnable.
	EnableResponse pb.AuthEnableResponse
	// DisableResponse is the answer to AuthDisable.
	DisableResponse pb.AuthDisableResponse
	// StatusResponse has Enabled, and AuthRevision, which every change of users,
	// roles and permissions raises.
	StatusResponse pb.AuthStatusResponse
	// AuthenticateResponse has Token.
	AuthenticateResponse pb.AuthenticateResponse
	// UserAddResponse is the answer to UserAdd and UserAddWithOptions.
	UserAddResponse pb.AuthUserAddResponse
	// UserDeleteResponse is the answer to UserDelete.
	UserDeleteResponse pb.AuthUserDeleteResponse
	// UserChangePasswordResponse is the answer to UserChangePassword.
	UserChangePasswordResponse pb.AuthUserChangePasswordResponse
	// UserGrantRoleResponse is the answer to UserGrantRole.
	UserGrantRoleResponse pb.AuthUserGrantRoleResponse
	// UserGetResponse has Roles, by name.
	UserGetResponse pb.AuthUserGetResponse
	// UserRevokeRoleResponse is the answer to UserRevokeRole.
	UserRevokeRoleResponse pb.AuthUserRevokeRoleResponse
	// UserListResponse has Users, by name.
	UserListResponse pb.AuthUserListResponse
	// RoleAddResponse is the answer to RoleAdd.
	RoleAddResponse pb.AuthRoleAddResponse
	// RoleGrantPermissionResponse is the answer to RoleGrantPermission.
	RoleGrantPermissionResponse pb.AuthRoleGrantPermissionResponse
	// RoleGetResponse has Perm, the role's permissions.
	RoleGetResponse pb.AuthRoleGetResponse
	// RoleRevokePermissionResponse is the answer to RoleRevokePermission.
	RoleRevokePermissionResponse pb.AuthRoleRevokePermissionResponse
	// RoleDeleteResponse is the answer to RoleDelete.
	RoleDeleteResponse pb.AuthRoleDeleteResponse
	// RoleListResponse has Roles, by name.
	RoleListResponse pb.AuthRoleListResponse

	// Permission has PermType, Key and RangeEnd.
	Permission authpb.Permission
	// UserAddOptions has NoPassword: the user has none, and is one by a client
	// certificate with its name alone.
	UserAddOptions authpb.UserAddOptions
)

// Auth is etcd's auth service. It is safe for concurrent use.
//
// While authentication is enabled every call but Authenticate, AuthStatus, and a
// user's questions about itself and its roles, needs the role root, or it is
// rpctypes.ErrPermissionDenied.
type Auth interface {
	// Authenticate exchanges a user's password for a token. A wrong password and
	// a user that does not exist are both rpctypes.ErrAuthFailed.
	Authenticate(ctx context.Context, name string, password string) (*AuthenticateResponse, error)

	// AuthEnable has the permissions enforced from now on. Without a user root
	// it is rpctypes.ErrRootUserNotExist, and rpctypes.ErrRootRoleNotExist
	// when that user does not have the role root.
	AuthEnable(ctx context.Context) (*EnableResponse, error)

	// AuthDisable ends that. Users, roles and permissions stay.
	AuthDisable(ctx context.Context) (*DisableResponse, error)

	// AuthStatus tells whether permissions are enforced. It needs etcd 3.5 or
	// later.
	AuthStatus(ctx context.Context) (*StatusResponse, error)

	// UserAdd adds a user with a password. One that exists is
	// rpctypes.ErrUserAlreadyExist, an empty name rpctypes.ErrUserEmpty.
	UserAdd(ctx context.Context, name string, password string) (*UserAddResponse, error)

	// UserAddWithOptions is UserAdd with options. With NoPassword the password is
	// not used.
	UserAddWithOptions(ctx context.Context, name string, password string, opt *UserAddOptions) (*UserAddResponse, error)

	// UserDelete removes a user, whose tokens end with it. One that there is not
	// is rpctypes.ErrUserNotFound.
	UserDelete(ctx context.Context, name string) (*UserDeleteResponse, error)

	// UserChangePassword gives a user another password and ends its tokens. An
	// empty one is refused here: the server would take it for a hash of no
	// length, with which nobody can log in any more. For a user that was made
	// without a password it changes nothing.
	UserChangePassword(ctx context.Context, name string, password string) (*UserChangePasswordResponse, error)

	// UserGrantRole gives a user a role. A user that has it already is no error;
	// one that there is not is rpctypes.ErrUserNotFound, and such a role
	// rpctypes.ErrRoleNotFound.
	UserGrantRole(ctx context.Context, user string, role string) (*UserGrantRoleResponse, error)

	// UserGet tells a user's roles.
	UserGet(ctx context.Context, name string) (*UserGetResponse, error)

	// UserList lists the users.
	UserList(ctx context.Context) (*UserListResponse, error)

	// UserRevokeRole takes a role from a user. A user that does not have it is
	// rpctypes.ErrRoleNotGranted.
	UserRevokeRole(ctx context.Context, name string, role string) (*UserRevokeRoleResponse, error)

	// RoleAdd adds a role, which may nothing yet. One that exists is
	// rpctypes.ErrRoleAlreadyExist.
	RoleAdd(ctx context.Context, name string) (*RoleAddResponse, error)

	// RoleGrantPermission lets a role read or write key, or [key, rangeEnd). A
	// permission for the same range is replaced. An empty key, or a range that
	// ends before it begins, is rpctypes.ErrInvalidAuthMgmt.
	RoleGrantPermission(ctx context.Context, name string, key, rangeEnd string, permType PermissionType) (*RoleGrantPermissionResponse, error)

	// RoleGet tells a role's permissions.
	RoleGet(ctx context.Context, role string) (*RoleGetResponse, error)

	// RoleList lists the roles.
	RoleList(ctx context.Context) (*RoleListResponse, error)

	// RoleRevokePermission takes away the permission for just that range. One
	// that the role does not have is rpctypes.ErrPermissionNotGranted.
	RoleRevokePermission(ctx context.Context, role string, key, rangeEnd string) (*RoleRevokePermissionResponse, error)

	// RoleDelete removes a role, from all users too.
	RoleDelete(ctx context.Context, role string) (*RoleDeleteResponse, error)
}
