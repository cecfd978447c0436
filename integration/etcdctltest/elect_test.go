package etcdctltest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/getcd/getcd/integration/cluster"
)

func TestElect(t *testing.T) {
	b := newBench(t, cluster.Config{Size: 1})
	t.Run("lead", b.lead)
	t.Run("listen", b.listen)
	t.Run("mistakes", b.electMistakes)
	t.Run("signals", b.signals)
}

// elected runs each tool through a dialogue from an empty key space, and compares
// the outputs and the number of candidates that remain.
func (b *bench) elected(t *testing.T, remain int64, d dialogue) {
	t.Helper()
	b.both(t, []invocation{d.invocation}, func(path string) []result {
		base := b.wipe(t)
		r := hold(t, path, d, strings.NewReplacer(b.vars...))
		r.stdout = lockLease(revisions(base)(r.stdout))
		if n := b.candidates(t); n != remain {
			t.Errorf("%s %v: %d candidates are left, want %d", path, d.invocation, n, remain)
		}
		return []result{r}
	})
}

func (b *bench) candidates(t *testing.T) int64 {
	t.Helper()
	r, err := b.kv.Range(t.Context(), &pb.RangeRequest{Key: []byte("resource/"), RangeEnd: []byte("resource0"), CountOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	return r.GetCount()
}

// until waits until there are n candidates, and the last one waits: it watches the one before it.
// A signal before that would come while its request to stand is under way, and etcdctl would
// leave its key behind until the lease ends.
func (b *bench) until(t *testing.T, n int64) func() {
	t.Helper()
	return func() {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		for b.candidates(t) != n || b.watchers(t) == 0 {
			select {
			case <-ctx.Done():
				t.Errorf("there are %d candidates and %d watches, want %d and one", b.candidates(t), b.watchers(t), n)
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	}
}

// watchers returns how many watches there are.
func (b *bench) watchers(t *testing.T) (n int) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.cluster.Members()[0].ClientURL()+"/metrics", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req) //nolint:gosec // the member's own address
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	page, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(page)) {
		_, _ = fmt.Sscanf(line, "etcd_debugging_mvcc_watcher_total %d", &n)
	}
	return n
}

// stand adds a candidate, or changes its proposal, with the given lease. getcd
// counts only keys that are named after the lease that they are attached to.
func (b *bench) stand(t *testing.T, lease int64, proposal string) func() {
	t.Helper()
	return func() {
		_, err := b.lease.LeaseGrant(t.Context(), &pb.LeaseGrantRequest{ID: lease, TTL: 600})
		if err != nil && !errors.Is(rpctypes.Error(err), rpctypes.ErrLeaseExist) {
			t.Error(err)
		}
		key := fmt.Appendf(nil, "resource/%x", lease)
		if _, err := b.kv.Put(t.Context(), &pb.PutRequest{Key: key, Value: []byte(proposal), Lease: lease}); err != nil {
			t.Error(err)
		}
	}
}

// shownPair returns the texts, in order, with which a format shows one pair.
func shownPair(value, format string) []string {
	if format == "fields" {
		return []string{value, `"Count" : `, "\n"}
	}
	return []string{value, "\n"}
}

func (b *bench) lead(t *testing.T) {
	for _, format := range []string{"simple", "json", "fields"} {
		end := shownPair("proposal", format)
		d := dialogue{
			invocation: at(words("elect", "resource", "proposal", "-w="+format)),
			steps:      []step{{await: end}},
		}
		b.elected(t, 0, d)
		d.end = syscall.SIGTERM
		b.elected(t, 0, d)
		if format != "simple" {
			continue
		}
		// A waiter leads when the previous leader has left.
		d.steps = []step{
			{do: b.stand(t, 1, "first")},
			{do: b.until(t, 2)},
			{do: b.del(t, "resource/1"), await: end},
		}
		b.elected(t, 0, d)
		// A waiter that gives up leaves nothing behind.
		d.steps = []step{{do: b.stand(t, 1, "first")}, {do: b.until(t, 2)}}
		b.elected(t, 1, d)
	}
	// A leader that loses its lease stops leading and says so. etcdctl does so,
	// too, but takes a third of the lease's TTL to notice.
	b.wipe(t)
	r := hold(t, b.getcd, dialogue{
		invocation: at(words("elect", "resource", "proposal")), ends: true,
		steps: []step{{await: []string{"proposal\n"}}, {do: func() { b.wipe(t) }}},
	}, strings.NewReplacer(b.vars...))
	if r.code != 1 || !strings.Contains(r.stderr, "lost") {
		t.Errorf("got exit status %d, stderr %q, want 1, and that the leadership was lost", r.code, r.stderr)
	}
}

func (b *bench) listen(t *testing.T) {
	for _, format := range []string{"simple", "json", "fields"} {
		end := func(value string) []string { return shownPair(value, format) }
		for _, flag := range []string{"-l", "--listen"} {
			b.elected(t, 1, dialogue{
				invocation: at(words("elect", "resource", flag, "-w="+format)),
				steps: []step{
					{do: b.stand(t, 1, "the first"), await: end("the first")},
					{do: b.stand(t, 1, "once more"), await: end("once more")},
					{do: b.stand(t, 2, "the second")}, // it waits
					{do: b.stand(t, 1, "and again"), await: end("and again")},
					{do: b.del(t, "resource/1"), await: end("the second")},
					{do: b.del(t, "resource/2")},
					{do: b.stand(t, 3, "the third"), await: end("the third")},
				},
			})
		}
	}
}

func (b *bench) electMistakes(t *testing.T) {
	b.wipe(t)
	for _, line := range []string{
		"elect", "elect resource", "elect resource a b", "elect resource a -l", "elect -l", "elect resource a -w xml",
		"elect resource a --nonsense", "elect resource a --cert=nosuchfile",
	} {
		b.same(t, at(sh(line)))
	}
	// etcdctl leaves a candidate behind that it could not show.
	r := b.getcdRun(t, at(sh("elect resource a -w table")))
	if n := b.candidates(t); r.code != 4 || n != 0 {
		t.Errorf("got exit status %d and %d candidates, want 4 and none", r.code, n)
	}
	r = b.getcdRun(t, words("--endpoints", "127.0.0.1:1", "--command-timeout=200ms", "elect", "resource", "a"))
	if want := "127.0.0.1:1"; r.code != 1 || !strings.Contains(r.stderr, want) {
		t.Errorf("got exit status %d, stderr %q, want 1 and %q in it", r.code, r.stderr, want)
	}
}

// signals tests that signals end other commands that do not end by themselves.
func (b *bench) signals(t *testing.T) {
	for _, sig := range []os.Signal{syscall.SIGINT, syscall.SIGTERM} {
		b.elected(t, 0, dialogue{
			invocation: at(words("lock", "resource")), end: sig,
			steps: []step{{await: []string{"resource/", "\n", "\n"}}},
		})
		// A command that waits for a lock that is held.
		b.elected(t, 1, dialogue{
			invocation: at(words("lock", "resource", "echo", "never")), end: sig,
			steps: []step{{do: b.stand(t, 1, "")}, {do: b.until(t, 2)}},
		})
		b.wipe(t)
		if _, err := b.lease.LeaseGrant(t.Context(), &pb.LeaseGrantRequest{ID: 0x1234, TTL: 100}); err != nil {
			t.Fatal(err)
		}
		b.sameHeld(t, dialogue{
			invocation: at(words("lease", "keep-alive", "1234")), end: sig,
			steps: []step{{await: []string{"keepalived", "\n"}}},
		})
	}
}
