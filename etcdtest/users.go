package etcdtest

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"

	"go.etcd.io/etcd/api/v3/authpb"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

// This file follows etcd's server/auth/store.go. Whether the caller may do these things is
// permit's business.

// change is accounts for a request that changes users or roles, and so makes a new
// revision of them.
func (as *authServer) change(ctx context.Context, do func(*accounts) error) (*pb.ResponseHeader, error) {
	return as.accounts(ctx, func(a *accounts) error {
		switch err := do(a); {
		case errors.Is(err, errUnchanged):
			return nil
		case err != nil:
			return err
		}
		a.revision++
		return nil
	})
}

// errUnchanged is the error of a change that had nothing to change.
var errUnchanged = errors.New("nothing has changed")

// UserAdd also accepts a hashed password, but nobody can log in with it.
func (as *authServer) UserAdd(ctx context.Context, r *pb.AuthUserAddRequest) (*pb.AuthUserAddResponse, error) {
	h, err := as.change(ctx, func(a *accounts) error {
		switch {
		case r.Name == "":
			return rpctypes.ErrGRPCUserEmpty
		case a.users[r.Name] != nil:
			return rpctypes.ErrGRPCUserAlreadyExist
		}
		a.users[r.Name] = &user{password: r.Password, hashed: r.HashedPassword != "", noPassword: r.Options.GetNoPassword()}
		return nil
	})
	return &pb.AuthUserAddResponse{Header: h}, err
}

func (as *authServer) UserDelete(ctx context.Context, r *pb.AuthUserDeleteRequest) (*pb.AuthUserDeleteResponse, error) {
	h, err := as.change(ctx, func(a *accounts) error {
		switch {
		case a.enabled && r.Name == root:
			return rpctypes.ErrGRPCInvalidAuthMgmt
		case a.users[r.Name] == nil:
			return rpctypes.ErrGRPCUserNotFound
		}
		delete(a.users, r.Name)
		a.forget(r.Name)
		return nil
	})
	return &pb.AuthUserDeleteResponse{Header: h}, err
}

func (as *authServer) UserChangePassword(ctx context.Context, r *pb.AuthUserChangePasswordRequest) (*pb.AuthUserChangePasswordResponse, error) {
	h, err := as.change(ctx, func(a *accounts) error {
		u := a.users[r.Name]
		if u == nil {
			return rpctypes.ErrGRPCUserNotFound
		}
		u.password = r.Password
		u.hashed = r.HashedPassword != ""
		a.forget(r.Name)
		return nil
	})
	return &pb.AuthUserChangePasswordResponse{Header: h}, err
}

func (as *authServer) UserGet(ctx context.Context, r *pb.AuthUserGetRequest) (*pb.AuthUserGetResponse, error) {
	resp := &pb.AuthUserGetResponse{}
	h, err := as.accounts(ctx, func(a *accounts) error {
		u := a.users[r.Name]
		if u == nil {
			return rpctypes.ErrGRPCUserNotFound
		}
		resp.Roles = slices.Clone(u.roles)
		return nil
	})
	resp.Header = h
	return resp, err
}

func (as *authServer) UserList(ctx context.Context, _ *pb.AuthUserListRequest) (*pb.AuthUserListResponse, error) {
	resp := &pb.AuthUserListResponse{}
	h, err := as.accounts(ctx, func(a *accounts) error {
		resp.Users = slices.Sorted(maps.Keys(a.users))
		return nil
	})
	resp.Header = h
	return resp, err
}

func (as *authServer) UserGrantRole(ctx context.Context, r *pb.AuthUserGrantRoleRequest) (*pb.AuthUserGrantRoleResponse, error) {
	h, err := as.change(ctx, func(a *accounts) error {
		u := a.users[r.User]
		if u == nil {
			return rpctypes.ErrGRPCUserNotFound
		}
		if _, ok := a.roles[r.Role]; !ok && r.Role != root {
			return rpctypes.ErrGRPCRoleNotFound
		}
		if slices.Contains(u.roles, r.Role) {
			return errUnchanged
		}
		u.roles = append(u.roles, r.Role)
		slices.Sort(u.roles)
		return nil
	})
	return &pb.AuthUserGrantRoleResponse{Header: h}, err
}

func (as *authServer) UserRevokeRole(ctx context.Context, r *pb.AuthUserRevokeRoleRequest) (*pb.AuthUserRevokeRoleResponse, error) {
	h, err := as.change(ctx, func(a *accounts) error {
		u := a.users[r.Name]
		switch {
		case a.enabled && r.Name == root && r.Role == root:
			return rpctypes.ErrGRPCInvalidAuthMgmt
		case u == nil:
			return rpctypes.ErrGRPCUserNotFound
		case !slices.Contains(u.roles, r.Role):
			return rpctypes.ErrGRPCRoleNotGranted
		}
		u.roles = slices.DeleteFunc(u.roles, func(role string) bool { return role == r.Role })
		return nil
	})
	return &pb.AuthUserRevokeRoleResponse{Header: h}, err
}

func (as *authServer) RoleAdd(ctx context.Context, r *pb.AuthRoleAddRequest) (*pb.AuthRoleAddResponse, error) {
	h, err := as.change(ctx, func(a *accounts) error {
		if r.Name == "" {
			return rpctypes.ErrGRPCRoleEmpty
		}
		if _, ok := a.roles[r.Name]; ok {
			return rpctypes.ErrGRPCRoleAlreadyExist
		}
		a.roles[r.Name] = nil
		return nil
	})
	return &pb.AuthRoleAddResponse{Header: h}, err
}

func (as *authServer) RoleDelete(ctx context.Context, r *pb.AuthRoleDeleteRequest) (*pb.AuthRoleDeleteResponse, error) {
	h, err := as.change(ctx, func(a *accounts) error {
		if a.enabled && r.Role == root {
			return rpctypes.ErrGRPCInvalidAuthMgmt
		}
		if _, ok := a.roles[r.Role]; !ok {
			return rpctypes.ErrGRPCRoleNotFound
		}
		delete(a.roles, r.Role)
		for _, u := range a.users {
			u.roles = slices.DeleteFunc(u.roles, func(role string) bool { return role == r.Role })
		}
		return nil
	})
	return &pb.AuthRoleDeleteResponse{Header: h}, err
}

func (as *authServer) RoleGet(ctx context.Context, r *pb.AuthRoleGetRequest) (*pb.AuthRoleGetResponse, error) {
	resp := &pb.AuthRoleGetResponse{}
	h, err := as.accounts(ctx, func(a *accounts) error {
		perms, ok := a.roles[r.Role]
		switch {
		case !ok:
			return rpctypes.ErrGRPCRoleNotFound
		case r.Role == root:
			perms = []*authpb.Permission{{PermType: authpb.Permission_READWRITE, Key: []byte{}, RangeEnd: []byte{0}}}
		}
		resp.Perm = slices.Clone(perms) // permissions are never changed
		return nil
	})
	resp.Header = h
	return resp, err
}

func (as *authServer) RoleList(ctx context.Context, _ *pb.AuthRoleListRequest) (*pb.AuthRoleListResponse, error) {
	resp := &pb.AuthRoleListResponse{}
	h, err := as.accounts(ctx, func(a *accounts) error {
		resp.Roles = slices.Sorted(maps.Keys(a.roles))
		return nil
	})
	resp.Header = h
	return resp, err
}

func (as *authServer) RoleGrantPermission(ctx context.Context, r *pb.AuthRoleGrantPermissionRequest) (*pb.AuthRoleGrantPermissionResponse, error) {
	h, err := as.change(ctx, func(a *accounts) error {
		if r.Perm == nil {
			return rpctypes.ErrGRPCPermissionNotGiven
		}
		given := keyRange{r.Perm.Key, r.Perm.RangeEnd}
		if len(given.key) == 0 || !given.single() && !given.unbounded() && bytes.Compare(given.key, given.end) >= 0 {
			return rpctypes.ErrGRPCInvalidAuthMgmt
		}
		perms, ok := a.roles[r.Name]
		if !ok {
			return rpctypes.ErrGRPCRoleNotFound
		}
		perms = append(without(perms, given.key, given.end), r.Perm)
		slices.SortStableFunc(perms, func(x, y *authpb.Permission) int { return bytes.Compare(x.Key, y.Key) })
		a.roles[r.Name] = perms
		return nil
	})
	return &pb.AuthRoleGrantPermissionResponse{Header: h}, err
}

func (as *authServer) RoleRevokePermission(ctx context.Context, r *pb.AuthRoleRevokePermissionRequest) (*pb.AuthRoleRevokePermissionResponse, error) {
	h, err := as.change(ctx, func(a *accounts) error {
		perms, ok := a.roles[r.Role]
		if !ok {
			return rpctypes.ErrGRPCRoleNotFound
		}
		left := without(perms, r.Key, r.RangeEnd)
		if len(left) == len(perms) {
			return rpctypes.ErrGRPCPermissionNotGranted
		}
		a.roles[r.Role] = left
		return nil
	})
	return &pb.AuthRoleRevokePermissionResponse{Header: h}, err
}

// without returns perms, except the permission for exactly that range.
func without(perms []*authpb.Permission, key, end []byte) []*authpb.Permission {
	return slices.DeleteFunc(slices.Clone(perms), func(p *authpb.Permission) bool {
		return bytes.Equal(p.Key, key) && bytes.Equal(p.RangeEnd, end)
	})
}
