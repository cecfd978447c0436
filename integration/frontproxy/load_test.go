package frontproxy_test

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/integration/frontproxy"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/watch"
)

const limit = time.Minute

func timeout(tb testing.TB) context.Context {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), limit)
	tb.Cleanup(cancel)
	return ctx
}

// behind starts a proxy of the kind in front of the members.
func behind(t *testing.T, c *cluster.Cluster, cfg frontproxy.Config) *frontproxy.Proxy {
	t.Helper()
	cfg.Targets = c.Endpoints()
	p, err := frontproxy.Start(timeout(t), cfg)
	if errors.Is(err, exec.ErrNotFound) {
		t.Skipf("NOT TESTED behind %s: %v", cfg.Kind, err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("%s:\n%s", cfg.Kind, p.Log())
		}
	})
	return p
}

func startCluster(t *testing.T, links bool) *cluster.Cluster {
	t.Helper()
	c, err := cluster.Start(timeout(t), cluster.Config{Links: links, ElectionTimeout: 500 * time.Millisecond, HeartbeatInterval: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func dial(t *testing.T, endpoints ...string) *client.Client {
	t.Helper()
	c, err := client.Dial(timeout(t), client.Config{Endpoints: endpoints})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// load puts, reads and watches through a client, and records the results.
type load struct {
	t      *testing.T
	prefix string
	client *client.Client
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu        sync.Mutex
	acked     []string                 // guarded by mu: values whose Put returned nil
	doubts    []error                  // guarded by mu: the ambiguous failures
	errs      []error                  // guarded by mu: the certain failures
	readErrs  []error                  // guarded by mu
	seen      []string                 // guarded by mu: what the watch delivered
	watchErr  error                    // guarded by mu
	last, gap map[string]time.Duration // guarded by mu: by "put" and "read"
	start     time.Time
}

const putters = 4

func startLoad(t *testing.T, c *client.Client, prefix string) *load {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l := &load{t: t, prefix: prefix, client: c, cancel: cancel, start: time.Now(), last: map[string]time.Duration{}, gap: map[string]time.Duration{}}
	events := watch.New(c.Conn())
	l.wg.Go(func() {
		defer func() { _ = events.Close() }()
		for e, err := range events.Events(ctx, prefix, kv.WithPrefix(), kv.WithRev(1)) {
			l.mu.Lock()
			if err != nil {
				l.watchErr = err
			} else {
				l.seen = append(l.seen, string(e.Kv.Value))
			}
			l.mu.Unlock()
		}
	})
	for w := range putters {
		l.wg.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				value := fmt.Sprintf("%d-%d", w, n)
				call, end := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
				_, err := c.Put(call, fmt.Sprint(prefix, w), value)
				end()
				l.put(value, err)
			}
		})
	}
	l.wg.Go(func() {
		for ctx.Err() == nil {
			call, end := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
			_, err := c.Get(call, prefix, kv.WithPrefix())
			end()
			l.mu.Lock()
			if err != nil {
				l.readErrs = append(l.readErrs, err)
			} else {
				l.doneLocked("read")
			}
			l.mu.Unlock()
		}
	})
	return l
}

func (l *load) put(value string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err == nil:
		l.acked = append(l.acked, value)
		l.doneLocked("put")
	case client.IsAmbiguous(err):
		l.doubts = append(l.doubts, err)
	default:
		l.errs = append(l.errs, err)
	}
}

func (l *load) doneLocked(what string) {
	now := time.Since(l.start)
	l.gap[what] = max(l.gap[what], now-l.last[what])
	l.last[what] = now
}

// stop ends the load and compares the results that the client returned with the
// history that the members themselves report.
func (l *load) stop(direct *client.Client) {
	l.t.Helper()
	time.Sleep(time.Second)
	l.cancel = sync.OnceFunc(l.cancel)
	final, err := direct.Put(timeout(l.t), l.prefix+"end", "end")
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Logf("up to revision %d", final.Header.Revision)
	deadline := time.Now().Add(20 * time.Second)
	for {
		l.mu.Lock()
		arrived, failed := slices.Contains(l.seen, "end"), l.watchErr
		l.mu.Unlock()
		if arrived || failed != nil || time.Now().After(deadline) {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	l.cancel()
	l.wg.Wait()

	var truth []string
	ctx, cancel := context.WithCancel(timeout(l.t))
	defer cancel()
	last, err := direct.Put(ctx, l.prefix+"last", "last")
	if err != nil {
		l.t.Fatal(err)
	}
	for e, err := range direct.Events(ctx, l.prefix, kv.WithPrefix(), kv.WithRev(1)) {
		if err != nil {
			l.t.Fatal(err)
		}
		if e.Kv.ModRevision == last.Header.Revision {
			break
		}
		truth = append(truth, string(e.Kv.Value))
	}
	l.check(truth)
}

func (l *load) check(truth []string) {
	l.t.Helper()
	l.t.Logf("%d puts, %d in doubt, %d failed; %d events; longest without a put %v, without a read %v",
		len(l.acked), len(l.doubts), len(l.errs), len(l.seen), l.gap["put"], l.gap["read"])
	applied := map[string]int{}
	for _, v := range truth {
		if applied[v]++; applied[v] > 1 {
			l.t.Errorf("the put of %s was applied %d times", v, applied[v])
		}
	}
	for _, v := range l.acked {
		if applied[v] != 1 {
			l.t.Errorf("the put of %s returned nil and was applied %d times", v, applied[v])
		}
	}
	if n := len(l.doubts); n > 0 {
		l.t.Logf("the first and the last doubt: %v; %v", l.doubts[0], l.doubts[n-1])
	}
	for _, err := range l.errs {
		l.t.Errorf("a put failed: %v", err)
	}
	for _, err := range l.readErrs {
		l.t.Errorf("a read failed: %v", err)
	}
	if len(l.seen) > len(truth) || !slices.Equal(l.seen, truth[:len(l.seen)]) {
		l.t.Errorf("the watch delivered %d events that are not the first of the history's %d", len(l.seen), len(truth))
	}
	if !slices.Contains(l.seen, "end") {
		l.t.Errorf("the watch has %d of %d events: %v", len(l.seen), len(truth), l.watchErr)
	}
}

// membersFail makes each member fail for 2 s, in each of three ways, under a load
// that start starts and judge ends.
func membersFail(t *testing.T, c *cluster.Cluster, start func(t *testing.T, prefix string) *load, judge func(*testing.T, *load)) {
	t.Helper()
	for _, fault := range []struct {
		name        string
		begin, mend func(*cluster.Member) error
	}{
		{"killed", (*cluster.Member).Kill, func(m *cluster.Member) error { return m.Restart(timeout(t)) }},
		{"stalled", (*cluster.Member).Pause, (*cluster.Member).Continue},
		{"cut from its peers", (*cluster.Member).CutPeers, (*cluster.Member).HealPeers},
	} {
		t.Run(fault.name, func(t *testing.T) {
			l := start(t, strings.ReplaceAll(fault.name, " ", "-")+"/")
			for _, m := range c.Members() { // the client is using one of them
				time.Sleep(500 * time.Millisecond)
				if err := fault.begin(m); err != nil {
					t.Fatal(err)
				}
				time.Sleep(2 * time.Second)
				if err := fault.mend(m); err != nil {
					t.Fatal(err)
				}
				if err := c.WaitHealthy(timeout(t)); err != nil {
					t.Fatal(err)
				}
			}
			judge(t, l)
		})
	}
}

// allFail stops all members for a second, and then makes all of them hang for 3
// s.
func allFail(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	time.Sleep(time.Second)
	if err := c.Kill(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	if err := c.Restart(timeout(t)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	for _, m := range c.Members() {
		if err := m.Pause(); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(3 * time.Second)
	for _, m := range c.Members() {
		if err := m.Continue(); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.WaitHealthy(timeout(t)); err != nil {
		t.Fatal(err)
	}
}
