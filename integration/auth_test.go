package integration_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"go.etcd.io/etcd/api/v3/authpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"golang.org/x/crypto/bcrypt"

	"github.com/getcd/getcd/auth"
	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/kv"
)

// Authentication is turned on and off again, and each user may do what its roles
// permit.
func TestAuthLifecycle(t *testing.T) {
	c := startCluster(t, cluster.Config{Size: 1, Flags: []string{"--bcrypt-cost=4"}})
	a := auth.New(dial(t, client.Config{Endpoints: c.Endpoints()}).Conn())
	ctx := timeout(t)
	must := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	refused := func(what string, err, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", what, err, want)
		}
	}

	_, err := a.AuthEnable(ctx)
	refused("enabling without root", err, rpctypes.ErrRootUserNotExist)
	_, err = a.UserAdd(ctx, "root", "secret")
	must("adding root", err)
	_, err = a.UserAdd(ctx, "root", "secret")
	refused("adding it again", err, rpctypes.ErrUserAlreadyExist)
	_, err = a.AuthEnable(ctx)
	refused("enabling without its role", err, rpctypes.ErrRootRoleNotExist)
	for _, role := range []string{"root", "app"} {
		_, err = a.RoleAdd(ctx, role)
		must("adding role "+role, err)
	}
	_, err = a.RoleAdd(ctx, "app")
	refused("adding it again", err, rpctypes.ErrRoleAlreadyExist)
	_, err = a.UserGrantRole(ctx, "root", "root")
	must("granting root", err)
	_, err = a.RoleGrantPermission(ctx, "app", "app/", kv.GetPrefixRangeEnd("app/"), auth.PermReadWrite)
	must("granting the prefix", err)
	_, err = a.RoleGrantPermission(ctx, "app", "shared", "", auth.PermRead)
	must("granting the key", err)
	_, err = a.UserAdd(ctx, "alice", "hers")
	must("adding alice", err)
	_, err = a.UserAddWithOptions(ctx, "cert", "", &auth.UserAddOptions{NoPassword: true})
	must("adding a user without a password", err)
	_, err = a.UserGrantRole(ctx, "alice", "app")
	must("granting app", err)
	_, err = a.UserGrantRole(ctx, "alice", "nothing")
	refused("granting no role", err, rpctypes.ErrRoleNotFound)

	users, err := a.UserList(ctx)
	must("listing users", err)
	if want := []string{"alice", "cert", "root"}; !slices.Equal(users.Users, want) {
		t.Errorf("users are %q, want %q", users.Users, want)
	}
	roles, err := a.RoleList(ctx)
	must("listing roles", err)
	if want := []string{"app", "root"}; !slices.Equal(roles.Roles, want) {
		t.Errorf("roles are %q, want %q", roles.Roles, want)
	}
	role, err := a.RoleGet(ctx, "app")
	must("getting the role", err)
	if p := role.Perm; len(p) != 2 || string(p[0].Key) != "app/" || string(p[0].RangeEnd) != "app0" ||
		p[0].PermType != authpb.Permission_READWRITE || string(p[1].Key) != "shared" || p[1].PermType != authpb.Permission_READ {
		t.Errorf("permissions are %v, want the prefix and the key", p)
	}
	status := func(want bool) {
		t.Helper()
		s, err := a.AuthStatus(ctx)
		if !c.AtLeast("3.5") {
			lacking(t, c, "3.5", err)
		} else if err != nil || s.Enabled != want {
			t.Errorf("status: got %v, %v; want enabled: %v", s, err, want)
		}
	}
	status(false)
	_, err = a.Authenticate(ctx, "root", "secret")
	refused("authenticating while disabled", err, rpctypes.ErrAuthNotEnabled)
	_, err = a.AuthEnable(ctx)
	must("enabling", err)

	as := func(user, password string) *client.Client {
		t.Helper()
		return dial(t, client.Config{Endpoints: c.Endpoints(), Username: user, Password: password})
	}
	alice, root := as("alice", "hers"), as("root", "secret")
	a = auth.New(root.Conn())
	status(true)
	if token, err := a.Authenticate(ctx, "alice", "hers"); err != nil || token.Token == "" {
		t.Errorf("authenticating: got %v, %v; want a token", token, err)
	}
	_, err = a.Authenticate(ctx, "alice", "his")
	refused("a wrong password", err, rpctypes.ErrAuthFailed)
	_, err = alice.Put(ctx, "app/x", "1")
	must("writing below the prefix", err)
	_, err = alice.Get(ctx, "shared")
	must("reading the key", err)
	_, err = alice.Put(ctx, "shared", "1")
	refused("writing what may be read", err, rpctypes.ErrPermissionDenied)
	_, err = auth.New(alice.Conn()).UserAdd(ctx, "bob", "his")
	refused("managing users without root", err, rpctypes.ErrPermissionDenied)
	if got, err := auth.New(alice.Conn()).UserGet(ctx, "alice"); err != nil || !slices.Equal(got.Roles, []string{"app"}) {
		t.Errorf("asking about oneself: got %v, %v; want the role app", got, err)
	}

	_, err = a.RoleRevokePermission(ctx, "app", "app/", "")
	refused("revoking another range", err, rpctypes.ErrPermissionNotGranted)
	_, err = a.RoleRevokePermission(ctx, "app", "app/", kv.GetPrefixRangeEnd("app/"))
	must("revoking the prefix", err)
	_, err = alice.Put(ctx, "app/x", "2")
	refused("writing without permission", err, rpctypes.ErrPermissionDenied)
	changePasswords(ctx, t, c, a)
	_, err = a.UserRevokeRole(ctx, "alice", "app")
	must("revoking the role", err)
	_, err = a.UserRevokeRole(ctx, "alice", "app")
	refused("revoking it again", err, rpctypes.ErrRoleNotGranted)
	_, err = a.RoleDelete(ctx, "app")
	must("deleting the role", err)
	_, err = a.UserDelete(ctx, "alice")
	must("deleting the user", err)
	_, err = a.UserDelete(ctx, "alice")
	refused("deleting it again", err, rpctypes.ErrUserNotFound)
	_, err = a.UserDelete(ctx, "root")
	refused("deleting root", err, rpctypes.ErrInvalidAuthMgmt)
	_, err = a.AuthDisable(ctx)
	must("disabling", err)
	_, err = dial(t, client.Config{Endpoints: c.Endpoints()}).Put(ctx, "anything", "1")
	must("writing while disabled", err)
}

// changePasswords changes alice's password twice, the second time by its hash.
// Servers before etcd 3.5 do not support that; nothing changes then.
func changePasswords(ctx context.Context, t *testing.T, c *cluster.Cluster, a *auth.Service) {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte("third"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		change         func() error
		password, past string
	}{
		{func() error { _, err := a.UserChangePassword(ctx, "alice", "second"); return err }, "second", "hers"},
		{func() error { _, err := a.UserSetPasswordHash(ctx, "alice", string(hash)); return err }, "third", "second"},
	} {
		err := step.change()
		if step.password == "third" && !c.AtLeast("3.5") {
			lacking(t, c, "3.5", err)
			step.password, step.past = step.past, ""
		} else if err != nil {
			t.Fatal(err)
		}
		if _, err := a.Authenticate(ctx, "alice", step.password); err != nil {
			t.Errorf("the new password %q: %v", step.password, err)
		}
		if _, err := a.Authenticate(ctx, "alice", step.past); !errors.Is(err, rpctypes.ErrAuthFailed) {
			t.Errorf("the past password %q: got %v, want %v", step.past, err, rpctypes.ErrAuthFailed)
		}
	}
}
