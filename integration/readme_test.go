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
)

// The README's first program is copied into an empty module, built, and run.
func TestREADME(t *testing.T) {
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(readme), "```go\n")
	program, _, ok := strings.Cut(rest, "```")
	const endpoint = `"localhost:2379"`
	if !ok || !strings.Contains(program, endpoint) {
		t.Fatalf("the README does not begin with a program that connects to %s", endpoint)
	}
	c, err := cluster.Start(t.Context(), cluster.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	program = strings.Replace(program, endpoint, `"`+c.Endpoints()[0]+`"`, 1)

	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	sums, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	write("main.go", program)
	write("go.sum", string(sums))
	write("go.mod", "module greeting\n\ngo 1.26.0\n\nrequire github.com/getcd/getcd v0.0.0\n\nreplace github.com/getcd/getcd => "+root+"\n")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	command := func(name string, args ...string) *exec.Cmd {
		cmd := exec.CommandContext(ctx, name, args...)
		cmd.Dir, cmd.Stderr = dir, os.Stderr
		cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod")
		return cmd
	}
	if err := command("go", "build", "-o", "greeting", ".").Run(); err != nil {
		t.Fatal(err)
	}
	run := command(filepath.Join(dir, "greeting"))
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
}
