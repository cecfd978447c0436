package integration_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/lease"
)

// suspendedClient is an environment variable with endpoints. A process that has
// it runs the client of TestClientSuspended.
const suspendedClient = "GETCD_TEST_SUSPENDED_CLIENT"

// suspension is that client's report.
type suspension struct {
	Slept   time.Duration // the longest time in which nothing ran
	Expired bool          // the keeper of 2 s reported the expiry at the first check after that
	Kept    bool          // the keeper of 60 s is alive at the end
	Wrong   []string

	Reads, Writes, Events int64
	Severed, GivenUp      uint64
}

// The client's own process stops for 3 s, as in a debugger or in a frozen
// container: its clock jumps, but it misses nothing else. Calls in progress are
// answered when it resumes, no connection breaks, and a lease that may have
// expired meanwhile does not count as alive for a moment.
func TestClientSuspended(t *testing.T) {
	if endpoints := os.Getenv(suspendedClient); endpoints != "" {
		beSuspended(t, strings.Split(endpoints, ","))
		return
	}
	if runtime.GOOS == "windows" {
		t.Skip("no SIGSTOP")
	}
	c := startCluster(t, cluster.Config{})
	child := exec.CommandContext(timeout(t), os.Args[0], "-test.run=^TestClientSuspended$")
	child.Env = append(os.Environ(), suspendedClient+"="+strings.Join(c.Endpoints(), ","))
	child.Stderr = os.Stderr
	to, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	from, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	signal := func(name string) {
		t.Helper()
		if out, err := exec.CommandContext(timeout(t), "kill", "-"+name, strconv.Itoa(child.Process.Pid)).CombinedOutput(); err != nil {
			t.Fatalf("kill -%s: %v: %s", name, err, out)
		}
	}
	lines := bufio.NewReader(from)
	if line, err := lines.ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("the client says %q, error %v", line, err)
	}
	const pause = 3 * time.Second
	signal("STOP")
	<-time.After(pause)
	signal("CONT")
	var got suspension
	line, err := lines.ReadString('\n')
	if err == nil {
		err = json.Unmarshal([]byte(line), &got)
	}
	if err != nil {
		t.Fatalf("the client says %q, error %v", line, err)
	}
	_ = to.Close()
	if _, err := io.Copy(io.Discard, lines); err != nil {
		t.Error(err)
	}
	if err := child.Wait(); err != nil {
		t.Errorf("the client: %v", err)
	}
	t.Logf("%+v", got)
	if got.Slept < pause-100*time.Millisecond {
		t.Fatalf("the client stood still for %v, want %v", got.Slept, pause)
	}
	for _, w := range got.Wrong {
		t.Error(w)
	}
	if !got.Expired {
		t.Errorf("after %v a lease of 2 s is still believed in", got.Slept)
	}
	if !got.Kept {
		t.Error("a lease of 60 s was given up")
	}
	if got.Severed != 0 || got.GivenUp != 0 {
		t.Errorf("%d connections were severed and %d retired, want none: every member answered", got.Severed, got.GivenUp)
	}
}

// beSuspended is the client. It works, prints "ready", notices the suspension,
// continues to work, and reports.
func beSuspended(t *testing.T, endpoints []string) {
	t.Helper()
	cl := dial(t, client.Config{Endpoints: endpoints})
	w := &witness{load: newLoad(cl), delivered: make(map[string]int64)}
	w.prefix = "suspended/"
	var told suspension
	keep := func(ttl int64) *lease.Keeper {
		granted, err := cl.Grant(timeout(t), ttl)
		if err != nil {
			t.Fatal(err)
		}
		k, err := cl.Keep(timeout(t), granted.ID)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	short, long := keep(2), keep(60)
	defer short.Close()
	defer long.Close()
	first, err := cl.Put(timeout(t), w.prefix, "")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	w.watched.Go(func() { w.watch(ctx, first.Header.Revision) })
	for range 2 {
		w.workers.Go(func() { w.get(ctx) })
	}
	w.workers.Go(func() {
		for pace(ctx) {
			// Without a deadline, which would pass during the suspension.
			if _, err := cl.Put(context.WithoutCancel(ctx), w.prefix, ""); err != nil {
				w.fault("a write: %v", err)
			}
			w.writes.Add(1)
		}
	})
	w.awaitProgress(t)
	fmt.Println("ready") //nolint:forbidigo // to TestClientSuspended
	// A busy machine may have it wait for a second.
	for told.Slept < 2*time.Second {
		before := time.Now()
		if !pace(ctx) {
			t.Fatal(ctx.Err())
		}
		if told.Slept = time.Since(before); told.Slept >= 2*time.Second {
			told.Expired = errors.Is(short.Err(), lease.ErrExpired)
		}
	}
	w.awaitProgress(t)
	stop()
	w.workers.Wait()
	w.watched.Wait()
	told.Kept = long.Err() == nil
	counters := cl.Counters()
	told.Wrong, told.Reads, told.Writes, told.Events = w.wrong, w.reads.Load(), w.writes.Load(), w.events.Load()
	told.Severed, told.GivenUp = counters.Severed, counters.GivenUp
	line, err := json.Marshal(told)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println(string(line)) //nolint:forbidigo // to TestClientSuspended
	_, _ = io.Copy(io.Discard, os.Stdin)
}
