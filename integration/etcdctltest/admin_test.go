package etcdctltest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/integration/cluster"
)

// TestAdministrationSameAsEtcdctl compares the commands for administering a
// cluster.
func TestAdministrationSameAsEtcdctl(t *testing.T) {
	t.Parallel()
	b := newBench(t, cluster.Config{})
	t.Run("hashes", b.hashes)
	t.Run("compactions", b.compactions)
	t.Run("alarms", b.alarms)
	t.Run("defragmentation", b.defragmentation)
	t.Run("moving the leader", b.movingTheLeader)
	t.Run("users and roles", b.usersAndRoles)
	t.Run("passwords", b.passwords)
	t.Run("enabling authentication", b.enablingAuthentication)
	t.Run("mistakes", b.administrationMistakes)
	t.Run("promises", b.administrationPromises)
	t.Run("members", b.members)
	t.Run("promotions", b.promotions)
	t.Run("downgrades", b.downgrades) // last, since it changes what the members store
	b.tally(t, 800)
}

// formats returns all formats, and one that does not exist.
func formats() []string {
	return []string{"simple", "json", "fields", "table", "protobuf", "xml"}
}

func (b *bench) hashes(t *testing.T) {
	b.pairs(t, 5)
	r, err := b.kv.Range(t.Context(), &pb.RangeRequest{Key: []byte("key03")})
	if err != nil {
		t.Fatal(err)
	}
	rev := r.GetKvs()[0].GetModRevision()
	for _, format := range append(formats(), "fields --hex", "json --hex", "simple --hex") {
		for _, line := range []string{"endpoint hashkv", fmt.Sprintf("endpoint hashkv --rev=%d", rev), "endpoint hashkv --cluster", "endpoint hashkv --rev=99999"} {
			b.same(t, at(sh(line+" -w "+format)))
		}
		b.same(t, sh("--endpoints ‹eps› endpoint hashkv -w "+format))
		b.same(t, sh("--endpoints 127.0.0.1:1,‹ep0› --command-timeout=500ms endpoint hashkv -w "+format))
		b.same(t, sh("--endpoints 127.0.0.1:1 --command-timeout=200ms endpoint hashkv -w "+format))
	}
}

func (b *bench) compactions(t *testing.T) {
	for _, format := range formats() {
		step := func(line string) invocation { return at(sh(line + " -w " + format)) }
		// The revisions are completely different, since compaction cannot be
		// undone. So the scenario starts at the revision in the variable.
		b.from(t, func() []rule {
			base := b.wipe(t)
			for range 3 {
				b.put(t, "k", "v")()
			}
			b.vars = append(b.vars[:b.fixed:b.fixed], "‹rev›", fmt.Sprint(base+1), "‹rev+1›", fmt.Sprint(base+2), "‹rev+9›", fmt.Sprint(base+9))
			return []rule{strings.NewReplacer(fmt.Sprint(base+1), "‹rev›", fmt.Sprint(base+2), "‹rev+1›").Replace}
		},
			step("compaction ‹rev›"), step("compaction ‹rev›"), step("compaction ‹rev+9›"), step("compaction --physical ‹rev+1›"),
			step("compaction --physical ‹rev›"), at(sh("get k --rev=‹rev›")),
		)
		b.vars = b.vars[:b.fixed]
	}
}

func (b *bench) alarms(t *testing.T) {
	ctx, m := t.Context(), b.cluster.Members()[1]
	ctl := pb.NewMaintenanceClient(&patient{ClientConnInterface: m.Control()})
	raise := func() []rule {
		_, err := ctl.Alarm(ctx, &pb.AlarmRequest{Action: pb.AlarmRequest_ACTIVATE, MemberID: m.ID(), Alarm: pb.AlarmType_NOSPACE})
		if err != nil {
			t.Fatal(err)
		}
		// Protobuf's text format has one or two spaces, depending on how the
		// program was built.
		return []rule{func(s string) string { return strings.ReplaceAll(s, "  ", " ") }}
	}
	for _, format := range formats() {
		step := func(line string) invocation { return at(sh(line + " -w " + format)) }
		health := step("endpoint health")
		if format == "table" {
			health = health.quiet() // the duration changes the width of columns
		}
		b.from(t, raise,
			step("alarm list"), step("alarm list --hex"), health,
			step("alarm disarm"), step("alarm list"), step("alarm disarm --hex"),
		)
	}
	if _, err := ctl.Alarm(ctx, &pb.AlarmRequest{Action: pb.AlarmRequest_DEACTIVATE, MemberID: m.ID(), Alarm: pb.AlarmType_NOSPACE}); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) defragmentation(t *testing.T) {
	var steps []invocation
	for _, format := range formats() {
		f := " -w " + format
		steps = append(steps,
			at(sh("defrag"+f)), sh("--endpoints ‹eps› defrag"+f), at(sh("defrag --cluster"+f)).unordered(), at(sh("defrag surplus"+f)),
			sh("--endpoints 127.0.0.1:1,‹ep0› --command-timeout=500ms defrag"+f),
		)
	}
	b.scenario(t, steps...)
}

func (b *bench) movingTheLeader(t *testing.T) {
	members := b.cluster.Members()
	b.vars = b.vars[:b.fixed:b.fixed]
	for i, m := range members {
		b.vars = append(b.vars, fmt.Sprintf("‹m%d›", i), fmt.Sprintf("%x", m.ID()), fmt.Sprintf("‹ep%d of 3›", i), m.Endpoint())
	}
	defer func() { b.vars = b.vars[:b.fixed] }()
	lead := func() []rule {
		for {
			leader, err := b.cluster.Leader(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if leader == members[0] {
				return nil
			}
			if _, err := pb.NewMaintenanceClient(leader.Control()).MoveLeader(t.Context(), &pb.MoveLeaderRequest{TargetID: members[0].ID()}); err != nil && !cluster.Busy(err.Error()) {
				t.Fatal(err)
			}
		}
	}
	step := func(line string) invocation { return sh("--endpoints ‹eps› move-leader " + line) }
	b.from(t, lead,
		step("‹m1›"), step("‹m2› -w json"), step("‹m0› -w protobuf"), step("‹m1› --hex"), step("‹m0›"),
		step("‹m0›"),          // the leader itself
		step("12345"),         // no member
		step("xyz"),           // not an ID
		step("‹m1› ‹m2›"),     // two IDs
		step("‹m1› -w xml"),   // not a format
		at(sh("move-leader")), // no target
		words("--endpoints", members[1].Endpoint(), "move-leader", "‹m2›"), // not the leader's
	)
	for _, format := range []string{"fields", "table"} {
		b.from(t, lead, step("‹m1› -w "+format))
	}
}

// downgrades enables and cancels downgrades. In between, the members may lower
// the cluster's version, which they check every 4 s and which changes all
// responses. If that happens, the scenario is repeated.
func (b *bench) downgrades(t *testing.T) {
	rpc := pb.NewMaintenanceClient(b.control)
	full := func() bool { // no downgrade is enabled, and the version is not lowered
		r, err := rpc.Downgrade(t.Context(), &pb.DowngradeRequest{Action: pb.DowngradeRequest_VALIDATE, Version: "3.6.0"})
		return err == nil && strings.HasPrefix(r.GetVersion(), "3.7")
	}
	cancel := func() {
		if _, err := rpc.Downgrade(t.Context(), &pb.DowngradeRequest{Action: pb.DowngradeRequest_CANCEL}); err != nil {
			t.Fatal(err)
		}
		for begin := time.Now(); !full(); time.Sleep(50 * time.Millisecond) { // polling
			if time.Since(begin) > time.Minute {
				t.Fatal("the cluster's version was not raised again within a minute")
			}
		}
	}
	undisturbed := func(path string, steps []invocation) []result {
		const rounds = 10
		for range rounds {
			cancel()
			if results := b.play(t, path, nil, steps); full() {
				return results
			}
		}
		t.Fatalf("the cluster's version was lowered in each of %d plays", rounds)
		return nil
	}
	compare := func(steps ...invocation) {
		b.both(t, steps, func(path string) []result { return undisturbed(path, steps) })
	}
	for _, format := range formats() {
		step := func(line string) invocation { return at(sh("downgrade " + line + " -w " + format)) }
		compare(step("validate 3.6"), step("validate 3.6.0"), step("validate 3.5"), step("validate 3.7"), step("validate nonsense"))
		// If the format cannot print the response, etcdctl sends the request
		// nevertheless.
		if format == "simple" || format == "json" || format == "protobuf" {
			compare(step("enable 3.5"), step("enable 3.6"), step("enable 3.6"), step("validate 3.6"), step("cancel"))
		}
		compare(step("enable 3.6.0"), step("cancel"), step("cancel surplus"))
	}
	cancel()
}

// administrationMistakes are mistakes that change nothing.
func (b *bench) administrationMistakes(t *testing.T) {
	for _, line := range []string{
		"auth enable surplus", "auth disable surplus", "auth status surplus", "auth enable",
		"user add", "user add a b", "user add :pw", "user add -w xml a:b", "user delete", "user delete a b", "user delete nobody", "user get", "user get nobody",
		"user get nobody --detail", "user list surplus", "user passwd", "user passwd a b", "user grant-role a", "user grant-role nobody nothing",
		"user revoke-role a", "user revoke-role nobody nothing", "user add a:b --interactive=perhaps",
		"role add", "role add a b", "role delete", "role delete nothing", "role get", "role get nothing", "role list surplus",
		"role grant-permission", "role grant-permission r", "role grant-permission r read", "role grant-permission r fly k",
		"role grant-permission nothing read k", "role grant-permission r read k --prefix --from-key", "role grant-permission r read k z --prefix",
		"role grant-permission r read k z --from-key", "role revoke-permission", "role revoke-permission r", "role revoke-permission nothing k",
		"role revoke-permission r k z --prefix", "role revoke-permission r k --prefix --from-key",
		"alarm list surplus", "alarm disarm surplus",
		"compaction", "compaction x", "compaction 1 2", "compaction 0", "compaction 999999999", "compaction --physical=perhaps 1",
		"downgrade validate", "downgrade validate 3.6 3.5", "downgrade enable", "downgrade enable 3.6 3.5",
		"endpoint hashkv --rev=x", "endpoint hashkv --rev=-1",
		"endpoint status --cluster=perhaps", "defrag --cluster=perhaps",
	} {
		b.same(t, at(sh(line)))
	}
	for _, command := range []string{"auth", "user", "role", "alarm", "downgrade", "endpoint"} { // each tool has its own help
		b.same(t, at(sh(command)).quiet())
	}
	for _, i := range []invocation{
		words("downgrade", "validate", ""), words("downgrade", "enable", ""), words("user", "add", ""), words("user", "add", "", "--no-password"),
		words("role", "add", ""), words("user", "delete", ""), words("role", "grant-permission", "r", "read", "", "--prefix", "--from-key"),
	} {
		b.same(t, at(i))
	}
	for _, line := range []string{"alarm list", "auth status", "member list", "move-leader 1", "compaction 1", "downgrade validate 3.6", "defrag"} {
		b.same(t, sh("--endpoints 127.0.0.1:1 --command-timeout=300ms "+line))
	}
}

// administrationPromises are the intended differences of getcd.
func (b *bench) administrationPromises(t *testing.T) {
	b.promised(t, func() []string { return b.brokenAdministrationPromises(t) })
}

func (b *bench) brokenAdministrationPromises(t *testing.T) (broken []string) {
	t.Helper()
	b.nobody(t)()
	b.waitUntilMembersMayChange(t)
	m := b.cluster.Members()
	leader, err := b.cluster.Leader(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	other := m[0]
	if leader == other {
		other = m[1]
	}
	for _, tt := range []struct {
		i      invocation
		code   int
		stdout string
		stderr string // part of it
	}{
		// It makes no change that it cannot report.
		{at(sh("role add r -w table")), 4, "", "table not supported"},
		{at(sh("user add u:p -w table")), 4, "", "table not supported"},
		{at(sh("member add new --learner --peer-urls=http://127.0.0.1:1 -w fields")), 4, "", "fields not supported"},
		{at(sh("role list")), 0, "", ""},
		{at(sh("user list")), 0, "", ""},
		// Its time limit applies to users and roles, too.
		{sh("--endpoints 127.0.0.1:1 --command-timeout=200ms user list"), 1, "", "127.0.0.1:1"},
		{sh("--endpoints 127.0.0.1:1 --command-timeout=200ms role add r"), 1, "", "127.0.0.1:1"},
		// It does not lock a user out with a password that nobody can type.
		{at(sh("user add u:p")), 0, "User u created\n", ""},
		{at(sh("user passwd u --interactive=false")), 1, "", "password"},
		{at(sh("user delete u")), 0, "User u deleted\n", ""},
		// It says why authentication cannot be enabled.
		{at(sh("user add root:p")), 0, "User root created\n", ""},
		{at(sh("role add root")), 0, "Role root created\n", ""},
		{at(sh("auth enable")), 1, "", "user grant-role root root"},
		// It finds the leader even if another member is down.
		{
			sh(fmt.Sprintf("--endpoints 127.0.0.1:1,‹eps› --command-timeout=1s move-leader %x", other.ID())), 0,
			fmt.Sprintf("Leadership transferred from %x to %x\n", leader.ID(), other.ID()), "",
		},
	} {
		r := b.getcdRun(t, tt.i)
		if r.code != tt.code || r.stdout != tt.stdout || !strings.Contains(r.stderr, tt.stderr) {
			broken = append(broken, fmt.Sprintf("%v\n got exit status %d, stdout %q, stderr %q\nwant %d, %q, and %q in stderr", tt.i, r.code, r.stdout, r.stderr, tt.code, tt.stdout, tt.stderr))
		}
	}
	if _, id := b.stranger(t); id != 0 {
		t.Errorf("the member %x was added, in a format that cannot say so", id)
	}
	b.nobody(t)()
	return broken
}
