package etcdtest_test

import (
	"context"
	"testing"

	"go.etcd.io/etcd/api/v3/authpb"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/getcd/getcd/auth"
	"github.com/getcd/getcd/etcdtest"
)

// as logs a user in.
func as(t *testing.T, conn *grpc.ClientConn, name, password string) context.Context {
	t.Helper()
	resp, err := pb.NewAuthClient(conn).Authenticate(t.Context(), &pb.AuthenticateRequest{Name: name, Password: password})
	if err != nil {
		t.Fatal(err)
	}
	return metadata.AppendToOutgoingContext(t.Context(), rpctypes.TokenFieldNameGRPC, resp.Token)
}

// guarded is a cluster with authentication on, where root may do everything and alice
// what is below a/, read below b, and write c.
func guarded(t *testing.T) (conn *grpc.ClientConn, root, alice context.Context) {
	t.Helper()
	conn = etcdtest.Start(t, 1).Conn(t)
	a := auth.New(conn)
	for _, step := range []func() error{
		func() error { _, err := a.UserAdd(t.Context(), "root", "r"); return err },
		func() error { _, err := a.UserGrantRole(t.Context(), "root", "root"); return err },
		func() error { _, err := a.UserAdd(t.Context(), "alice", "a"); return err },
		func() error { _, err := a.RoleAdd(t.Context(), "app"); return err },
		func() error {
			_, err := a.RoleGrantPermission(t.Context(), "app", "a/", "a0", auth.PermissionType(authpb.Permission_READWRITE))
			return err
		},
		func() error {
			_, err := a.RoleGrantPermission(t.Context(), "app", "b", "c", auth.PermissionType(authpb.Permission_READ))
			return err
		},
		func() error {
			_, err := a.RoleGrantPermission(t.Context(), "app", "c", "", auth.PermissionType(authpb.Permission_WRITE))
			return err
		},
		func() error {
			_, err := a.RoleGrantPermission(t.Context(), "app", "a0", "b", auth.PermissionType(authpb.Permission_READ))
			return err
		},
		func() error { _, err := a.UserGrantRole(t.Context(), "alice", "app"); return err },
		func() error { _, err := a.AuthEnable(t.Context()); return err },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	return conn, as(t, conn, "root", "r"), as(t, conn, "alice", "a")
}

func TestPermissions(t *testing.T) {
	conn, root, alice := guarded(t)
	kv := pb.NewKVClient(conn)
	put := func(key string) *pb.PutRequest { return &pb.PutRequest{Key: []byte(key)} }
	get := func(key, end string) *pb.RangeRequest {
		return &pb.RangeRequest{Key: []byte(key), RangeEnd: []byte(end)}
	}
	for _, c := range []struct {
		what string
		want error
		call func(context.Context) error
	}{
		{"a put in the range", nil, func(ctx context.Context) error { _, err := kv.Put(ctx, put("a/1")); return err }},
		{"a put outside", rpctypes.ErrGRPCPermissionDenied, func(ctx context.Context) error { _, err := kv.Put(ctx, put("z")); return err }},
		{"a put where reading is allowed", rpctypes.ErrGRPCPermissionDenied, func(ctx context.Context) error { _, err := kv.Put(ctx, put("b1")); return err }},
		{"a get where writing is allowed", rpctypes.ErrGRPCPermissionDenied, func(ctx context.Context) error { _, err := kv.Range(ctx, get("c", "")); return err }},
		{"a get of all that may be read", nil, func(ctx context.Context) error { _, err := kv.Range(ctx, get("a/", "c")); return err }},
		{"a get of more", rpctypes.ErrGRPCPermissionDenied, func(ctx context.Context) error { _, err := kv.Range(ctx, get("a/", "d")); return err }},
		{"a get of everything", rpctypes.ErrGRPCPermissionDenied, func(ctx context.Context) error { _, err := kv.Range(ctx, get("a/", "\x00")); return err }},
		{"a transaction with one put outside", rpctypes.ErrGRPCPermissionDenied, func(ctx context.Context) error {
			_, err := kv.Txn(ctx, &pb.TxnRequest{Failure: []*pb.RequestOp{{Request: &pb.RequestOp_RequestPut{RequestPut: put("z")}}}})
			return err
		}},
		{"her own user", nil, func(ctx context.Context) error {
			_, err := pb.NewAuthClient(conn).UserGet(ctx, &pb.AuthUserGetRequest{Name: "alice"})
			return err
		}},
		{"another user", rpctypes.ErrGRPCPermissionDenied, func(ctx context.Context) error {
			_, err := pb.NewAuthClient(conn).UserGet(ctx, &pb.AuthUserGetRequest{Name: "root"})
			return err
		}},
		{"a new user", rpctypes.ErrGRPCPermissionDenied, func(ctx context.Context) error {
			_, err := pb.NewAuthClient(conn).UserAdd(ctx, &pb.AuthUserAddRequest{Name: "bob", Password: "b"})
			return err
		}},
	} {
		wantErr(t, c.what+", by alice", c.call(alice), c.want)
		wantErr(t, c.what+", by root", c.call(root), nil)
	}
}

func TestUsersAndRoles(t *testing.T) {
	conn, root, alice := guarded(t)
	a := auth.New(conn)
	users, err := a.UserList(root)
	if err != nil || len(users.Users) != 2 || users.Users[0] != "alice" {
		t.Errorf("UserList: got %v, %v, want alice and root", users, err)
	}
	role, err := a.RoleGet(root, "app")
	if err != nil || len(role.Perm) != 4 || string(role.Perm[0].Key) != "a/" {
		t.Errorf("RoleGet: got %v, %v, want four permissions by their keys", role, err)
	}
	before, err := a.AuthStatus(root)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.UserGrantRole(root, "alice", "app"); err != nil {
		t.Error(err)
	}
	if after, err := a.AuthStatus(root); err != nil || after.AuthRevision != before.AuthRevision {
		t.Errorf("a role that alice has was granted again: got %v, %v, want the auth revision as before, %v", after, err, before)
	}
	if _, err := a.RoleRevokePermission(root, "app", "c", ""); err != nil {
		t.Error(err)
	}
	_, err = pb.NewKVClient(conn).Put(alice, &pb.PutRequest{Key: []byte("c")})
	wantErr(t, "what was revoked", err, rpctypes.ErrGRPCPermissionDenied)
	if _, err := a.UserChangePassword(root, "alice", "b"); err != nil {
		t.Error(err)
	}
	_, err = pb.NewKVClient(conn).Put(alice, &pb.PutRequest{Key: []byte("a/1")})
	wantErr(t, "with the token of the old password", err, rpctypes.ErrGRPCInvalidAuthToken)
	if _, err := pb.NewKVClient(conn).Put(as(t, conn, "alice", "b"), &pb.PutRequest{Key: []byte("a/1")}); err != nil {
		t.Error(err)
	}
	if _, err := a.RoleDelete(root, "app"); err != nil {
		t.Error(err)
	}
	user, err := a.UserGet(root, "alice")
	if err != nil || len(user.Roles) != 0 {
		t.Errorf("alice's roles: %v, %v; want none, her role was deleted", user, err)
	}
	status, err := a.AuthStatus(alice)
	if err == nil {
		t.Errorf("AuthStatus with an old token: %v, want an error", status)
	}
	for what, c := range map[string]struct{ err, want error }{
		"root's deletion": {second(a.UserDelete(root, "root")), rpctypes.ErrInvalidAuthMgmt},
		"no such user":    {second(a.UserDelete(root, "nobody")), rpctypes.ErrUserNotFound},
		"no such role":    {second(a.UserGrantRole(root, "alice", "nothing")), rpctypes.ErrRoleNotFound},
		"a user again":    {second(a.UserAdd(root, "alice", "x")), rpctypes.ErrUserAlreadyExist},
		"an empty range": {
			second(a.RoleGrantPermission(root, "app", "b", "a", auth.PermissionType(authpb.Permission_READ))), rpctypes.ErrInvalidAuthMgmt,
		},
		"off": {second(a.AuthDisable(root)), nil},
	} {
		if rpctypes.ErrorDesc(c.err) != rpctypes.ErrorDesc(c.want) {
			t.Errorf("%s: got %v, want %v", what, c.err, c.want)
		}
	}
}

func second[T any](_ T, err error) error { return err }
