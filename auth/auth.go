package auth

import (
	"context"

	"go.etcd.io/etcd/api/v3/authpb"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// The responses are the protocol's messages. If the comment names no field, the
// response has only a header.
type (
	// EnableResponse is the answer to AuthEnable.
	EnableResponse pb.AuthEnableResponse
	// DisableResponse is the answer to AuthDisable.
	DisableResponse pb.AuthDisableResponse
	// StatusResponse has Enabled and AuthRevision. Every change to users, roles
	// or permissions raises AuthRevision.
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
	// UserAddOptions has NoPassword: the user has no password and can log in only
	// with a client certificate whose common name is the user's name.
	UserAddOptions authpb.UserAddOptions
)

// Auth is etcd's auth service. It is safe for concurrent use.
//
// While authentication is enabled, most calls need the role root; without it they
// return rpctypes.ErrPermissionDenied. The exceptions are Authenticate,
// AuthStatus, and a user's queries about itself and its own roles.
type Auth interface {
	// Authenticate exchanges a user's name and password for a token. It returns
	// rpctypes.ErrAuthFailed for a wrong password and for an unknown user alike.
	Authenticate(ctx context.Context, name string, password string) (*AuthenticateResponse, error)

	// AuthEnable turns on enforcement of permissions. It returns
	// rpctypes.ErrRootUserNotExist if there is no user root, and
	// rpctypes.ErrRootRoleNotExist if that user does not have the role root.
	AuthEnable(ctx context.Context) (*EnableResponse, error)

	// AuthDisable turns enforcement off. Users, roles and permissions are kept.
	AuthDisable(ctx context.Context) (*DisableResponse, error)

	// AuthStatus reports whether permissions are enforced. It needs etcd 3.5 or
	// later.
	AuthStatus(ctx context.Context) (*StatusResponse, error)

	// UserAdd adds a user with a password. It returns
	// rpctypes.ErrUserAlreadyExist if the user exists, and rpctypes.ErrUserEmpty
	// for an empty name.
	UserAdd(ctx context.Context, name string, password string) (*UserAddResponse, error)

	// UserAddWithOptions is UserAdd with options. With NoPassword, the password
	// is ignored.
	UserAddWithOptions(ctx context.Context, name string, password string, opt *UserAddOptions) (*UserAddResponse, error)

	// UserDelete removes a user and invalidates its tokens. It returns
	// rpctypes.ErrUserNotFound if there is no such user.
	UserDelete(ctx context.Context, name string) (*UserDeleteResponse, error)

	// UserChangePassword changes a user's password and invalidates its tokens. An
	// empty password is refused here, because the server would store it as an
	// empty hash, and nobody could log in with that. For a user without a
	// password the call changes nothing.
	UserChangePassword(ctx context.Context, name string, password string) (*UserChangePasswordResponse, error)

	// UserGrantRole gives a user a role. It is no error if the user already has
	// it. It returns rpctypes.ErrUserNotFound or rpctypes.ErrRoleNotFound if
	// there is no such user or role.
	UserGrantRole(ctx context.Context, user string, role string) (*UserGrantRoleResponse, error)

	// UserGet returns a user's roles.
	UserGet(ctx context.Context, name string) (*UserGetResponse, error)

	// UserList lists the users.
	UserList(ctx context.Context) (*UserListResponse, error)

	// UserRevokeRole takes a role away from a user. It returns
	// rpctypes.ErrRoleNotGranted if the user does not have the role.
	UserRevokeRole(ctx context.Context, name string, role string) (*UserRevokeRoleResponse, error)

	// RoleAdd adds a role without permissions. It returns
	// rpctypes.ErrRoleAlreadyExist if the role exists.
	RoleAdd(ctx context.Context, name string) (*RoleAddResponse, error)

	// RoleGrantPermission lets a role read or write key, or the range [key,
	// rangeEnd). It replaces a permission for the same range. It returns
	// rpctypes.ErrInvalidAuthMgmt for an empty key and for a range that ends
	// before it begins.
	RoleGrantPermission(ctx context.Context, name string, key, rangeEnd string, permType PermissionType) (*RoleGrantPermissionResponse, error)

	// RoleGet returns a role's permissions.
	RoleGet(ctx context.Context, role string) (*RoleGetResponse, error)

	// RoleList lists the roles.
	RoleList(ctx context.Context) (*RoleListResponse, error)

	// RoleRevokePermission takes away the permission for exactly that range. It
	// returns rpctypes.ErrPermissionNotGranted if the role does not have it.
	RoleRevokePermission(ctx context.Context, role string, key, rangeEnd string) (*RoleRevokePermissionResponse, error)

	// RoleDelete removes a role, and takes it away from all users.
	RoleDelete(ctx context.Context, role string) (*RoleDeleteResponse, error)
}
