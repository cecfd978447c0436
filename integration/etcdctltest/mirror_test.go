package etcdctltest

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/watch"
)

// content returns all keys and values.
func (b *bench) content(t *testing.T) map[string]string {
	t.Helper()
	r, err := b.kv.Range(t.Context(), &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}})
	if err != nil {
		t.Fatal(err)
	}
	m := make(map[string]string)
	for _, pair := range r.GetKvs() {
		m[string(pair.GetKey())] = string(pair.GetValue())
	}
	return m
}

// TestMakeMirror compares the copies that the tools make of a state and of
// changes.
func TestMakeMirror(t *testing.T) {
	source := newBench(t, cluster.Config{Size: 1})
	plain := newBench(t, cluster.Config{Size: 1})
	for _, flags := range []string{
		"", "--prefix=a/", "--prefix=a/ --dest-prefix=x/y/", "--prefix=a/ --no-dest-prefix", "--dest-prefix=x/", "--rev=1", "--rev=‹next›",
		"--max-txn-ops=2", "--max-txn-ops=0 --prefix=a/1", "--prefix=nothing", "--dest-insecure-transport=true", "-w json",
	} {
		source.mirrored(t, plain, flags)
	}

	secure, user := newSecureBench(t)
	source.mirrored(t, secure, fmt.Sprintf("--dest-cacert=%s --dest-cert=%s --dest-key=%s --dest-insecure-transport=false", user.CA, user.Cert, user.Key))

	for _, line := range []string{"user add root:secret", "user grant-role root root", "auth enable"} {
		if r := plain.etcdctlRun(t, at(sh(line))); r.code != 0 {
			t.Fatalf("etcdctl %s: %s", line, r.stderr)
		}
	}
	root, err := client.New(client.Config{Endpoints: plain.cluster.Endpoints(), Username: "root", Password: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	authed := *plain
	authed.kv, authed.lease = pb.NewKVClient(root.Conn()), pb.NewLeaseClient(root.Conn())
	source.mirrored(t, &authed, "--dest-user=root:secret")
	source.mirrored(t, &authed, "--dest-user=root --dest-password=secret")

	source.vars = append(source.vars, "‹dest›", plain.cluster.Endpoints()[0])
	for _, line := range []string{
		"make-mirror", "make-mirror a b", "make-mirror ‹dest› --dest-prefix=x --no-dest-prefix", "make-mirror ‹dest› -w xml",
		"make-mirror ‹dest› --dest-cert=nosuchfile --dest-key=nosuchfile", "make-mirror ‹dest› --rev=x", "make-mirror ‹dest› --max-txn-ops=-1",
		"make-mirror ‹dest› --prefix=a/",                        // without a password
		"make-mirror ‹dest› --dest-user=root:wrong --prefix=a/", // with a wrong password
	} {
		source.same(t, at(sh(line)))
	}
	if _, err := source.kv.Compact(t.Context(), &pb.CompactionRequest{Revision: source.wipe(t)}); err != nil {
		t.Fatal(err)
	}
	source.same(t, at(sh("make-mirror ‹dest› --dest-user=root:secret --rev=2")))
	// etcdctl has no time limit here, and does not end.
	r := source.getcdRun(t, at(sh("make-mirror 127.0.0.1:1 --command-timeout=200ms")))
	if r.code != 1 || !strings.Contains(r.stderr, "the destination: ") {
		t.Errorf("got exit status %d, stderr %q, want 1 and word of the destination", r.code, r.stderr)
	}
	r = source.getcdRun(t, sh("--endpoints=127.0.0.1:1 make-mirror ‹dest› --dest-user=root:secret --command-timeout=200ms"))
	if r.code != 1 || strings.Contains(r.stderr, "the destination: ") {
		t.Errorf("got exit status %d, stderr %q, want 1 and word of the source", r.code, r.stderr)
	}
}

// mirrored mirrors from an empty source to an empty destination with each tool,
// and compares the results.
func (b *bench) mirrored(t *testing.T, dest *bench, flags string) {
	t.Helper()
	contents := make(map[string]map[string]string)
	results := make(map[string]result)
	for _, tool := range []string{b.etcdctl, b.getcd} {
		b.wipe(t)
		dest.wipe(t)
		for _, key := range []string{"a/1", "a/2", "a/3", "b/1", "a/1", "a/2"} {
			b.put(t, key, "value of "+key)()
		}
		r, err := b.kv.Put(t.Context(), &pb.PutRequest{Key: []byte("a/1"), Value: []byte("the last value before")})
		if err != nil {
			t.Fatal(err)
		}
		vars := strings.NewReplacer(append(slices.Clone(b.vars), "‹next›", fmt.Sprint(r.GetHeader().GetRevision()+1))...)
		i := at(words(append([]string{"make-mirror", dest.cluster.Endpoints()[0]}, strings.Fields(flags)...)...))
		results[tool] = hold(t, tool, dialogue{invocation: i, steps: []step{{do: func() {
			// When the last change with the prefix has arrived, all earlier ones
			// have, too.
			if !strings.Contains(flags, "rev=‹next›") && !strings.Contains(flags, "nothing") {
				dest.has(t, "the last value before")
			}
			b.several(t, "several at once", "a/1", "a/4", "b/2", "b/3")()
			b.del(t, "a/2")()
			b.del(t, "b/1")()
			b.put(t, "a/1", "the last value of all")()
			if !strings.Contains(flags, "nothing") {
				dest.has(t, "the last value of all")
			}
		}}}}, vars)
		contents[tool] = dest.content(t)
	}
	diff(t, sh("make-mirror "+flags), results[b.getcd], results[b.etcdctl])
	want, got := fmt.Sprint(contents[b.etcdctl]), fmt.Sprint(contents[b.getcd])
	if got != want {
		t.Errorf("make-mirror %s\n got %s\nwant %s", flags, got, want)
	}
}

// has waits for a value.
func (b *bench) has(t *testing.T, value string) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; {
		all := b.content(t)
		for _, v := range all {
			if v == value {
				return
			}
		}
		if time.Now().After(end) {
			t.Fatalf("there is no %q in %q", value, all)
		}
		time.Sleep(10 * time.Millisecond) // polling
	}
}

// revisionKeepsPrefix checks that with --rev getcd keeps the prefix in the
// destination. etcdctl says that it does, but does not.
func (b *bench) revisionKeepsPrefix(t *testing.T, dest *bench) {
	t.Helper()
	base := b.wipe(t)
	dest.wipe(t)
	r := hold(t, b.getcd, dialogue{
		invocation: at(words("make-mirror", dest.cluster.Endpoints()[0], "--prefix=a/", fmt.Sprintf("--rev=%d", base+1))),
		steps:      []step{{do: func() { b.put(t, "a/1", "a value")(); dest.has(t, "a value") }}},
	}, strings.NewReplacer(b.vars...))
	if want, got := "map[a/1:a value]", fmt.Sprint(dest.content(t)); got != want || r.code != 130 {
		t.Errorf("got exit status %d, %s, want 130, %s", r.code, got, want)
	}
}

// TestMakeMirrorCount waits for the first count, which is printed every 30 s.
func TestMakeMirrorCount(t *testing.T) {
	if testing.Short() {
		t.Skip("the first count comes after 30 s")
	}
	t.Parallel()
	source := newBench(t, cluster.Config{Size: 1})
	dest := newBench(t, cluster.Config{Size: 1})
	source.revisionKeepsPrefix(t, dest)
	source.pairs(t, 7)
	out := make(chan result, 2)
	for _, tool := range []string{source.etcdctl, source.getcd} {
		go func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			var stdout bytes.Buffer
			cmd := command(ctx, tool, at(words("make-mirror", dest.cluster.Endpoints()[0], "--dest-prefix="+tool)), strings.NewReplacer(source.vars...))
			cmd.Stdout = &firstLine{w: &stdout, do: func() { _ = cmd.Process.Signal(os.Interrupt) }}
			_ = cmd.Run() // a signal ends it
			out <- result{stdout: stdout.String()}
		}()
	}
	for range 2 {
		if r := <-out; r.stdout != "10\n" {
			t.Errorf("got %q, want %q", r.stdout, "10\n")
		}
	}
}

// TestMakeMirrorThroughFaults kills members on both sides while a mirror runs.
// The destination must have every change once and in order.
func TestMakeMirrorThroughFaults(t *testing.T) {
	t.Parallel()
	source := newBench(t, cluster.Config{})
	dest := newBench(t, cluster.Config{})
	from, to := dialAll(t, source.cluster), dialAll(t, dest.cluster)

	const keys = 3000
	for i := range keys {
		if _, err := from.Put(t.Context(), fmt.Sprintf("base/%05d", i), strings.Repeat("x", 100)); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), source.getcd, "--endpoints", strings.Join(source.cluster.Endpoints(), ","),
		"make-mirror", strings.Join(dest.cluster.Endpoints(), ","))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Signal(os.Interrupt)
		err := cmd.Wait()
		if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || ws.ExitStatus() != 130 {
			t.Errorf("the mirror ended with %v, want exit status 130\nstderr: %s", err, &stderr)
		}
	}()
	// The state is copied while a member of each cluster dies.
	kill(t, source.cluster, 0)
	kill(t, dest.cluster, 0)
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) { // polling
		r, err := to.Get(t.Context(), "base/", kv.WithPrefix(), kv.WithCountOnly())
		if err != nil {
			t.Fatal(err)
		}
		if r.Count == keys {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the mirror has %d keys, want %d\nstderr: %s", r.Count, keys, &stderr)
		}
	}
	fromRev, toRev := revisionOf(t, from), revisionOf(t, to)

	// Make changes while members on both sides die, including leaders.
	ctx, stop := context.WithCancel(t.Context())
	written := make(chan int, 1)
	go func() {
		n := 0
		for ; ctx.Err() == nil; n++ {
			var ops []kv.Op
			for range 1 + rand.IntN(3) {
				key := fmt.Sprintf("key%02d/%d", rand.IntN(30), len(ops))
				if rand.IntN(4) == 0 {
					ops = append(ops, kv.OpDelete(key))
				} else {
					ops = append(ops, kv.OpPut(key, fmt.Sprint("value ", n)))
				}
			}
			_, _ = from.Txn(ctx).Then(ops...).Commit() // the source's history shows whether it was applied
			time.Sleep(2 * time.Millisecond)
		}
		written <- n
	}()
	for round := range 4 {
		for _, c := range []*cluster.Cluster{source.cluster, dest.cluster} {
			kill(t, c, round)
		}
	}
	stop()
	n := <-written
	if _, err := from.Put(t.Context(), "the end", ""); err != nil {
		t.Fatal(err)
	}
	want, got := changes(t, from, fromRev+1), changes(t, to, toRev+1)
	if !slices.Equal(got, want) {
		i := 0
		for i < min(len(got), len(want)) && got[i] == want[i] {
			i++
		}
		t.Errorf("the mirror has %d revisions, want %d; they differ at the %d. revision:\n got %q\nwant %q", len(got), len(want), i,
			got[i:min(i+3, len(got))], want[i:min(i+3, len(want))])
	}
	t.Logf("%d transactions were tried, %d revisions mirrored", n, len(want))
	if a, b := contentOf(t, from), contentOf(t, to); a != b {
		t.Errorf("the mirror has\n%s\nwant\n%s", b, a)
	}
}

func dialAll(t *testing.T, c *cluster.Cluster) *client.Client {
	t.Helper()
	cli, err := client.New(client.Config{Endpoints: c.Endpoints()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cli.Close() })
	return cli
}

// kill kills the leader or, in odd rounds, another member, and restarts it.
func kill(t *testing.T, c *cluster.Cluster, round int) {
	t.Helper()
	victim, err := c.Leader(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if round%2 == 1 {
		for _, m := range c.Members() {
			if m != victim {
				victim = m
				break
			}
		}
	}
	if err := victim.Kill(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Duration(1000+rand.IntN(1000)) * time.Millisecond) // how long it is dead
	if err := victim.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.WaitHealthy(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func revisionOf(t *testing.T, c *client.Client) int64 {
	t.Helper()
	r, err := c.Get(t.Context(), "k", kv.WithCountOnly())
	if err != nil {
		t.Fatal(err)
	}
	return r.Header.GetRevision()
}

func contentOf(t *testing.T, c *client.Client) string {
	t.Helper()
	r, err := c.Get(t.Context(), "", kv.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, pair := range r.Kvs {
		fmt.Fprintf(&b, "%s=%s\n", pair.GetKey(), pair.GetValue())
	}
	return b.String()
}

// changes returns the history from a revision to the key "the end", one line per
// revision.
func changes(t *testing.T, c *client.Client, from int64) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	w := watch.New(c.Conn())
	defer func() { _ = w.Close() }()
	var lines []string
	var rev int64
	for r := range w.Watch(ctx, "", kv.WithPrefix(), kv.WithRev(from)) {
		for _, e := range r.Events {
			line := fmt.Sprintf("%s %s=%s", e.GetType(), e.GetKv().GetKey(), e.GetKv().GetValue())
			if e.GetKv().GetModRevision() == rev {
				lines[len(lines)-1] += "; " + line
			} else {
				lines = append(lines, line)
			}
			rev = e.GetKv().GetModRevision()
			if string(e.GetKv().GetKey()) == "the end" {
				return lines
			}
		}
	}
	t.Errorf("there is no end: %v", ctx.Err())
	return lines
}
