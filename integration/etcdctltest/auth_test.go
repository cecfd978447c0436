package etcdctltest

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

// nobody removes all users and roles, and returns the rule for the resulting
// revision.
func (b *bench) nobody(t *testing.T) func() []rule {
	t.Helper()
	a := pb.NewAuthClient(b.control)
	return func() []rule {
		t.Helper()
		b.unlock(t)
		ctx := t.Context()
		users, err := a.UserList(ctx, &pb.AuthUserListRequest{})
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range users.GetUsers() {
			if _, err := a.UserDelete(ctx, &pb.AuthUserDeleteRequest{Name: u}); err != nil && !errors.Is(rpctypes.Error(err), rpctypes.ErrUserNotFound) {
				t.Fatal(err)
			}
		}
		roles, err := a.RoleList(ctx, &pb.AuthRoleListRequest{})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range roles.GetRoles() {
			if _, err := a.RoleDelete(ctx, &pb.AuthRoleDeleteRequest{Role: r}); err != nil && !errors.Is(rpctypes.Error(err), rpctypes.ErrRoleNotFound) {
				t.Fatal(err)
			}
		}
		s, err := a.AuthStatus(ctx, &pb.AuthStatusRequest{})
		if err != nil {
			t.Fatal(err)
		}
		return []rule{authRevisions(t, s.GetAuthRevision())}
	}
}

var authRevision = regexp.MustCompile(`("authRevision":|AuthRevision: )(\d+)`)

func authRevisions(t *testing.T, base uint64) rule {
	t.Helper()
	return func(s string) string {
		return authRevision.ReplaceAllStringFunc(s, func(found string) string {
			m := authRevision.FindStringSubmatch(found)
			n, err := strconv.ParseUint(m[2], 10, 64)
			if err != nil {
				t.Error(err)
			}
			return fmt.Sprintf("%s‹%+d›", m[1], int64(n-base))
		})
	}
}

func (b *bench) usersAndRoles(t *testing.T) {
	for _, format := range []string{"-w=simple", "-w=json", "-w=protobuf", "-w=fields", "-w=fields --hex"} {
		step := func(line string) invocation { return at(sh(line + " " + format)) }
		empty := func(args ...string) invocation { return at(words(append(args, sh(format).args...)...)) }
		b.from(t, b.nobody(t),
			step("role list"), step("user list"),
			step("role add r"), step("role add r"), step("role add root"), step("role list"),
			step("role get root"), // it has no permissions, and may do everything
			step("role get r"),
			step("role grant-permission r read key"), step("role grant-permission r WRITE key2 key9"),
			step("role grant-permission r readwrite dir/ --prefix"), step("role grant-permission r Read z --from-key"),
			at(words(append([]string{"role", "grant-permission", "r", "read", "two words", `"quoted"`}, sh(format).args...)...)),
			empty("role", "grant-permission", "r", "write", "", "--prefix"), empty("role", "grant-permission", "r", "read", ""),
			step("role grant-permission r read z a"), // the end is before the key
			step("role grant-permission r read a b c d"),
			step("role grant-permission root read k"),
			step("role get r"), step("role get root"),
			step("role revoke-permission r key"), step("role revoke-permission r key"), step("role revoke-permission r key2 key9"),
			step("role revoke-permission r dir/ --prefix"), step("role revoke-permission r z --from-key"),
			empty("role", "revoke-permission", "r", "", "--from-key"), empty("role", "revoke-permission", "r", ""),
			step("role get r"),
			step("user add u:p:w"), step("user add u:other"), step("user add c --no-password"), step("user add d:e --new-user-password=x"),
			step("user list"), step("user get u"), step("user get u --detail"),
			step("user grant-role u r"), step("user grant-role u r"), step("user grant-role u root"), step("user grant-role u nothing"),
			step("user get u"), step("user get u --detail"),
			step("user revoke-role u r"), step("user revoke-role u r"), step("user get u"),
			step("user delete u"), step("user delete u"), step("user list"),
			step("role delete r"), step("role delete r"), step("role list"),
		)
	}
	// These formats cannot show most responses. etcdctl makes the change and then
	// cannot report it; getcd does not make it. So each change is tested
	// separately.
	for _, format := range []string{"table", "xml"} {
		step := func(line string) invocation { return at(sh(line + " -w " + format)) }
		b.from(t, b.nobody(t),
			at(sh("user add u:p")), at(sh("role add r")), at(sh("user grant-role u r")), at(sh("user add v:p")), at(sh("role add s")),
			step("user list"), step("role list"), step("user get u"), step("user get u --detail"), step("user get v --detail"), step("role get r"),
			step("auth status"), step("user add w:p"), step("role add t"), step("role grant-permission r read k"), step("user grant-role v r"),
			step("user revoke-role u r"), step("user delete v"), step("role delete s"),
		)
	}
	b.nobody(t)()
	for _, format := range formats() {
		b.same(t, at(sh("auth status -w "+format)))
	}
}

// passwords tests the ways to give a password outside the arguments.
func (b *bench) passwords(t *testing.T) {
	b.from(t, b.nobody(t),
		at(sh("user add a --interactive=false")).in("secret\n"),
		at(sh("user add b --interactive=false")).in("two words\n"),
		at(sh("user add c --interactive=false")).in("no newline"),
		at(sh("user add d --interactive=false")),
		at(sh("user add e")).in("secret\nsecret\n"),
		at(sh("user add f")).in("  spaces around \r\nspaces around"),
		at(sh("user add g")).in("one\nanother\n"),
		at(sh("user add h")).in("\n\n"),
		at(sh("user add i")),
		at(sh("user add j --new-user-password=")).in("p\np\n"),
		at(sh("user list")),
		at(sh("user passwd a --interactive=false")).in("changed\n"),
		at(sh("user passwd a")).in("changed\nchanged\n"),
		at(sh("user passwd a")).in("changed\nunlike\n"),
		at(sh("user passwd nobody --interactive=false")).in("secret\n"),
		// Check that the passwords are the right ones.
		at(sh("user add root:root")), at(sh("auth enable")),
		at(sh("--user a:changed user get a")), at(sh("--user b:two user get b")),
		words("--endpoints", "‹ep0›", "--user", "c:no", "user", "get", "c"),
		at(sh("--user e:secret user get e")), words("--endpoints", "‹ep0›", "--user", "f:spaces around", "user", "get", "f"),
		at(sh("--user j:p user get j")), at(sh("--user a:secret user get a")), at(sh("--user g:one user get g")),
		at(sh("--user root:root auth disable")),
	)
}

func (b *bench) enablingAuthentication(t *testing.T) {
	for _, format := range []string{"simple", "json", "fields", "table"} {
		step := func(line string) invocation { return at(sh(line + " -w " + format)) }
		b.from(t, b.nobody(t),
			step("auth enable"), // without a user root
			at(sh("user add root:pw")), at(sh("user add guest:guest")),
			step("auth enable"), // adds the role
			step("auth enable"), // without a user
			step("auth status"), step("--user root:pw auth status"), step("--user root:pw auth enable"),
			step("user list"), step("--user guest:guest user list"), step("--user root:pw user list"),
			step("--user guest:guest user get guest"), step("--user guest:guest user get root"),
			step("--user root:wrong user list"), step("--user guest:guest role list"), step("--user root:pw role list"),
			step("--user root:pw user get root --detail"),
			step("--user guest:guest alarm list"), step("--user root:pw alarm list"),
			step("--user guest:guest endpoint hashkv"), step("--user root:pw endpoint hashkv --cluster"),
			step("--user guest:guest member list"), step("--user guest:guest defrag"),
			step("--user guest:guest compaction 1"), step("--user guest:guest auth disable"), step("auth disable"),
			step("--user root:pw auth disable"), step("auth status"), step("auth disable"),
		)
	}
	b.from(t, b.nobody(t), // a role root that nobody has
		at(sh("role add root")), at(sh("user add root:pw")), at(sh("auth enable")), at(sh("auth status")),
		at(sh("user grant-role root root")), at(sh("auth enable")), at(sh("--user root:pw auth disable")),
	)
	b.nobody(t)()
}
