package auth

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"go.etcd.io/etcd/api/v3/authpb"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/internal/misuse"
)

// Service is etcd's auth service. It is safe for concurrent use, starts no
// goroutine and has nothing to close. Make it with New.
type Service struct {
	rpc  pb.AuthClient
	opts []grpc.CallOption
}

var _ Auth = (*Service)(nil)

// New returns the auth service on cc. Each call uses opts.
func New(cc grpc.ClientConnInterface, opts ...grpc.CallOption) *Service {
	return &Service{rpc: pb.NewAuthClient(misuse.Conn("auth", cc)), opts: opts}
}

// Authenticate implements Auth.
func (s *Service) Authenticate(ctx context.Context, name string, password string) (*AuthenticateResponse, error) {
	resp, err := s.rpc.Authenticate(ctx, &pb.AuthenticateRequest{Name: name, Password: password}, s.opts...)
	return (*AuthenticateResponse)(resp), err
}

// AuthEnable implements Auth.
func (s *Service) AuthEnable(ctx context.Context) (*EnableResponse, error) {
	resp, err := s.rpc.AuthEnable(ctx, &pb.AuthEnableRequest{}, s.opts...)
	return (*EnableResponse)(resp), err
}

// AuthDisable implements Auth.
func (s *Service) AuthDisable(ctx context.Context) (*DisableResponse, error) {
	resp, err := s.rpc.AuthDisable(ctx, &pb.AuthDisableRequest{}, s.opts...)
	return (*DisableResponse)(resp), err
}

// AuthStatus implements Auth.
func (s *Service) AuthStatus(ctx context.Context) (*StatusResponse, error) {
	resp, err := s.rpc.AuthStatus(ctx, &pb.AuthStatusRequest{}, s.opts...)
	return (*StatusResponse)(resp), since("3.5", "AuthStatus", err)
}

// since adds the required etcd version to the error of a method that older
// servers do not have.
func since(version, call string, err error) error {
	if status.Code(err) != codes.Unimplemented {
		return err
	}
	return fmt.Errorf("auth: %s needs etcd %s or later: %w: %w", call, version, errors.ErrUnsupported, err)
}

// UserAdd implements Auth.
func (s *Service) UserAdd(ctx context.Context, name string, password string) (*UserAddResponse, error) {
	return s.UserAddWithOptions(ctx, name, password, &UserAddOptions{})
}

// UserAddWithOptions implements Auth.
func (s *Service) UserAddWithOptions(ctx context.Context, name string, password string, opt *UserAddOptions) (*UserAddResponse, error) {
	req := &pb.AuthUserAddRequest{Name: name, Password: password, Options: (*authpb.UserAddOptions)(opt)}
	resp, err := s.rpc.UserAdd(ctx, req, s.opts...)
	return (*UserAddResponse)(resp), err
}

// UserDelete implements Auth.
func (s *Service) UserDelete(ctx context.Context, name string) (*UserDeleteResponse, error) {
	resp, err := s.rpc.UserDelete(ctx, &pb.AuthUserDeleteRequest{Name: name}, s.opts...)
	return (*UserDeleteResponse)(resp), err
}

// UserChangePassword implements Auth.
func (s *Service) UserChangePassword(ctx context.Context, name string, password string) (*UserChangePasswordResponse, error) {
	if password == "" {
		return nil, errors.New("auth: UserChangePassword: the password is empty, and nobody could log in with it; give one, or delete the user")
	}
	resp, err := s.rpc.UserChangePassword(ctx, &pb.AuthUserChangePasswordRequest{Name: name, Password: password}, s.opts...)
	return (*UserChangePasswordResponse)(resp), err
}

// UserSetPasswordHash sets a user's password by its bcrypt hash, such as
// "$2a$10$…" from another cluster or a directory. The password itself is never
// sent. The server stores the hash as it is.
//
// It needs etcd 3.5 or later. An older server would ignore the field
// (AuthUserChangePasswordRequest.hashedPassword) and set an empty password, with
// which anybody could log in. Therefore it first calls AuthStatus, which was
// introduced in the same version. If the server does not have AuthStatus, the
// error is errors.ErrUnsupported and nothing is changed.
//
// A user cannot be added with a hash, because the server overwrites that field in
// UserAdd. Add the user with a random password, and then set its hash.
func (s *Service) UserSetPasswordHash(ctx context.Context, name string, hash string) (*UserChangePasswordResponse, error) {
	if err := checkHash(hash); err != nil {
		return nil, err
	}
	if _, err := s.rpc.AuthStatus(ctx, &pb.AuthStatusRequest{}, s.opts...); err != nil {
		return nil, since("3.5", "UserSetPasswordHash", err)
	}
	req := &pb.AuthUserChangePasswordRequest{Name: name, HashedPassword: base64.StdEncoding.EncodeToString([]byte(hash))}
	resp, err := s.rpc.UserChangePassword(ctx, req, s.opts...)
	return (*UserChangePasswordResponse)(resp), err
}

// checkHash refuses a string that is not a bcrypt hash (version, cost, and 53
// characters of salt and hash), since the server does not check it.
func checkHash(hash string) error {
	parts := strings.Split(hash, "$")
	if len(hash) != 60 || len(parts) != 4 || parts[0] != "" || !strings.HasPrefix(parts[1], "2") || len(parts[2]) != 2 || len(parts[3]) != 53 {
		return fmt.Errorf("auth: UserSetPasswordHash: the hash has %d characters and is not a bcrypt hash ($2a$10$ and 53 characters), so nobody could log in with it", len(hash))
	}
	return nil
}

// UserGrantRole implements Auth.
func (s *Service) UserGrantRole(ctx context.Context, user string, role string) (*UserGrantRoleResponse, error) {
	resp, err := s.rpc.UserGrantRole(ctx, &pb.AuthUserGrantRoleRequest{User: user, Role: role}, s.opts...)
	return (*UserGrantRoleResponse)(resp), err
}

// UserGet implements Auth.
func (s *Service) UserGet(ctx context.Context, name string) (*UserGetResponse, error) {
	resp, err := s.rpc.UserGet(ctx, &pb.AuthUserGetRequest{Name: name}, s.opts...)
	return (*UserGetResponse)(resp), err
}

// UserList implements Auth.
func (s *Service) UserList(ctx context.Context) (*UserListResponse, error) {
	resp, err := s.rpc.UserList(ctx, &pb.AuthUserListRequest{}, s.opts...)
	return (*UserListResponse)(resp), err
}

// UserRevokeRole implements Auth.
func (s *Service) UserRevokeRole(ctx context.Context, name string, role string) (*UserRevokeRoleResponse, error) {
	resp, err := s.rpc.UserRevokeRole(ctx, &pb.AuthUserRevokeRoleRequest{Name: name, Role: role}, s.opts...)
	return (*UserRevokeRoleResponse)(resp), err
}

// RoleAdd implements Auth.
func (s *Service) RoleAdd(ctx context.Context, name string) (*RoleAddResponse, error) {
	resp, err := s.rpc.RoleAdd(ctx, &pb.AuthRoleAddRequest{Name: name}, s.opts...)
	return (*RoleAddResponse)(resp), err
}

// RoleGrantPermission implements Auth.
func (s *Service) RoleGrantPermission(ctx context.Context, name string, key, rangeEnd string, permType PermissionType) (*RoleGrantPermissionResponse, error) {
	if _, ok := authpb.Permission_Type_name[int32(permType)]; !ok {
		return nil, fmt.Errorf("auth: RoleGrantPermission: there is no permission type %d; use PermRead, PermWrite or PermReadWrite", permType)
	}
	req := &pb.AuthRoleGrantPermissionRequest{Name: name, Perm: &authpb.Permission{
		PermType: authpb.Permission_Type(permType),
		Key:      []byte(key),
		RangeEnd: []byte(rangeEnd),
	}}
	resp, err := s.rpc.RoleGrantPermission(ctx, req, s.opts...)
	return (*RoleGrantPermissionResponse)(resp), err
}

// RoleGet implements Auth.
func (s *Service) RoleGet(ctx context.Context, role string) (*RoleGetResponse, error) {
	resp, err := s.rpc.RoleGet(ctx, &pb.AuthRoleGetRequest{Role: role}, s.opts...)
	return (*RoleGetResponse)(resp), err
}

// RoleList implements Auth.
func (s *Service) RoleList(ctx context.Context) (*RoleListResponse, error) {
	resp, err := s.rpc.RoleList(ctx, &pb.AuthRoleListRequest{}, s.opts...)
	return (*RoleListResponse)(resp), err
}

// RoleRevokePermission implements Auth.
func (s *Service) RoleRevokePermission(ctx context.Context, role string, key, rangeEnd string) (*RoleRevokePermissionResponse, error) {
	req := &pb.AuthRoleRevokePermissionRequest{Role: role, Key: []byte(key), RangeEnd: []byte(rangeEnd)}
	resp, err := s.rpc.RoleRevokePermission(ctx, req, s.opts...)
	return (*RoleRevokePermissionResponse)(resp), err
}

// RoleDelete implements Auth.
func (s *Service) RoleDelete(ctx context.Context, role string) (*RoleDeleteResponse, error) {
	resp, err := s.rpc.RoleDelete(ctx, &pb.AuthRoleDeleteRequest{Role: role}, s.opts...)
	return (*RoleDeleteResponse)(resp), err
}
