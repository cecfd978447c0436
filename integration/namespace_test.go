package integration_test

import (
	"slices"
	"testing"

	"github.com/getcd/getcd/auth"
	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/election"
	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lock"
	"github.com/getcd/getcd/middleware/namespace"
)

// The server makes the keys of its own locks and elections. They are in the
// namespace, too.
func TestNamespaceOfTheServersLocksAndElections(t *testing.T) {
	c := startCluster(t, cluster.Config{Size: 1})
	cl := dial(t, client.Config{Endpoints: c.Endpoints()})
	cc, ctx := namespace.NewConn(cl.Conn(), "app/"), timeout(t)
	all := func(want ...string) {
		t.Helper()
		resp, err := cl.Get(ctx, "", kv.WithPrefix())
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, pair := range resp.Kvs {
			got = append(got, string(pair.GetKey()))
		}
		if !slices.Equal(got, want) {
			t.Errorf("the keys are %q, want %q", got, want)
		}
	}
	granted, err := cl.Grant(ctx, 60)
	if err != nil {
		t.Fatal(err)
	}

	e := election.NewService(cc)
	leader, err := e.Campaign(ctx, "job", granted.ID, "a")
	if err != nil {
		t.Fatal(err)
	}
	all("app/" + string(leader.Leader.GetKey()))
	if name := string(leader.Leader.GetName()); name != "job" {
		t.Errorf("the election is %q, want job", name)
	}
	if _, err := e.Proclaim(ctx, leader.Leader, "b"); err != nil {
		t.Errorf("Proclaim: %v", err)
	}
	for resp, err := range e.Observe(ctx, "job") {
		if err != nil || string(resp.Kv.GetValue()) != "b" || string(resp.Kv.GetKey()) != string(leader.Leader.GetKey()) {
			t.Errorf("observed %v, %v; want b at %s", resp, err, leader.Leader.GetKey())
		}
		break
	}
	if resp, err := e.Leader(ctx, "job"); err != nil || string(resp.Kv.GetKey()) != string(leader.Leader.GetKey()) {
		t.Errorf("the leader is %v, %v; want that at %s", resp, err, leader.Leader.GetKey())
	}
	if _, err := e.Resign(ctx, leader.Leader); err != nil {
		t.Errorf("Resign: %v", err)
	}
	all()

	locks := lock.NewService(cc)
	held, err := locks.Lock(ctx, "l", granted.ID)
	if err != nil {
		t.Fatal(err)
	}
	all("app/" + string(held.Key))
	if _, err := locks.Unlock(ctx, string(held.Key)); err != nil {
		t.Errorf("Unlock: %v", err)
	}
	all()
}

// The ranges of a role's permissions are keys, too: a client in a namespace gives, sees and
// takes back permissions there alone.
func TestNamespaceOfPermissions(t *testing.T) {
	c := startCluster(t, cluster.Config{Size: 1})
	outside := dial(t, client.Config{Endpoints: c.Endpoints()})
	inside := dial(t, client.Config{Endpoints: c.Endpoints(), Middleware: []client.Middleware{namespace.Of("app/")}})
	ctx := timeout(t)
	ranges := func(cl *client.Client) (found []string) {
		t.Helper()
		role, err := cl.RoleGet(ctx, "web")
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range role.Perm {
			found = append(found, string(p.Key)+" to "+string(p.RangeEnd))
		}
		return found
	}
	if _, err := inside.RoleAdd(ctx, "web"); err != nil {
		t.Fatal(err)
	}
	for cl, r := range map[*client.Client][2]string{inside: {"a", "b"}, outside: {"z", ""}} {
		if _, err := cl.RoleGrantPermission(ctx, "web", r[0], r[1], auth.PermRead); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := inside.RoleGrantPermission(ctx, "web", "c", "\x00", auth.PermRead); err != nil { // from c on
		t.Fatal(err)
	}
	if got, want := ranges(outside), []string{"app/a to app/b", "app/c to app0", "z to "}; !slices.Equal(got, want) {
		t.Errorf("outside: the role's ranges are %q, want %q", got, want)
	}
	if got, want := ranges(inside), []string{"a to b", "c to \x00"}; !slices.Equal(got, want) {
		t.Errorf("inside: the role's ranges are %q, want %q", got, want)
	}
	if _, err := inside.RoleRevokePermission(ctx, "web", "a", "b"); err != nil {
		t.Fatal(err)
	}
	if got, want := ranges(inside), []string{"c to \x00"}; !slices.Equal(got, want) {
		t.Errorf("inside, after one was revoked: the role's ranges are %q, want %q", got, want)
	}
}
