package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/integration/faultbench/internal/report"
)

func TestMain(m *testing.M) {
	cluster.Main()
	goleak.VerifyTestMain(m)
}

// TestRun applies two faults to a real cluster and checks what must be true
// regardless of the machine's speed.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "docs"), 0o755); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	var stdout, stderr bytes.Buffer
	status := run(ctx, []string{
		"-clients", "getcd,clientv3", "-faults", "kill,blackhole", "-roles", "leader", "-kinds", "put,get,serializable,watch",
		"-fault-time", "2s", "-warm-up", "500ms", "-recovery", "500ms", "-election-timeout", "500ms",
		"-json", filepath.Join(dir, "report.json"), "-svg", filepath.Join(dir, "svg"),
		"-markdown", filepath.Join(dir, "docs", "page.md"),
	}, &stdout, &stderr)
	if status != 0 {
		t.Fatalf("got the exit status %d, want 0; output:\n%s%s", status, stdout.String(), stderr.String())
	}
	t.Logf("the table:\n%s", stdout.String())
	for _, want := range []string{"kill, the leader (", "blackhole, the leader (", "new leader: ", "history of getcd: ", ": linearizable"} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("want %q in the table", want)
		}
	}
	if want := "2 of 2: blackhole, leader"; !strings.Contains(stderr.String(), want) {
		t.Errorf("got the progress %q, want %q in it", stderr.String(), want)
	}

	text, err := os.ReadFile(filepath.Join(dir, "report.json"))
	if err != nil {
		t.Fatal(err)
	}
	var rep report.Report
	if err := json.Unmarshal(text, &rep); err != nil {
		t.Fatal(err)
	}
	if len(rep.Cells) != 2 {
		t.Fatalf("got %d cells, want 2", len(rep.Cells))
	}
	for i := range rep.Cells {
		check(t, &rep.Cells[i])
		if _, err := os.Stat(filepath.Join(dir, "svg", rep.Cells[i].Name()+".svg")); err != nil {
			t.Error(err)
		}
	}
	page, err := os.ReadFile(filepath.Join(dir, "docs", "page.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"](../svg/kill-leader.svg)", "](../report.json)", "`go run ./integration/faultbench -clients getcd,clientv3 "} {
		if !strings.Contains(string(page), want) {
			t.Errorf("want %q in the page", want)
		}
	}
	if _, elected := rep.Cells[0].Elected(); !elected {
		t.Error("no election was seen after the leader was killed")
	}
}

// TestRunAlone has clients that only watch, or only wait for a lock, while their
// member dies or falls silent. With -check, getcd must get its event within 1.5
// s.
func TestRunAlone(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	dir := t.TempDir()
	var stdout, stderr bytes.Buffer
	status := run(ctx, []string{
		"-clients", "getcd,clientv3,dropin", "-faults", "kill,blackhole", "-roles", "follower", "-kinds", "only-watch,only-lock",
		"-fault-time", "3s", "-warm-up", "500ms", "-recovery", "1s", "-check", "-json", filepath.Join(dir, "report.json"),
	}, &stdout, &stderr)
	if status != 0 {
		t.Fatalf("got the exit status %d, want 0; output:\n%s%s", status, stdout.String(), stderr.String())
	}
	t.Logf("the table:\n%s", stdout.String())
	text, err := os.ReadFile(filepath.Join(dir, "report.json"))
	if err != nil {
		t.Fatal(err)
	}
	var rep report.Report
	if err := json.Unmarshal(text, &rep); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range rep.Cells {
		names = append(names, c.Name())
	}
	if want := []string{
		"kill-follower-only-watch", "kill-follower-only-lock", "blackhole-follower-only-watch", "blackhole-follower-only-lock",
	}; !slices.Equal(names, want) {
		t.Fatalf("got the cells %q, want %q", names, want)
	}
	for _, r := range rep.Cells[1].Rows {
		if r.OK != 1 || r.Failed != 0 || r.Gap <= 0 || r.Gap > report.Seconds(2*time.Second) {
			t.Errorf("%s: got %+v, want one lock, soon after it was free", r.Client, r)
		}
	}
	for _, r := range rep.Cells[0].Rows {
		if r.OK < 1 || r.OK > 3 || r.Failed != 0 || len(r.Wrongs) > 0 || r.Gap > report.Seconds(2*time.Second) {
			t.Errorf("%s: got %+v, want few events, once each, and soon", r.Client, r)
		}
	}
}

// TestRunSecurely has clients with certificates and tokens, which follow members
// that move.
func TestRunSecurely(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	var stdout, stderr bytes.Buffer
	status := run(ctx, []string{
		"-secure", "-clients", "getcd", "-faults", "move,token", "-kinds", "put,get,watch", "-check",
		"-fault-time", "1s", "-warm-up", "200ms", "-recovery", "2s", "-election-timeout", "500ms",
	}, &stdout, &stderr)
	if status != 0 {
		t.Fatalf("got the exit status %d, want 0; output:\n%s%s", status, stdout.String(), stderr.String())
	}
	if want := "3 members with TLS and authentication"; !strings.Contains(stdout.String(), want) {
		t.Errorf("got\n%s\nwant %q in it", stdout.String(), want)
	}
}

// TestRunRandomly applies random faults that the seed determines.
func TestRunRandomly(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	var stdout, stderr bytes.Buffer
	status := run(ctx, []string{
		"-random", "8s", "-seed", "3", "-clients", "getcd", "-kinds", "put,get,watch", "-faults", "kill,blackhole,lossy,move",
		"-warm-up", "200ms", "-recovery", "500ms", "-election-timeout", "500ms", "-json", filepath.Join(dir, "report.json"),
	}, &stdout, &stderr)
	if status != 0 {
		t.Fatalf("got the exit status %d, want 0; output:\n%s%s", status, stdout.String(), stderr.String())
	}
	t.Logf("the table:\n%s", stdout.String())
	for _, want := range []string{"seed 3", "kill, the leader", " of unknown outcome: 0 violations"} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("want %q in the table", want)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "report.json"))
	if err != nil {
		t.Fatal(err)
	}
	var rep report.Report
	if err := json.Unmarshal(text, &rep); err != nil {
		t.Fatal(err)
	}
	if len(rep.Cells) != 1 || len(rep.Cells[0].Mishaps) < 1 {
		t.Fatalf("got %+v, want a cell with several faults", rep.Cells)
	}
	for _, m := range rep.Cells[0].Mishaps {
		if m.Fault == "move" {
			t.Error("a fault was done that can't be one of several")
		}
	}
	if h := rep.Cells[0].Histories; len(h) != 1 || h[0].Keys < 2 || h[0].Ops < 100 {
		t.Errorf("got the histories %+v, want one of some length on the keys that workers share", h)
	}
}

// TestRunMembers applies the faults that change the membership, or need control
// of the members' disks.
func TestRunMembers(t *testing.T) {
	faults := "learner,replace"
	if cluster.DisksSupported() == nil {
		faults += ",disk"
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	var stdout, stderr bytes.Buffer
	status := run(ctx, []string{
		"-faults", faults, "-roles", "leader", "-clients", "getcd", "-kinds", "put,get", "-fault-time", "2s",
		"-warm-up", "200ms", "-recovery", "500ms", "-election-timeout", "500ms",
	}, &stdout, &stderr)
	if status != 0 {
		t.Fatalf("got the exit status %d, want 0; output:\n%s%s", status, stdout.String(), stderr.String())
	}
	t.Logf("the table:\n%s", stdout.String())
	// The learner has been removed, and another member has replaced the leader.
	for _, want := range []string{"learner (m4): ", "replace, the leader (m", "new leader: ", ": linearizable"} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("want %q in the table", want)
		}
	}
}

// TestRunNothing counts the requests that the clients send for their calls.
func TestRunNothing(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	var stdout, stderr bytes.Buffer
	status := run(ctx, []string{
		"-faults", "none", "-clients", "getcd,clientv3", "-kinds", "put,get,lease", "-fault-time", "2s",
		"-warm-up", "200ms", "-recovery", "200ms", "-election-timeout", "500ms", "-json", filepath.Join(dir, "report.json"),
	}, &stdout, &stderr)
	if status != 0 {
		t.Fatalf("got the exit status %d, want 0; output:\n%s%s", status, stdout.String(), stderr.String())
	}
	t.Logf("the table:\n%s", stdout.String())
	text, err := os.ReadFile(filepath.Join(dir, "report.json"))
	if err != nil {
		t.Fatal(err)
	}
	var rep report.Report
	if err := json.Unmarshal(text, &rep); err != nil {
		t.Fatal(err)
	}
	if len(rep.Cells) != 1 || len(rep.Cells[0].Costs) != 2 {
		t.Fatalf("got %+v, want one cell with the costs of two clients", rep.Cells)
	}
	for _, c := range rep.Cells[0].Costs {
		// A busy machine causes hedges and retries.
		if c.Calls < 100 || c.Sent() < c.Calls || c.Sent() > c.Calls+c.Calls/10+20 {
			t.Errorf("%s: got %v, want some hundred calls, and hardly more requests", c.Client, c)
		}
		if c.Requests["Range"] == 0 || c.Requests["Put"] == 0 || c.Requests["Txn"] == 0 || c.Messages["LeaseKeepAlive"] == 0 {
			t.Errorf("%s: got %v, want every method counted", c.Client, c)
		}
	}
}

func check(t *testing.T, c *report.Cell) {
	t.Helper()
	if len(c.Rows) != 8 {
		t.Errorf("%s: got %d rows, want 2 clients × 4 kinds", c.Name(), len(c.Rows))
	}
	for _, r := range c.Rows {
		// clientv3's writes that were in progress when the leader was lost last
		// longer than the rest of the measurement.
		if r.OK == 0 && r.Kind != "put" {
			t.Errorf("%s: %s, %s: no call succeeded", c.Name(), r.Client, r.Kind)
		}
		if r.Client == "getcd" && r.Kind != "put" && r.Failed > 0 {
			t.Errorf("%s: %d reads of getcd failed, want none: %q", c.Name(), r.Failed, r.Errors)
		}
		if r.Client == "getcd" && len(r.Wrongs) > 0 {
			t.Errorf("%s: getcd, %s: %q", c.Name(), r.Kind, r.Wrongs)
		}
		if r.Kind == "watch" && len(r.Facts) == 0 {
			t.Errorf("%s: %s, %s: nothing is said of the events", c.Name(), r.Client, r.Kind)
		}
		if got, want := r.Ambiguous != nil, r.Client == "getcd" && r.Kind == "put"; got != want {
			t.Errorf("%s: %s, %s: ambiguous is known: %v, want %v", c.Name(), r.Client, r.Kind, got, want)
		}
		// getcd uses the leader, and no bytes pass to it.
		if r.Client == "getcd" && r.Kind == "put" && r.Gap < report.Seconds(100*time.Millisecond) {
			t.Errorf("%s: getcd's writes had a gap of %v only: the fault did not hit it", c.Name(), r.Gap)
		}
	}
	if len(c.Histories) != 2 || c.Histories[0].Ops < 100 {
		t.Errorf("%s: got the histories %+v, want two of some length", c.Name(), c.Histories)
	}
}

func TestBadFlags(t *testing.T) {
	for name, test := range map[string]struct {
		args string
		want []string
	}{
		"client":          {"-clients getcd,clientv4", []string{`no client "clientv4"`, "getcd, getcd-once, getcd-once-batch, getcd-cached, getcd-safe, clientv3"}},
		"fault":           {"-faults kil", []string{`no fault "kil"`, "kill, terminate, sigstop"}},
		"kind":            {"-kinds puts", []string{`no kind "puts"`, "put, get, serializable"}},
		"role":            {"-roles boss", []string{`no role "boss"`, "follower, leader"}},
		"empty name":      {"-faults kill,", []string{`no fault ""`}},
		"size":            {"-size 2", []string{"2 members, want 3 to 9"}},
		"fault time":      {"-fault-time 1ms", []string{"fault time is 1ms, want 100ms to 1h"}},
		"election":        {"-election-timeout 1ms", []string{"election timeout is 1ms, want 50ms to 50s"}},
		"unknown flag":    {"-fault kill", []string{"-fault", "-help"}},
		"not a flag":      {"kill", []string{`"kill" is no flag`, "-faults"}},
		"not a duration":  {"-fault-time 3", []string{`"3"`, "fault-time"}},
		"nothing random":  {"-random 1m -faults move", []string{"none of the faults move can be one of several"}},
		"random apart":    {"-random 1m -apart", []string{"random faults are for all kinds"}},
		"nothing to lock": {"-faults slow -kinds only-lock", []string{"only-lock are measured in silent faults"}},
		"values":          {"-value 2MB", []string{"2000000", "at most 1000000"}},
		"rate":            {"-rate fast", []string{`"fast" is not a number of bytes`}},
		"several":         {"-size 1 -roles x", []string{"1 members", `no role "x"`}},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if status := run(t.Context(), strings.Fields(test.args), &stdout, &stderr); status != 2 {
				t.Errorf("got the exit status %d, want 2", status)
			}
			for _, want := range test.want {
				if !strings.Contains(stderr.String(), want) {
					t.Errorf("got %q, want %q in it", stderr.String(), want)
				}
			}
		})
	}
}

func TestListAndHelp(t *testing.T) {
	for flag, want := range map[string]string{"-list": "clientv3-tuned", "-help": "-fault-time"} {
		var out bytes.Buffer
		if status := run(t.Context(), []string{flag}, &out, &out); status != 0 {
			t.Errorf("%s: got the exit status %d, want 0", flag, status)
		}
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s: got %q, want %q in it", flag, out.String(), want)
		}
	}
}
