package etcdctltest

import (
	"context"
	"errors"
	stdflag "flag"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/getcd/getcd/integration/certs"
	"github.com/getcd/getcd/integration/cluster"
)

// bench has two tools, and a cluster to compare them on.
type bench struct {
	tools
	cluster *cluster.Cluster
	vars    []string // pairs for strings.NewReplacer
	kv      pb.KVClient
	lease   pb.LeaseClient

	control *patient // to the first member

	compared int    // invocations that were given to both tools
	fixed    int    // how many elements of vars every test has
	peers    int    // peer URLs that were used
	term     uint64 // the cluster's, when disturbed was called last
}

func newBench(t *testing.T, cfg cluster.Config) *bench {
	t.Helper()
	tl := buildTools(t)
	c, err := cluster.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	cc := &patient{ClientConnInterface: c.Members()[0].Control()}
	vars := []string{"‹eps›", strings.Join(c.Endpoints(), ","), "‹ep0›", c.Endpoints()[0]}
	return &bench{
		tools: tl, cluster: c, kv: pb.NewKVClient(cc), lease: pb.NewLeaseClient(cc),
		control: cc, vars: vars, fixed: len(vars),
	}
}

// newSecureBench returns a bench whose member requires client certificates, and
// the files of a user.
func newSecureBench(t *testing.T) (*bench, cluster.TLSFiles) {
	t.Helper()
	ca, err := certs.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	server, err := ca.Server("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	user, err := ca.Client("user")
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t, cluster.Config{
		Size: 1, ClientCertAuth: true,
		ClientTLS: &cluster.TLSFiles{Cert: server.CertFile, Key: server.KeyFile, CA: ca.File()},
	})
	return b, cluster.TLSFiles{Cert: user.CertFile, Key: user.KeyFile, CA: ca.File()}
}

// tally checks how many invocations the subtests have compared: at least least,
// unless only some subtests were selected.
func (b *bench) tally(t *testing.T, least int) {
	t.Helper()
	t.Logf("%d invocations were compared", b.compared)
	some := strings.Contains(stdflag.Lookup("test.run").Value.String(), "/")
	if !some && !t.Failed() && b.compared < least {
		t.Errorf("%d invocations were compared, want %d or more", b.compared, least)
	}
}

// same compares the tools on the current state, which i must not change.
func (b *bench) same(t *testing.T, i invocation) {
	t.Helper()
	b.equivalent(t, i, i)
}

// equivalent compares what getcd prints for mine with what etcdctl prints for
// its. If they differ, etcdctl runs again: only if it prints the same as before
// has the state not changed, and the difference is real, unless the members were
// busy with themselves.
func (b *bench) equivalent(t *testing.T, mine, its invocation) {
	t.Helper()
	b.compared++
	const rounds = 10
	var want, got result
	for range rounds {
		want, got = b.etcdctlRun(t, its), b.getcdRun(t, mine)
		if mine.agree(got, want) {
			return
		}
		if mine.agree(b.etcdctlRun(t, its), want) && !b.disturbed(t, got, want) {
			diff(t, mine, got, want)
			return
		}
	}
	diff(t, mine, got, want)
	t.Fatalf("%v: the tools differed, and so did etcdctl from itself, or the members were disturbed, in %d rounds", mine, rounds)
}

// scenario runs the steps with each tool, from an empty key space, and compares
// every step.
func (b *bench) scenario(t *testing.T, steps ...invocation) {
	t.Helper()
	b.from(t, nil, steps...)
}

// from is scenario with preparation: start prepares the state before each tool's
// run, and returns rules for the differences that cannot be avoided.
func (b *bench) from(t *testing.T, start func() []rule, steps ...invocation) {
	t.Helper()
	b.both(t, steps, func(path string) []result { return b.play(t, path, start, steps) })
}

// both has each tool play the steps, and compares them. If they differ, and the
// members were disturbed meanwhile, both play again.
func (b *bench) both(t *testing.T, steps []invocation, play func(path string) []result) {
	t.Helper()
	const rounds = 5
	var want, got []result
	for range rounds {
		b.disturbed(t) // from here on
		want, got = play(b.etcdctl), play(b.getcd)
		if t.Failed() || agreed(steps, got, want) || !b.disturbed(t, slices.Concat(got, want)...) {
			break
		}
	}
	for n, i := range steps {
		b.compared++
		diff(t, i, got[n], want[n])
	}
}

func agreed(steps []invocation, got, want []result) bool {
	for n, i := range steps {
		if !i.agree(got[n], want[n]) {
			return false
		}
	}
	return true
}

var granted = regexp.MustCompile(`^lease ([0-9a-f]{16}) granted`)

func (b *bench) play(t *testing.T, path string, start func() []rule, steps []invocation) []result {
	t.Helper()
	rules := []rule{revisions(b.wipe(t)), took}
	if start != nil {
		rules = append(rules, start()...)
	}
	var (
		results []result
		own     = append(slices.Clone(b.vars), "‹tool›", path)
		vars    = own
		fixed   = len(rules)
	)
	for _, i := range steps {
		r := run(t, path, i, strings.NewReplacer(vars...))
		if m := granted.FindStringSubmatch(r.stdout); m != nil {
			vars = append(slices.Clone(own), "‹lease›", m[1])
			rules = append(rules[:fixed:fixed], leaseID(t, m[1]))
		}
		for _, rewrite := range rules {
			r.stdout = rewrite(r.stdout)
		}
		if slices.Contains(i.args, "lock") {
			r.stdout = lockLease(r.stdout)
		}
		results = append(results, r)
	}
	return results
}

// wipe deletes all keys and leases of the cluster and returns its revision.
func (b *bench) wipe(t *testing.T) int64 {
	t.Helper()
	b.unlock(t)
	ctx := context.Background()
	leases, err := b.lease.LeaseLeases(ctx, &pb.LeaseLeasesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range leases.GetLeases() {
		if _, err := b.lease.LeaseRevoke(ctx, &pb.LeaseRevokeRequest{ID: l.GetID()}); err != nil && !errors.Is(rpctypes.Error(err), rpctypes.ErrLeaseNotFound) {
			t.Fatal(err)
		}
	}
	r, err := b.kv.DeleteRange(ctx, &pb.DeleteRangeRequest{Key: []byte{0}, RangeEnd: []byte{0}})
	if err != nil {
		t.Fatal(err)
	}
	return r.GetHeader().GetRevision()
}

// rule replaces what inevitably differs between two runs.
type rule func(stdout string) string

var revision = regexp.MustCompile(`("(?:revision|create_revision|mod_revision)":|"(?:Prev)?(?:Revision|CreateRevision|ModRevision)" : |rev=|REVISION=|notify: )(\d+)`)

// revisions makes revisions relative to base. It finds them by the names in front
// of them; all other numbers stay unchanged.
func revisions(base int64) rule {
	return func(s string) string {
		return revision.ReplaceAllStringFunc(s, func(found string) string {
			m := revision.FindStringSubmatch(found)
			n, err := strconv.ParseInt(m[2], 10, 64)
			if err != nil || n == 0 { // 0 means none
				return found
			}
			return fmt.Sprintf("%s‹%+d›", m[1], n-base)
		})
	}
}

// leaseID replaces one lease ID, in hexadecimal and in decimal.
func leaseID(t *testing.T, hex string) rule {
	t.Helper()
	n, err := strconv.ParseInt(hex, 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer(
		hex, "‹lease›",
		strconv.FormatInt(n, 16), "‹lease›",
		strconv.FormatInt(n, 10), "‹lease›",
	).Replace
}

var (
	lockKey = regexp.MustCompile(`(?m)(resource/)[0-9a-f]{1,16}\b`)
	// In JSON the key is in base64; these are its first nine bytes, "resource/".
	lockKey64      = regexp.MustCompile(`"cmVzb3VyY2Uv[0-9A-Za-z+/=]+"`)
	lockLeaseField = regexp.MustCompile(`("lease":|"Lease" : )[1-9][0-9]*`)
)

// lockLease replaces the lease in the output of lock for the lock named resource,
// since the tool grants that lease itself.
func lockLease(s string) string {
	s = lockKey.ReplaceAllString(s, "${1}‹lease›")
	s = lockKey64.ReplaceAllString(s, `"resource/‹lease›"`)
	return lockLeaseField.ReplaceAllString(s, "${1}‹lease›")
}

var duration = regexp.MustCompile(`(took = |"took":"|"Took" : |\]\. took )[0-9.]+[nµm]?s`)

// took replaces the durations that endpoint health and defrag have measured.
func took(s string) string { return duration.ReplaceAllString(s, "${1}‹took›") }

// agree reports whether two results agree in everything that i compares.
func (i invocation) agree(got, want result) bool {
	switch {
	case got.code != want.code:
		return false
	case i.statusOnly:
		return true
	case i.anyOrder:
		return sortLines(got.stdout) == sortLines(want.stdout)
	}
	return got.stdout == want.stdout
}

func sortLines(s string) string {
	lines := strings.SplitAfter(s, "\n")
	slices.Sort(lines)
	return strings.Join(lines, "")
}

func diff(t *testing.T, i invocation, got, want result) {
	t.Helper()
	if !i.agree(got, want) {
		t.Errorf("%v\n got exit status %d, stdout %q\nwant exit status %d, stdout %q\ngetcd's stderr: %s\netcdctl's stderr: %s",
			i, got.code, got.stdout, want.code, want.stdout, got.stderr, want.stderr)
	}
}
