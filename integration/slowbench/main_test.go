package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/integration/slowbench/internal/bench"
)

func TestMain(m *testing.M) {
	cluster.Main()
	bench.Main()
	goleak.VerifyTestMain(m)
}

// TestRun measures short cases on a real cluster and checks what must be true
// regardless of the machine's speed.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	var stdout, stderr bytes.Buffer
	status := run(t.Context(), []string{
		"-run", "put 1 of 100 kB, 0.2", "-count", "2", "-check",
		"-json", filepath.Join(dir, "slow.json"), "-markdown", filepath.Join(dir, "slow.md"),
	}, &stdout, &stderr)
	if status != 0 {
		t.Fatalf("got the exit status %d, want 0; output:\n%s%s", status, stdout.String(), stderr.String())
	}
	t.Logf("the table:\n%s", stdout.String())
	if want := "2 of 2: put 1 of 100 kB, 0.2 MB/s, 3 endpoints"; !strings.Contains(stderr.String(), want) {
		t.Errorf("got the progress %q, want %q in it", stderr.String(), want)
	}
	text, err := os.ReadFile(filepath.Join(dir, "slow.json"))
	if err != nil {
		t.Fatal(err)
	}
	var rep bench.Report
	if err := json.Unmarshal(text, &rep); err != nil {
		t.Fatal(err)
	}
	if len(rep.Rows) != 2 {
		t.Fatalf("got %d rows, want 2", len(rep.Rows))
	}
	for _, row := range rep.Rows {
		results := row.Results[bench.Clientv3]
		if len(results) != 2 || len(row.Results[bench.Getcd]) != 2 {
			t.Errorf("%s: got the results %+v, want two of each client", row.Case, row.Results)
			continue
		}
		const least = 0.4 // 100 kB at 0.2 MB/s need 0.5 s
		for client, results := range row.Results {
			for _, r := range results {
				if r.OK != 1 || r.Failed != 0 || r.Seconds < least {
					t.Errorf("%s: got %+v of %s, want a call that took the line's time", row.Case, r, client)
				}
			}
		}
	}
	page, err := os.ReadFile(filepath.Join(dir, "slow.md"))
	if err != nil {
		t.Fatal(err)
	}
	if want := "| put 1 of 100 kB, 0.2 MB/s, 1 endpoint | "; !strings.Contains(string(page), want) {
		t.Errorf("want %q in the page", want)
	}
}

// TestLargeIsNotLost sends a value and reads a range, both for longer than the
// patience with a silent member. It uses real connections, whose bytes the system
// counts.
func TestLargeIsNotLost(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes as long as a slow line")
	}
	var stdout, stderr bytes.Buffer
	args := []string{"-check", "-run", "put 1 of 1.4 MB, 0.2 MB/s, 3|range 1 of 20 MB, 2 MB/s each"}
	if status := run(t.Context(), args, &stdout, &stderr); status != 0 {
		t.Fatalf("got the exit status %d, want 0; output:\n%s%s", status, stdout.String(), stderr.String())
	}
	t.Logf("the table:\n%s", stdout.String())
	if want := "2 of 2: "; !strings.Contains(stderr.String(), want) {
		t.Errorf("got the progress %q, want %q in it", stderr.String(), want)
	}
}

// TestRunRefused measures puts that are refused, of which clientv3 sends each
// once and getcd hardly more, and a range over a slow line.
func TestRunRefused(t *testing.T) {
	name := filepath.Join(t.TempDir(), "slow.json")
	var stdout, stderr bytes.Buffer
	if status := run(t.Context(), []string{"-run", "range 1 of 1 MB, 0.2 MB/s, 3|put 1000 of 10 kB", "-json", name}, &stdout, &stderr); status != 0 {
		t.Fatalf("got the exit status %d, want 0; output:\n%s%s", status, stdout.String(), stderr.String())
	}
	t.Logf("the table:\n%s", stdout.String())
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var rep bench.Report
	if err := json.Unmarshal(text, &rep); err != nil {
		t.Fatal(err)
	}
	if len(rep.Rows) != 2 {
		t.Fatalf("got %d rows, want 2", len(rep.Rows))
	}
	// 1 MB at 0.2 MB/s takes 5 s.
	if got := rep.Rows[0].Results[bench.Clientv3][0]; got.OK != 1 || got.Seconds < 4 {
		t.Errorf("%s: got %+v of clientv3, want a call that took the line's time", rep.Rows[0].Case, got)
	}
	refused := rep.Rows[1]
	if got := refused.Results[bench.Clientv3][0]; got.Failed != 1000 || got.Sent != 1000 {
		t.Errorf("%s: got %+v of clientv3, want each put sent once", refused.Case, got)
	}
	// A put that is sent just before its time ends may not hear of its refusal.
	if got := refused.Results[bench.Getcd][0]; got.Failed != 1000 || got.Ambiguous > 5 || len(refused.Misses) > 0 {
		t.Errorf("%s: got %+v of getcd, %q; want failures, nearly all certain, within the limits", refused.Case, got, refused.Misses)
	}
}

func TestBadFlags(t *testing.T) {
	for name, test := range map[string]struct{ args, want string }{
		"no such case": {"-run nothing", "matches no case"},
		"bad pattern":  {"-run (", "missing closing"},
		"count":        {"-count 0", "-count is 0, want 1 to 100"},
		"not a flag":   {"quick", `"quick" is no flag`},
		"unknown flag": {"-fast", "-help"},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if status := run(t.Context(), strings.Fields(test.args), &stdout, &stderr); status != 2 {
				t.Errorf("got the exit status %d, want 2", status)
			}
			if !strings.Contains(stderr.String(), test.want) {
				t.Errorf("got %q, want %q in it", stderr.String(), test.want)
			}
		})
	}
}

func TestListAndHelp(t *testing.T) {
	for flag, want := range map[string]string{"-list": "put 60 of 1 MB, 2 MB/s, 1 endpoint\n", "-help": "-check"} {
		var out bytes.Buffer
		if status := run(t.Context(), []string{flag}, &out, &out); status != 0 {
			t.Errorf("%s: got the exit status %d, want 0", flag, status)
		}
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s: got %q, want %q in it", flag, out.String(), want)
		}
	}
}
