// Package cookbook_test runs the programs of examples/ as their readers would, on real
// members, and breaks the cluster in the middle.
package cookbook_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/integration/internal/environ"
	"github.com/getcd/getcd/integration/proxy"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lease"
	"github.com/getcd/getcd/middleware/once"
)

// patience is how long a program may take to print what is expected of it.
const patience = time.Minute

func TestMain(m *testing.M) {
	cluster.Main()
	environ.Clear("ETCDCTL_")
	os.Exit(m.Run())
}

// A kitchen is a cluster, and a program that has been built.
type kitchen struct {
	*testing.T
	cluster *cluster.Cluster
	program string
	env     []string
	store   *client.Client // the test's own
}

// examples has our programs, and clientv3 the same ones as they are without getcd.
var (
	examples = filepath.Join("..", "..", "examples")
	clientv3 = "clientv3"
)

// both tests a program of examples/ and the same one written on clientv3.
func both(t *testing.T, name string, test func(k *kitchen)) {
	t.Helper()
	bothOn(t, name, cluster.Config{}, test)
}

// bothOn is both with another cluster.
func bothOn(t *testing.T, name string, cfg cluster.Config, test func(k *kitchen)) {
	t.Helper()
	t.Parallel()
	t.Run("getcd", func(t *testing.T) { test(cookIn(t, examples, name, cfg)) })
	t.Run("clientv3", func(t *testing.T) { test(cookIn(t, clientv3, name, cfg)) })
}

// cookIn builds a program and starts a cluster for it.
func cookIn(t *testing.T, dir, name string, cfg cluster.Config) *kitchen {
	t.Helper()
	k := cookOn(t, dir, name, cfg)
	k.connect(client.Config{})
	k.env = []string{"ETCDCTL_ENDPOINTS=" + strings.Join(k.cluster.Endpoints(), ",")}
	return k
}

// cookOn is cookIn with another cluster, and without a client or an environment.
func cookOn(t *testing.T, dir, name string, cfg cluster.Config) *kitchen {
	t.Helper()
	if testing.Short() {
		t.Skip("the programs take two minutes, and have no race detector")
	}
	t.Parallel()
	program := filepath.Join(t.TempDir(), name)
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./"+name) //nolint:gosec // the name is the test's
	build.Dir = dir
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	c, err := cluster.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	return &kitchen{T: t, cluster: c, program: program}
}

// connect makes the test's own client.
func (k *kitchen) connect(cfg client.Config) {
	k.Helper()
	cfg.Endpoints = k.cluster.Endpoints()
	cfg.Middleware = []client.Middleware{once.Of("kitchen/")} // faults fail none of its writes
	store, err := client.New(cfg)
	if err != nil {
		k.Fatal(err)
	}
	k.Cleanup(func() { _ = store.Close() })
	k.store = store
}

// stall stops the leader as a machine that hangs is stopped, until the test continues it.
func (k *kitchen) stall() (proceed func()) {
	k.Helper()
	leader, err := k.cluster.Leader(k.Context())
	if err == nil {
		err = leader.Pause()
	}
	if err != nil {
		k.Fatal(err)
	}
	return func() {
		k.Helper()
		if err := leader.Continue(); err != nil {
			k.Fatal(err)
		}
	}
}

func (k *kitchen) put(key, value string) {
	k.Helper()
	if _, err := k.store.Put(k.Context(), key, value); err != nil {
		k.Fatal(err)
	}
}

// keys returns what is below prefix.
func (k *kitchen) keys(prefix string) map[string]string {
	k.Helper()
	resp, err := k.store.Get(k.Context(), prefix, kv.WithPrefix())
	if err != nil {
		k.Fatal(err)
	}
	found := make(map[string]string)
	for _, pair := range resp.Kvs {
		found[strings.TrimPrefix(string(pair.Key), prefix)] = string(pair.Value)
	}
	return found
}

// A process is one of a program's that runs.
type process struct {
	k    *kitchen
	name string
	cmd  *exec.Cmd

	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{} // closed when there is more text
	read    int           // what want has passed
}

// start starts the program.
func (k *kitchen) start(args ...string) *process {
	k.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(k.Context()))
	p := &process{k: k, name: strings.Join(args, " "), changed: make(chan struct{})}
	p.cmd = exec.CommandContext(ctx, k.program, args...) //nolint:gosec // what was built
	p.cmd.Env = append(os.Environ(), k.env...)
	p.cmd.Stdout, p.cmd.Stderr = p, p
	if err := p.cmd.Start(); err != nil {
		k.Fatal(err)
	}
	k.Cleanup(func() {
		cancel()
		if p.cmd.ProcessState == nil {
			_ = p.cmd.Wait()
		}
		if k.Failed() {
			k.Logf("%s printed:\n%s", p.name, p.printed())
		}
	})
	return p
}

// do runs the program to its end, and returns what it printed.
func (k *kitchen) do(args ...string) (string, error) {
	k.Helper()
	p := k.start(args...)
	err := p.cmd.Wait()
	return p.printed(), err
}

// Write takes what the program prints.
func (p *process) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.changed)
	p.changed = make(chan struct{})
	return p.text.Write(text)
}

func (p *process) printed() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

// want waits until the program has printed text, after what the last want has found.
func (p *process) want(text string) {
	p.k.Helper()
	deadline := time.After(patience)
	for {
		p.mu.Lock()
		rest, changed := p.text.String()[p.read:], p.changed
		if at := strings.Index(rest, text); at >= 0 {
			p.read += at + len(text)
			p.mu.Unlock()
			return
		}
		p.mu.Unlock()
		select {
		case <-changed:
		case <-deadline:
			p.k.Fatalf("%s has not printed %q in %v", p.name, text, patience)
		}
	}
}

// word waits for text, and returns the word that follows it.
func (p *process) word(text string) (word string) {
	p.k.Helper()
	p.want(text)
	p.k.eventually(text+"is followed by a word", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		var whole bool
		word, _, whole = strings.Cut(p.text.String()[p.read:], "\n")
		return whole
	})
	return word
}

// stop ends the program as ctrl-C does. It must succeed.
func (p *process) stop() {
	p.k.Helper()
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		p.k.Fatal(err)
	}
	if err := p.cmd.Wait(); err != nil {
		p.k.Errorf("%s: %v", p.name, err)
	}
}

// crash ends the program without a word.
func (p *process) crash() {
	p.k.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		p.k.Fatal(err)
	}
	_ = p.cmd.Wait()
}

// misses lets the programs miss changes for good: they are cut off from a cluster with links
// while the changes are made and compacted.
func (k *kitchen) misses(changes ...kv.Op) {
	k.Helper()
	check := func(err error) {
		k.Helper()
		if err != nil {
			k.Fatal(err)
		}
	}
	check(k.cluster.WaitHealthy(k.Context())) // a write by Control is sent once
	for _, m := range k.cluster.Members() {
		check(m.ClientLink().Cut())
	}
	store := kv.New(k.cluster.Members()[0].Control())
	for _, op := range changes {
		_, err := store.Do(k.Context(), op)
		check(err)
	}
	_, err := store.Put(k.Context(), "kitchen", "a change of no interest")
	check(err)
	last, err := store.Put(k.Context(), "kitchen", "the last one is not compacted")
	check(err)
	_, err = store.Compact(k.Context(), last.Header.Revision)
	check(err)
	check(k.cluster.Heal())
}

// watched reports whether a member has a watch that has seen all there is.
func (k *kitchen) watched() bool {
	k.Helper()
	for _, m := range k.cluster.Members() {
		var all, behind int
		for line := range strings.Lines(k.get(m.ClientURL() + "/metrics")) {
			_, _ = fmt.Sscanf(line, "etcd_debugging_mvcc_watcher_total %d", &all)
			_, _ = fmt.Sscanf(line, "etcd_debugging_mvcc_slow_watcher_total %d", &behind)
		}
		if all > behind {
			return true
		}
	}
	return false
}

// get returns what a URL has.
func (k *kitchen) get(url string) string {
	k.Helper()
	req, err := http.NewRequestWithContext(k.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		k.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req) //nolint:gosec // the program's own address
	if err != nil {
		k.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		k.Fatal(err)
	}
	return string(text)
}

// eventually waits until ok holds.
func (k *kitchen) eventually(what string, ok func() bool) {
	k.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			k.Fatalf("not in %v: %s", patience, what)
		}
	}
}

func TestLeader(t *testing.T) {
	// When the member hangs, at least 1.7 s of the lead's 3 s are left: two thirds, less lease.Margin.
	// An election takes from one to two of etcd's timeouts, and more when votes are split.
	const timeout, left = 500 * time.Millisecond, 1500 * time.Millisecond
	cfg := cluster.Config{ElectionTimeout: timeout, HeartbeatInterval: timeout / 10}
	bothOn(t, "leader", cfg, func(k *kitchen) {
		a := k.start("a")
		a.want("a leads")
		b := k.start("b")
		a.want("a has done 5")
		done := func() int { return strings.Count(a.printed()+b.printed(), "has done") }
		before := done()
		stalled := time.Now()
		proceed := k.stall()
		if _, err := k.cluster.Leader(k.Context()); err != nil {
			k.Fatal(err)
		}
		elected := time.Since(stalled)
		k.eventually("the work goes on", func() bool { return done() >= before+25 })
		leads, other := a, b
		if strings.HasPrefix(k.keys("leader/work")[""], "b ") {
			leads, other = b, a
			if strings.HasSuffix(k.Name(), "/getcd") && elected < left { // clientv3 waits for the member that hangs
				k.Errorf("a has lost the lead, since a member hangs, though another one led after %v", elected)
			}
		}
		leads.crash()
		other.want(other.name + " leads")
		other.want(other.name + " has done 5")
		proceed()
		other.stop()
		if text := b.printed(); strings.Index(text, "b has done") < strings.Index(text, "b leads") {
			k.Error("b has worked before it led")
		}
	})
}

func TestJobQueue(t *testing.T) {
	const jobs = 12
	both(t, "jobqueue", func(k *kitchen) {
		for i := range jobs {
			k.put(fmt.Sprintf("jobqueue/todo/%02d", i), "a job")
		}
		a, b := k.start("a"), k.start("b")
		a.want("a has done")
		b.want("b has done")
		proceed := k.stall()
		b.want("works on")
		b.crash()
		k.eventually("all jobs are done", func() bool { return len(k.keys("jobqueue/done/")) == jobs })
		proceed()
		a.stop()
		for id, worker := range k.keys("jobqueue/done/") {
			a, b := strings.Count(a.printed(), "a has done "+id), strings.Count(b.printed(), "b has done "+id)
			if a+b > 1 {
				k.Errorf("job %s: a has done it %d times, b %d times; %s is recorded", id, a, b, worker)
			}
		}
		if left := k.keys("jobqueue/todo/"); len(left) > 0 {
			k.Errorf("left to do: %v", left)
		}
	})
}

func TestWorkerPool(t *testing.T) {
	const items = 20
	both(t, "workerpool", func(k *kitchen) {
		a, b := k.start("a"), k.start("b")
		add := []string{"add"}
		for i := range items {
			add = append(add, fmt.Sprintf("<%d>", i))
		}
		begun := time.Now()
		if out, err := k.do(add...); err != nil {
			k.Fatal(err, out)
		}
		a.want("has done")
		proceed := k.stall()
		k.eventually("all items are taken", func() bool {
			return strings.Count(a.printed()+b.printed(), "has done") >= items
		})
		if took := time.Since(begun); took < (items-1)*250*time.Millisecond {
			k.Errorf("%d items took %v: more than four a second", items, took)
		}
		proceed()
		a.stop()
		b.stop()
		for i := range items {
			item := fmt.Sprintf("has taken <%d>", i)
			if n := strings.Count(a.printed()+b.printed(), item); n != 1 {
				k.Errorf("%q was printed %d times", item, n)
			}
		}
	})
}

// Each item is added once and taken once, though answers are lost all the time.
func TestWorkerPoolLosesAnswers(t *testing.T) {
	t.Parallel()
	for name, dir := range map[string]string{"getcd": examples, "clientv3": clientv3} {
		t.Run(name, func(t *testing.T) {
			k := cookOn(t, dir, "workerpool", cluster.Config{Links: true})
			k.env = []string{"ETCDCTL_ENDPOINTS=" + strings.Join(k.cluster.Endpoints(), ",")}
			links := func(do func(*proxy.Link) error) {
				for _, m := range k.cluster.Members() {
					if err := do(m.ClientLink()); err != nil {
						t.Error(err)
					}
				}
			}
			links(func(l *proxy.Link) error { return l.SetDelay(0, 30*time.Millisecond) })
			ctx, cancel := context.WithCancel(t.Context())
			var breaker sync.WaitGroup
			breaker.Go(func() {
				tick := time.NewTicker(300 * time.Millisecond)
				defer tick.Stop()
				for {
					select {
					case <-tick.C:
						links((*proxy.Link).Reset)
					case <-ctx.Done():
						return
					}
				}
			})
			t.Cleanup(func() { cancel(); breaker.Wait() })
			const items = 20
			add := []string{"add"}
			for i := range items {
				add = append(add, fmt.Sprintf("<%d>", i))
			}
			if out, err := k.do(add...); err != nil {
				t.Fatal(err, out)
			}
			a, b := k.start("a"), k.start("b")
			k.eventually("all items are taken", func() bool {
				return strings.Count(a.printed()+b.printed(), "has done") >= items
			})
			cancel()
			breaker.Wait()
			a.stop()
			b.stop()
			for i := range items {
				item := fmt.Sprintf("has taken <%d>", i)
				if n := strings.Count(a.printed()+b.printed(), item); n != 1 {
					t.Errorf("%q was printed %d times", item, n)
				}
			}
		})
	}
}

func TestCron(t *testing.T) {
	both(t, "cron", func(k *kitchen) {
		a, b := k.start("a"), k.start("b")
		k.eventually("two runs", func() bool { return strings.Count(a.printed()+b.printed(), " runs ") >= 2 })
		proceed := k.stall()
		k.eventually("six runs", func() bool { return strings.Count(a.printed()+b.printed(), " runs ") >= 6 })
		proceed()
		a.crash()
		before := strings.Count(b.printed(), " runs ")
		k.eventually("two more runs, by b", func() bool { return strings.Count(b.printed(), " runs ") >= before+2 })
		b.stop()
		runs := make(map[string]bool)
		for line := range strings.SplitSeq(a.printed()+b.printed(), "\n") {
			if _, when, ok := strings.Cut(line, " runs "); ok {
				if runs[when] {
					k.Errorf("the job of %s has run twice", when)
				}
				runs[when] = true
			}
		}
	})
}

func TestBlueGreen(t *testing.T) {
	bothOn(t, "bluegreen", cluster.Config{Links: true}, func(k *kitchen) {
		k.put("bluegreen/active", "blue")
		router := k.start("route")
		router.want("traffic goes to blue")
		if out, err := k.do("switch", "blue", "green"); err == nil || !strings.Contains(out, "green is not healthy") {
			k.Errorf("a switch to an unhealthy version: %v, %s", err, out)
		}
		k.put("bluegreen/health/green", "ok")
		proceed := k.stall()
		if out, err := k.do("switch", "blue", "green"); err != nil {
			k.Error(err, out)
		}
		router.want("traffic goes to green")
		proceed()
		k.misses()
		k.eventually("the router watches again", k.watched)
		k.put("bluegreen/active", "red")
		router.want("traffic goes to red")
		k.misses(kv.OpPut("bluegreen/active", "black"))
		router.want("traffic goes to black")
		router.stop()
		if want := []string{"blue", "green", "red", "black"}; router.printed() != "traffic goes to "+strings.Join(want, "\ntraffic goes to ")+"\n" {
			k.Errorf("the router has not heard of %q, each once", want)
		}
	})
}

// The answer to a switch is lost once it has been made. The program finds out.
func TestBlueGreenLostAnswer(t *testing.T) {
	bothOn(t, "bluegreen", cluster.Config{Links: true}, func(k *kitchen) {
		k.put("bluegreen/active", "blue")
		k.put("bluegreen/health/green", "ok")
		for _, m := range k.cluster.Members() {
			if err := m.ClientLink().SetDelay(0, 500*time.Millisecond); err != nil {
				k.Fatal(err)
			}
		}
		p := k.start("switch", "blue", "green")
		store := kv.New(k.cluster.Members()[0].Control())
		k.eventually("the switch is made", func() bool {
			resp, err := store.Get(k.Context(), "bluegreen/active")
			return err == nil && string(resp.Kvs[0].Value) == "green"
		})
		for _, m := range k.cluster.Members() {
			if err := m.ClientLink().Cut(); err != nil { // the answer is on its way
				k.Fatal(err)
			}
			if err := m.ClientLink().SetDelay(0, 0); err != nil {
				k.Fatal(err)
			}
		}
		if err := k.cluster.Heal(); err != nil {
			k.Fatal(err)
		}
		if err := p.cmd.Wait(); err != nil {
			k.Errorf("the switch was made, and the program says %v, %s", err, p.printed())
		}
	})
}

func TestLiveConfig(t *testing.T) {
	both(t, "liveconfig", func(k *kitchen) {
		k.put("liveconfig/settings", `{"logLevel": "info", "workers": 2}`)
		p := k.start()
		p.want("log level info, 2 workers")
		k.put("liveconfig/settings", `{"logLevel": "info", "workers": 0}`)
		p.want("kept the last good value")
		p.want("workers must be at least 1")
		if _, err := k.store.Delete(k.Context(), "liveconfig/settings"); err != nil {
			k.Fatal(err)
		}
		proceed := k.stall()
		k.put("liveconfig/settings", `{"logLevel": "debug", "workers": 4}`)
		p.want("log level debug, 4 workers")
		if strings.Contains(p.printed(), " 0 workers") {
			k.Error("it has taken nothing for a value")
		}
		proceed()
		p.stop()
	})
}

func TestFlags(t *testing.T) {
	bothOn(t, "flags", cluster.Config{Links: true}, func(k *kitchen) {
		k.put("flags/dark", `{"percent": 100}`)
		p := k.start()
		url := "http://" + p.word("listening on ")
		ask := func(flag string) string { return k.get(url + "/" + flag + "?user=anna") }
		if got := ask("dark") + ask("new"); got != "true\nfalse\n" {
			k.Errorf("got %q", got)
		}
		k.put("flags/dark", `{"percent":`)
		p.want(`"flags/dark"`)
		p.want("is bad")
		if got := ask("dark"); got != "true\n" {
			k.Errorf("got %q, and the last good value is true", got)
		}
		proceed := k.stall()
		k.put("flags/dark", `{"percent": 0}`)
		k.put("flags/new", `{"percent": 100}`)
		k.eventually("the flags have changed", func() bool { return ask("dark")+ask("new") == "false\ntrue\n" })
		proceed()
		k.misses(kv.OpPut("flags/dark", `{"percent": 100}`), kv.OpDelete("flags/new"))
		k.eventually("the flags are back", func() bool { return ask("dark")+ask("new") == "true\nfalse\n" })
		p.stop()
	})
}

func TestMirror(t *testing.T) {
	bothOn(t, "mirror", cluster.Config{Links: true}, func(k *kitchen) {
		for i := range 50 {
			k.put(fmt.Sprintf("m/%d", i), "x")
		}
		p := k.start("m/")
		p.want("has 50 keys")
		proceed := k.stall()
		for i := range 50 {
			k.put(fmt.Sprintf("m/%d", 50+i), "x")
		}
		p.want("has 100 keys")
		proceed()
		k.misses(kv.OpDelete("m/7"))
		p.want("has 99 keys")
		p.stop()
	})
}

func TestRegistry(t *testing.T) {
	both(t, "registry", func(k *kitchen) {
		a, b := k.start("serve", "a"), k.start("serve", "b")
		addrA, addrB := a.word("a serves on "), b.word("b serves on ")
		calls := k.start("call")
		calls.want("answered by " + addrA)
		calls.want("answered by " + addrB)
		proceed := k.stall()
		a.crash()
		k.eventually("a is no longer registered", func() bool { return len(k.keys("registry/")) == 1 })
		c := k.start("serve", "c")
		calls.want("answered by " + c.word("c serves on "))
		calls.want("answered by " + addrB)
		proceed()
		// A leader that was stopped may itself revoke a lease when it continues (etcd 3.7.3).
		var of lease.ID
		k.eventually("b's key is there", func() bool {
			got, err := k.store.Get(k.Context(), "registry/b")
			if err != nil {
				k.Fatal(err)
			}
			if len(got.Kvs) == 1 {
				of = lease.ID(got.Kvs[0].Lease)
			}
			return of != lease.NoLease
		})
		if _, err := k.store.Revoke(k.Context(), of); err != nil && !errors.Is(err, rpctypes.ErrLeaseNotFound) {
			k.Fatal(err)
		}
		k.eventually("b is registered again", func() bool { return len(k.keys("registry/")) == 2 })
		calls.stop()
		b.stop()
		c.stop()
		if left := k.keys("registry/"); len(left) > 0 {
			k.Errorf("servers that have left are registered: %v", left)
		}
	})
}
