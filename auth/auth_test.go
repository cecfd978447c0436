package auth_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/etcd/api/v3/authpb"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/getcd/getcd/auth"
	"github.com/getcd/getcd/etcdtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// recorder is a connection that keeps the request and answers with a header, or
// with err.
type recorder struct {
	grpc.ClientConnInterface

	method string
	req    proto.Message
	opts   int
	err    error
}

var header = &pb.ResponseHeader{ClusterId: 1, MemberId: 2, RaftTerm: 3}

func (r *recorder) Invoke(_ context.Context, method string, req, reply any, opts ...grpc.CallOption) error {
	r.method = method
	r.req = req.(proto.Message)
	r.opts = len(opts)
	msg := reply.(proto.Message).ProtoReflect()
	msg.Set(msg.Descriptor().Fields().ByName("header"), protoreflect.ValueOfMessage(header.ProtoReflect()))
	return r.err
}

// hash is a bcrypt hash of "secret".
const hash = "$2a$04$LTkmPdO.hhYdTaHTYIUmeuyy1Ze1BVVt3vVnR9jXz8jZ0XxHmAXTS"

func TestRequests(t *testing.T) {
	for _, tc := range []struct {
		name   string
		call   func(context.Context, *auth.Service) (*pb.ResponseHeader, error)
		method string
		want   proto.Message
	}{
		{"Authenticate", func(ctx context.Context, s *auth.Service) (*pb.ResponseHeader, error) {
			r, err := s.Authenticate(ctx, "alice", "secret")
			return (*pb.AuthenticateResponse)(r).GetHeader(), err
		}, pb.Auth_Authenticate_FullMethodName, &pb.AuthenticateRequest{Name: "alice", Password: "secret"}},
		{"AuthEnable", func(ctx context.Context, s *auth.Service) (*pb.ResponseHeader, error) {
			r, err := s.AuthEnable(ctx)
			return (*pb.AuthEnableResponse)(r).GetHeader(), err
		}, pb.Auth_AuthEnable_FullMethodName, &pb.AuthEnableRequest{}},
		{"AuthDisable", func(ctx context.Context, s *auth.Service) (*pb.ResponseHeader, error) {
			r, err := s.AuthDisable(ctx)
			return (*pb.AuthDisableResponse)(r).GetHeader(), err
		}, pb.Auth_AuthDisable_FullMethodName, &pb.AuthDisableRequest{}},
		{"AuthStatus", func(ctx context.Context, s *auth.Service) (*pb.ResponseHeader, error) {
			r, err := s.AuthStatus(ctx)
			return (*pb.AuthStatusResponse)(r).GetHeader(), err
		}, pb.Auth_AuthStatus_FullMethodName, &pb.AuthStatusRequest{}},
		{"UserAdd", func(ctx context.Context, s *auth.Service) (*pb.ResponseHeader, error) {
			r, err := s.UserAdd(ctx, "alice", "secret")
			return (*pb.AuthUserAddResponse)(r).GetHeader(), err
		}, pb.Auth_UserAdd_FullMethodName, &pb.AuthUserAddRequest{Name: "alice", Password: "secret", Options: &authpb.UserAddOptions{}}},
		{"UserAddWithOptions", func(ctx context.Context, s *auth.Service) (*pb.ResponseHeader, error) {
			r, err := s.UserAddWithOptions(ctx, "alice", "", &auth.UserAddOptions{NoPassword: true})
			return (*pb.AuthUserAddResponse)(r).GetHeader(), err
		}, pb.Auth_UserAdd_FullMethodName, &pb.AuthUserAddRequest{Name: "alice", Options: &authpb.UserAddOptions{NoPassword: true}}},
		{"UserAddWithOptions without", func(ctx context.Context, s *auth.Service) (*pb.ResponseHeader, error) {
			r, err := s.UserAddWithOptions(ctx, "alice", "secret", nil)
			return (*pb.AuthUserAddResponse)(r).GetHeader(), err
		}, pb.Auth_UserAdd_FullMethodName, &pb.AuthUserAddRequest{Name: "alice", Password: "secret"}},
		{"UserDelete", func(ctx context.Context, s *auth.Service) (*pb.ResponseHeader, error) {
			r, err := s.UserDelete(ctx, "alice")
			return (*pb.AuthUserDeleteResponse)(r).GetHeader(), err
		}, pb.Auth_UserDelete_FullMethodName, &pb.AuthUserDeleteRequest{Name: "alice"}},
		{"UserChangePassword", func(ctx context.Context, s *auth.Service) (*pb.ResponseHeader, error) {
			r, err := s.UserChangePassword(ctx, "alice", "other")
			return (*pb.AuthUserChangePasswordResponse)(r).GetHeader(), err
		}, pb.Auth_UserChangePassword_FullMethodName, &pb.AuthUserChangePasswordRequest{Name: "alice", Password: "other"}},
		{"UserSetPasswordHash", func(ctx context.Context, s *auth.Service) (*pb.ResponseHeader, error) {
			r, err := s.UserSetPasswordHash(ctx, "alice", hash)
			return (*pb.AuthUserChangePasswordResponse)(r).GetHeader(), err
		}, pb.Auth_UserChangePassword_FullMethodName, &pb.AuthUserChangePasswordRequest{
			Name: "alice", HashedPassword: "JDJhJDA0JExUa21QZE8uaGhZZFRhSFRZSVVtZXV5eTFaZTFCVlZ0M3ZWblI5alh6OGpaMFh4SG1BWFRT",
		}},
		{"UserGrantRole", func(ctx context.Context, s *auth.Service) (*pb.ResponseHeader, error) {
			r, err := s.UserGrantRole(ctx, "alice", "reader")
			return (*pb.AuthUserGrantRoleResponse)(r).GetHeader(), err
		}, pb.Auth_UserGrantRole_FullMethodName, &pb.AuthUserGrantRoleRequest{User: "alice", Role: "reader"}},
		{"UserGet", func(ctx context.Context, s *auth.Service) (*pb.ResponseHeader, error) {
			r, err := s.UserGet(ctx, "alice")
			return (*pb.AuthUserGetResponse)(r).GetHeader(), err
		}, pb.Auth_UserGet_FullMethodName, &pb.AuthUserGetRequest{Name: "alice"}},
		{"UserList", func(ctx context.Context, s *auth.Service) (*pb.ResponseHeader, error) {
			r, err := s.UserList(ctx)
			return (*pb.AuthUserListResponse)(r).GetHeader(), err
		}, pb.Auth_UserList_FullMethodName, &pb.AuthUserListRequest{}},
		{"UserRevokeRole", func(ctx context.Context, s *auth.Service) (*pb.ResponseHeader, error) {
			r, err := s.UserRevokeRole(ctx, "alice", "reader")
			return (*pb.AuthUserRevokeRoleResponse)(r).GetHeader(), err
		}, pb.Auth_UserRevokeRole_FullMethodName, &pb.AuthUserRevokeRoleRequest{Name: "alice", Role: "reader"}},
		{"RoleAdd", func(ctx context.Context, s *auth.Service) (*pb.ResponseHeader, error) {
			r, err := s.RoleAdd(ctx, "reader")
			return (*pb.AuthRoleAddResponse)(r).GetHeader(), err
		}, pb.Auth_RoleAdd_FullMethodName, &pb.AuthRoleAddRequest{Name: "reader"}},
		{"RoleGrantPermission", func(ctx context.Context, s *auth.Service) (*pb.ResponseHeader, error) {
			r, err := s.RoleGrantPermission(ctx, "reader", "a", "b", auth.PermReadWrite)
			return (*pb.AuthRoleGrantPermissionResponse)(r).GetHeader(), err
		}, pb.Auth_RoleGrantPermission_FullMethodName, &pb.AuthRoleGrantPermissionRequest{
			Name: "reader", Perm: &authpb.Permission{PermType: authpb.Permission_READWRITE, Key: []byte("a"), RangeEnd: []byte("b")},
		}},
		{"RoleGet", func(ctx context.Context, s *auth.Service) (*pb.ResponseHeader, error) {
			r, err := s.RoleGet(ctx, "reader")
			return (*pb.AuthRoleGetResponse)(r).GetHeader(), err
		}, pb.Auth_RoleGet_FullMethodName, &pb.AuthRoleGetRequest{Role: "reader"}},
		{"RoleList", func(ctx context.Context, s *auth.Service) (*pb.ResponseHeader, error) {
			r, err := s.RoleList(ctx)
			return (*pb.AuthRoleListResponse)(r).GetHeader(), err
		}, pb.Auth_RoleList_FullMethodName, &pb.AuthRoleListRequest{}},
		{"RoleRevokePermission", func(ctx context.Context, s *auth.Service) (*pb.ResponseHeader, error) {
			r, err := s.RoleRevokePermission(ctx, "reader", "a", "b")
			return (*pb.AuthRoleRevokePermissionResponse)(r).GetHeader(), err
		}, pb.Auth_RoleRevokePermission_FullMethodName, &pb.AuthRoleRevokePermissionRequest{Role: "reader", Key: []byte("a"), RangeEnd: []byte("b")}},
		{"RoleDelete", func(ctx context.Context, s *auth.Service) (*pb.ResponseHeader, error) {
			r, err := s.RoleDelete(ctx, "reader")
			return (*pb.AuthRoleDeleteResponse)(r).GetHeader(), err
		}, pb.Auth_RoleDelete_FullMethodName, &pb.AuthRoleDeleteRequest{Role: "reader"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := &recorder{}
			h, err := tc.call(t.Context(), auth.New(r, grpc.WaitForReady(true)))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, r.req, protocmp.Transform()); r.method != tc.method || diff != "" {
				t.Errorf("sent %s, want %s (-want +got):\n%s", r.method, tc.method, diff)
			}
			if diff := cmp.Diff(header, h, protocmp.Transform()); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
			if r.opts < 1 {
				t.Error("the call option was dropped")
			}
			r.err = rpctypes.ErrPermissionDenied
			if h, err := tc.call(t.Context(), auth.New(r)); h != nil || !errors.Is(err, rpctypes.ErrPermissionDenied) {
				t.Errorf("got %v and error %v, want no answer and the connection's error", h, err)
			}
		})
	}
}

func TestMisuse(t *testing.T) {
	r := &recorder{}
	s := auth.New(r)
	_, empty := s.UserChangePassword(t.Context(), "alice", "")
	_, kind := s.RoleGrantPermission(t.Context(), "reader", "a", "", auth.PermissionType(3))
	errs := map[string]error{"password is empty": empty, "no permission type 3": kind}
	for want, err := range errs {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want one with %q", err, want)
		}
	}
	for _, bad := range []string{"", "secret", hash[:59], hash + "x", "$1$04$" + hash[6:] + "x", strings.Replace(hash, "$04$", "$4$x", 1), "x" + hash[1:]} {
		if _, err := s.UserSetPasswordHash(t.Context(), "alice", bad); err == nil || !strings.Contains(err.Error(), "bcrypt") {
			t.Errorf("hash %q: got error %v, want one that names bcrypt", bad, err)
		} else if bad != "" && strings.Contains(err.Error(), bad) {
			t.Errorf("the error %q has the hash in it", err)
		}
	}
	if r.method != "" {
		t.Errorf("%s was sent, want nothing", r.method)
	}
}

func TestParsePermissionType(t *testing.T) {
	for s, want := range map[string]auth.PermissionType{
		"read": auth.PermRead, "WRITE": auth.PermWrite, "ReadWrite": auth.PermReadWrite,
	} {
		if got, err := auth.ParsePermissionType(s); err != nil || got != want {
			t.Errorf("%q: got %d, %v; want %d", s, got, err, want)
		}
	}
	for _, s := range []string{"", "rw", " read"} {
		if got, err := auth.ParsePermissionType(s); err == nil || got != -1 || !strings.Contains(err.Error(), "readwrite") {
			t.Errorf("%q: got %d, %v; want -1 and an error that says what there is", s, got, err)
		}
	}
}

// An error that means that an old server lacks the method can be told from other
// failures.
func TestUnsupported(t *testing.T) {
	r := &recorder{err: status.Error(codes.Unimplemented, "unknown method AuthStatus")}
	_, err := auth.New(r).AuthStatus(t.Context())
	if !errors.Is(err, errors.ErrUnsupported) || status.Code(err) != codes.Unimplemented || !strings.Contains(err.Error(), "etcd 3.5") {
		t.Errorf("got error %v, want ErrUnsupported with the code Unimplemented and the version", err)
	}
	// An old server would set an empty password, so the call must not be sent.
	_, err = auth.New(r).UserSetPasswordHash(t.Context(), "alice", hash)
	if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "UserSetPasswordHash needs etcd 3.5") {
		t.Errorf("a hash for an old server: got error %v, want ErrUnsupported and the version", err)
	}
	if r.method != pb.Auth_AuthStatus_FullMethodName {
		t.Errorf("a hash for an old server: %s was sent", r.method)
	}
}

func TestAuthenticate(t *testing.T) {
	c := etcdtest.Start(t, 1)
	s := auth.New(c.Conn(t))
	if _, err := s.Authenticate(t.Context(), "alice", "secret"); !errors.Is(rpctypes.Error(err), rpctypes.ErrAuthNotEnabled) {
		t.Errorf("while disabled: got %v, want %v", err, rpctypes.ErrAuthNotEnabled)
	}
	c.EnableAuth(map[string]string{"alice": "secret"})
	resp, err := s.Authenticate(t.Context(), "alice", "secret")
	if err != nil || resp.Token == "" {
		t.Errorf("got %v, %v; want a token", resp, err)
	}
	if _, err := s.Authenticate(t.Context(), "alice", "guess"); !errors.Is(rpctypes.Error(err), rpctypes.ErrAuthFailed) {
		t.Errorf("a wrong password: got %v, want %v", err, rpctypes.ErrAuthFailed)
	}
}
