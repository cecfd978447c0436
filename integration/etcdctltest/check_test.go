package etcdctltest

import (
	"bytes"
	"context"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/integration/cluster"
)

// measured matches what differs between two runs of a check.
var measured = regexp.MustCompile(`\d+ writes/s|\d+\.\d+s\b|-?\d+\.\d\d MB|[Rr]evision \d+`)

func (r result) unmeasured() result {
	r.stdout = measured.ReplaceAllString(r.stdout, "‹measured›")
	return r
}

// runLong is run for a tool that takes minutes. Unless interrupt is nil, the tool gets SIGINT when
// interrupt has returned.
func runLong(t *testing.T, path string, i invocation, vars *strings.Replacer, interrupt func(ctx context.Context)) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := command(ctx, path, i, vars)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		t.Error(err)
		return result{}
	}
	var interrupted sync.WaitGroup
	if interrupt != nil {
		interrupted.Go(func() {
			interrupt(ctx)
			_ = cmd.Process.Signal(os.Interrupt)
		})
	}
	_ = cmd.Wait() // the exit status has the result
	cancel()
	interrupted.Wait()
	return result{stdout: stdout.String(), stderr: stderr.String(), code: cmd.ProcessState.ExitCode()}
}

// hasKeys waits until the cluster has a key.
func (b *bench) hasKeys(ctx context.Context) {
	for ctx.Err() == nil {
		r, err := b.kv.Range(ctx, &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}, Limit: 1})
		if err == nil && len(r.GetKvs()) > 0 {
			return
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

func TestCheckDatascale(t *testing.T) {
	b := newBench(t, cluster.Config{Size: 1})
	vars := strings.NewReplacer(b.vars...)
	b.wipe(t)
	for _, line := range []string{"check datascale --load=tiny", "check datascale --nonsense", "check datascale -w xml", "check perf --load=xlarge", "check perf -w xml"} {
		b.same(t, at(sh(line)))
	}
	i := at(sh("check datascale --prefix=/data/ --auto-compact --auto-defrag"))
	var results []result
	for _, tool := range []string{b.etcdctl, b.getcd} {
		results = append(results, runLong(t, tool, i, vars, nil).unmeasured())
		if all := b.content(t); len(all) > 0 {
			t.Errorf("%s left %d keys behind", tool, len(all))
		}
	}
	diff(t, i, results[1], results[0])
	if !strings.Contains(results[1].stdout, "PASS: Approximate system memory used : ‹measured›.\n") {
		t.Errorf("got %q, want it passed", results[1].stdout)
	}

	// Keys of other programs are not touched.
	b.put(t, "/data/k", "v")()
	for _, command := range []string{"datascale", "perf"} {
		b.same(t, at(sh("check "+command+" --prefix=/data/")))
	}
	if all := b.content(t); len(all) != 1 {
		t.Errorf("got %q, want the key that was there", all)
	}
	b.wipe(t)

	// An interrupt at work leaves nothing behind; etcdctl leaves the keys.
	if r := runLong(t, b.getcd, at(sh("check datascale --load=l")), vars, b.hasKeys); r.code != 130 || len(b.content(t)) > 0 {
		t.Errorf("got exit status %d and %d keys, want 130 and none\nstderr: %s", r.code, len(b.content(t)), r.stderr)
	}
	if r := runLong(t, b.getcd, at(sh("check perf")), vars, b.hasKeys); r.code > 1 || !strings.Contains(r.stdout, "Throughput") || len(b.content(t)) > 0 {
		t.Errorf("got exit status %d, stdout %q and %d keys, want a report and none\nstderr: %s", r.code, r.stdout, len(b.content(t)), r.stderr)
	}
}

// TestCheckDatascaleOverTLS reads the member's metrics over TLS.
func TestCheckDatascaleOverTLS(t *testing.T) {
	b, user := newSecureBench(t)
	// Both forms work; etcdctl accepts only the second one, and ignores --cacert.
	for _, endpoint := range []string{"‹ep0›", "https://‹ep0›"} {
		i := words("--endpoints", endpoint, "--cacert="+user.CA, "--cert="+user.Cert, "--key="+user.Key, "check", "datascale")
		if r := runLong(t, b.getcd, i, strings.NewReplacer(b.vars...), nil); r.code != 0 || !strings.Contains(r.stdout, "PASS: ") {
			t.Errorf("%v: got exit status %d, stdout %q\nstderr: %s", i, r.code, r.stdout, r.stderr)
		}
	}
}

// TestCheckPerf takes a minute; the tools run concurrently.
func TestCheckPerf(t *testing.T) {
	if testing.Short() {
		t.Skip("a check takes a minute")
	}
	t.Parallel()
	b := newBench(t, cluster.Config{Size: 1})
	vars := strings.NewReplacer(b.vars...)
	results := make(chan result, 1)
	go func() {
		results <- runLong(t, b.etcdctl, at(sh("check perf --prefix=/its/ --auto-compact --auto-defrag")), vars, nil).unmeasured()
	}()
	i := at(sh("check perf --prefix=/mine/ --load=small --auto-compact --auto-defrag"))
	got, want := runLong(t, b.getcd, i, vars, nil).unmeasured(), <-results
	// On a busy machine either may fail, so PASS and FAIL are ignored, too.
	verdict := strings.NewReplacer("PASS: ", "", "FAIL: ", "", "PASS\n", "", "FAIL\n", "", "Slowest request took too long: ", "Slowest request took ",
		"Stddev too high: ", "Stddev is ", "Throughput too low: ", "Throughput is ")
	if g, w := verdict.Replace(got.stdout), verdict.Replace(want.stdout); g != w || w == "" {
		t.Errorf("%v\n got %q\nwant %q\nstderr: %s", i, g, w, got.stderr)
	}
	for _, r := range []result{got, want} {
		if passed := strings.HasSuffix(r.stdout, "\nPASS\n"); passed != (r.code == 0) {
			t.Errorf("got exit status %d of %q", r.code, r.stdout)
		}
	}
	t.Logf("etcdctl: %s\ngetcd: %s", want.stdout, got.stdout)
	if all := b.content(t); len(all) > 0 {
		t.Errorf("%d keys were left behind", len(all))
	}
}
