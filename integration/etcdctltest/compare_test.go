package etcdctltest

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/integration/cluster"
)

// bench is two tools and a cluster to compare them on.
type bench struct {
	tools
	cluster *cluster.Cluster
	vars    []string // pairs for strings.NewReplacer
	kv      pb.KVClient
	lease   pb.LeaseClient
}

func newBench(t *testing.T, tl tools, c *cluster.Cluster) *bench {
	t.Helper()
	cc := c.Members()[0].Control()
	return &bench{
		tools: tl, cluster: c, kv: pb.NewKVClient(cc), lease: pb.NewLeaseClient(cc),
		vars: []string{"‹eps›", strings.Join(c.Endpoints(), ","), "‹ep0›", c.Endpoints()[0]},
	}
}

// same compares the tools on the state as it is, which i must not change. When
// they differ, etcdctl runs once more: only if it then says the same as before
// has the state stood still and the difference is real.
func (b *bench) same(t *testing.T, i invocation) {
	t.Helper()
	vars := strings.NewReplacer(b.vars...)
	const rounds = 10
	for range rounds {
		want := run(t, b.etcdctl, i, vars)
		got := run(t, b.getcd, i, vars)
		if (got.stdout == want.stdout || i.statusOnly) && got.code == want.code {
			return
		}
		if again := run(t, b.etcdctl, i, vars); again.stdout == want.stdout && again.code == want.code {
			diff(t, i, got, want)
			return
		}
	}
	t.Fatalf("%v: the tools differed, and so did etcdctl from itself, in %d rounds", i, rounds)
}

// scenario has each tool play the steps from an empty key space, and compares
// every step.
func (b *bench) scenario(t *testing.T, steps ...invocation) {
	t.Helper()
	want := b.play(t, b.etcdctl, steps)
	got := b.play(t, b.getcd, steps)
	for n, i := range steps {
		diff(t, i, got[n], want[n])
	}
}

var granted = regexp.MustCompile(`^lease ([0-9a-f]{16}) granted`)

func (b *bench) play(t *testing.T, path string, steps []invocation) []result {
	t.Helper()
	base := b.wipe(t)
	var (
		results []result
		own     = append(slices.Clone(b.vars), "‹tool›", path)
		vars    = own
		rules   = []rule{revisions(base), took}
	)
	for _, i := range steps {
		r := run(t, path, i, strings.NewReplacer(vars...))
		if m := granted.FindStringSubmatch(r.stdout); m != nil {
			vars = append(slices.Clone(own), "‹lease›", m[1])
			rules = []rule{revisions(base), took, leaseID(t, m[1])}
		}
		for _, rewrite := range rules {
			r.stdout = rewrite(r.stdout)
		}
		if slices.Contains(i.args, "lock") {
			r.stdout = lockLease(r.stdout)
		}
		if i.anyOrder {
			r.stdout = sortLines(r.stdout)
		}
		results = append(results, r)
	}
	return results
}

// wipe empties the cluster of keys and leases and returns its revision.
func (b *bench) wipe(t *testing.T) int64 {
	t.Helper()
	ctx := context.Background()
	leases, err := b.lease.LeaseLeases(ctx, &pb.LeaseLeasesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range leases.GetLeases() {
		if _, err := b.lease.LeaseRevoke(ctx, &pb.LeaseRevokeRequest{ID: l.GetID()}); err != nil {
			t.Fatal(err)
		}
	}
	r, err := b.kv.DeleteRange(ctx, &pb.DeleteRangeRequest{Key: []byte{0}, RangeEnd: []byte{0}})
	if err != nil {
		t.Fatal(err)
	}
	return r.GetHeader().GetRevision()
}

// rule replaces what inherently differs between two runs.
type rule func(stdout string) string

var revision = regexp.MustCompile(`("(?:revision|create_revision|mod_revision)":|"(?:Prev)?(?:Revision|CreateRevision|ModRevision)" : |rev=)(\d+)`)

// revisions counts revisions from base. It finds them by the names that go
// before them; every other number stays as it is.
func revisions(base int64) rule {
	return func(s string) string {
		return revision.ReplaceAllStringFunc(s, func(found string) string {
			m := revision.FindStringSubmatch(found)
			n, err := strconv.ParseInt(m[2], 10, 64)
			if err != nil {
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
	// In JSON the key is base64; these are the first nine bytes, "resource/".
	lockKey64      = regexp.MustCompile(`"cmVzb3VyY2Uv[0-9A-Za-z+/=]+"`)
	lockLeaseField = regexp.MustCompile(`("lease":|"Lease" : )[1-9][0-9]*`)
)

// lockLease replaces the lease in what lock prints of the lock named resource:
// the tool grants it itself.
func lockLease(s string) string {
	s = lockKey.ReplaceAllString(s, "${1}‹lease›")
	s = lockKey64.ReplaceAllString(s, `"resource/‹lease›"`)
	return lockLeaseField.ReplaceAllString(s, "${1}‹lease›")
}

var duration = regexp.MustCompile(`(took = |"took":"|"Took" : )[0-9.]+[nµm]?s`)

// took replaces the time that endpoint health measured.
func took(s string) string { return duration.ReplaceAllString(s, "${1}‹took›") }

func diff(t *testing.T, i invocation, got, want result) {
	t.Helper()
	if got.stdout != want.stdout && !i.statusOnly {
		t.Errorf("%v: stdout\n got %q\nwant %q\ngetcd's stderr: %s\netcdctl's stderr: %s", i, got.stdout, want.stdout, got.stderr, want.stderr)
	}
	if got.code != want.code {
		t.Errorf("%v: exit status\n got %d\nwant %d\ngetcd's stderr: %s\netcdctl's stderr: %s", i, got.code, want.code, got.stderr, want.stderr)
	}
}
