package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/integration/dropin/internal/twice"
)

var update = flag.Bool("update", false, "write docs/reference/reports.md anew")

const intro = `# Bugs that users of clientv3 have reported

Each of these bugs is reproduced by a program in ` + "`integration/dropin/reports`" + `, which runs on
real members, once with clientv3 and once with the import paths of getcd's package clientv3. The
last two columns say what each of them does. A test runs all programs and compares what it sees
with this page.
`

func TestMain(m *testing.M) {
	cluster.Main()
	goleak.VerifyTestMain(m)
}

// What the page says of each report is what is to be seen.
func TestReports(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute) // the parallel tests outlive t's
	t.Cleanup(cancel)
	version, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Version}}", "go.etcd.io/etcd/client/v3").Output()
	if err != nil {
		t.Fatal(err)
	}
	theirs, ours, err := twice.Build(ctx, ".", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	c, err := cluster.Start(ctx, cluster.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})

	members := "http://" + strings.Join(c.Endpoints(), ",http://")
	reports := all()
	seen := make([][2]string, len(reports))
	t.Cleanup(func() {
		if !t.Failed() {
			compare(t, page(strings.TrimSpace(string(version)), reports, seen))
		}
	})
	for i, r := range reports {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			for range 3 { // a bug need not show each time
				if seen[i][0] = look(ctx, t, theirs, members, r.name); seen[i][0] != "" {
					break
				}
			}
			seen[i][1] = look(ctx, t, ours, members, r.name)
			if seen[i][1] != "" && r.why == "" {
				t.Errorf("with getcd %s: %s", seen[i][1], r.expect)
			}
		})
	}
}

// look runs a report's program.
func look(ctx context.Context, t *testing.T, binary, members, name string) string {
	t.Helper()
	cmd := exec.CommandContext(ctx, binary, "-endpoints", members, name)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Errorf("%s %s: %v\n%s", filepath.Base(binary), name, err, errs.String())
	}
	return out.String()
}

func page(version string, reports []report, seen [][2]string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n| report | what its users expect | clientv3 %s | getcd |\n|---|---|---|---|\n", intro, version)
	for i, r := range reports {
		repository, number, _ := strings.Cut(r.name, "#")
		fmt.Fprintf(&b, "| [%s](https://github.com/%s/issues/%s) | %s |", r.name, repository, number, r.expect)
		for k, s := range seen[i] {
			if s == "" {
				s = "as expected"
			}
			if k == 1 && r.why != "" {
				s += ". " + r.why
			}
			fmt.Fprintf(&b, " %s |", s)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func compare(t *testing.T, want string) {
	t.Helper()
	file := filepath.Join("..", "..", "..", "docs", "reference", "reports.md")
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o600); err != nil {
			t.Error(err)
		}
		return
	}
	have, err := os.ReadFile(file)
	if err != nil {
		t.Error(err)
	}
	if string(have) != want {
		t.Errorf("%s is not what is to be seen; go test -update writes it anew:\n%s", file, want)
	}
}
