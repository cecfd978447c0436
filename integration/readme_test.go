package integration_test

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/integration/internal/page"
	"github.com/getcd/getcd/kv"
)

// The README's programs are copied into empty modules, built, and run.
func TestREADME(t *testing.T) {
	long(t)
	c, err := cluster.Start(t.Context(), cluster.Config{Size: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	programs := page.Go(readFile(t, "../README.md"))
	if len(programs) != 2 {
		t.Fatalf("the README has %d programs, want 2", len(programs))
	}
	greeting, lock := fromREADME(t, programs[0], c), fromREADME(t, programs[1], c)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	run := exec.CommandContext(ctx, greeting) //nolint:gosec // what was built above
	run.Stderr = os.Stderr
	out, err := run.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for _, want := range []string{"hello at revision", "PUT hello"} {
		if !lines.Scan() || !strings.HasPrefix(lines.Text(), want) {
			t.Errorf("printed %q, want %q", lines.Text(), want)
		}
	}
	cancel()
	if err := run.Wait(); err == nil {
		t.Error("the watch ended by itself")
	}

	if text, err := exec.CommandContext(t.Context(), lock).CombinedOutput(); err != nil || len(text) > 0 { //nolint:gosec // likewise
		t.Errorf("the lock program: %v: %s", err, text)
	}
	resp, err := kv.New(c.Members()[0].Control()).Get(t.Context(), "jobs/", kv.WithPrefix())
	if err != nil || len(resp.Kvs) != 1 || string(resp.Kvs[0].Key) != "jobs/nightly/ran" {
		t.Errorf("the lock program has left %v, %v; want what it has written, and no lock", resp, err)
	}
}

// fromREADME builds a program of the README in an empty module, for c.
func fromREADME(t *testing.T, program string, c *cluster.Cluster) (name string) {
	t.Helper()
	const endpoint = `"localhost:2379"`
	if !strings.Contains(program, endpoint) {
		t.Fatalf("the program does not connect to %s:\n%s", endpoint, program)
	}
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"main.go": strings.Replace(program, endpoint, `"`+c.Endpoints()[0]+`"`, 1),
		"go.sum":  readFile(t, "../go.sum"),
		"go.mod":  "module program\n\ngo 1.26.0\n\nrequire github.com/getcd/getcd v0.0.0\n\nreplace github.com/getcd/getcd => " + root + "\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", "program", ".")
	build.Dir, build.Env = dir, append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return filepath.Join(dir, "program")
}
