package etcdctltest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// tools are the two programs.
type tools struct{ etcdctl, getcd string }

// builds has the tools after the first test has built them. TestMain removes
// them.
type builds struct {
	once  sync.Once
	dir   string
	tools tools
	err   error
}

var built builds // built once, since linking them takes longer than most tests

// buildTools builds both tools from the sources that this module depends on.
func buildTools(t *testing.T) tools {
	t.Helper()
	work, err := exec.CommandContext(t.Context(), "go", "env", "GOWORK").Output()
	if err != nil {
		t.Fatalf("go env GOWORK: %v", err)
	}
	// getcd's tool is a separate module, which this one does not require: the
	// tool must not pull a rival into its users' builds.
	if w := strings.TrimSpace(string(work)); w == "" || w == "off" {
		t.Skip("SKIPPED, NOTHING WAS COMPARED: go.work is off, and without it this module cannot build github.com/getcd/getcd/cmd/getcd")
	}
	built.once.Do(func() { built.err = built.build(t.Context()) })
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.tools
}

func (b *builds) build(ctx context.Context) (err error) {
	if b.dir, err = os.MkdirTemp("", "etcdctltest"); err != nil {
		return err
	}
	b.tools = tools{etcdctl: filepath.Join(b.dir, "etcdctl"), getcd: filepath.Join(b.dir, "getcd")}
	for path, pkg := range map[string]string{
		b.tools.etcdctl: "go.etcd.io/etcd/etcdctl/v3", b.tools.getcd: "github.com/getcd/getcd/cmd/getcd",
	} {
		// As `make bin/getcd` does.
		build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-tags", "grpcnotrace", "-ldflags", "-s -w", "-o", path, pkg)
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("go build %s: %w\n%s", pkg, err, out)
		}
	}
	return nil
}

// TestSize holds getcd to being smaller than etcdctl, built by the same command
// (docs/reference/tool.md).
func TestSize(t *testing.T) {
	tools := buildTools(t)
	size := func(path string) int64 {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	if mine, its := size(tools.getcd), size(tools.etcdctl); mine >= its {
		t.Errorf("getcd has %d bytes, and etcdctl %d", mine, its)
	}
}

func (b *builds) remove() { _ = os.RemoveAll(b.dir) } // does nothing unless a test has built them

// invocation is one run of a tool.
type invocation struct {
	// args are the arguments. "‹eps›" stands for all endpoints, and "‹ep0›" for
	// the first. In a scenario, "‹lease›" stands for the lease that was granted
	// last, and "‹tool›" for the path of the tool.
	args []string
	// stdin is what the tool reads. It is empty by default.
	stdin string
	// env is added to an environment without ETCDCTL_ variables.
	env []string
	// interrupt sends SIGINT once the tool has printed its first line.
	interrupt bool
	// statusOnly ignores stdout in the comparison. anyOrder ignores the order of
	// its lines.
	statusOnly, anyOrder bool
}

// sh returns an invocation from a line, whose words are separated by spaces. Use
// words for arguments that are empty or contain spaces.
func sh(line string) invocation { return invocation{args: strings.Fields(line)} }

func words(args ...string) invocation { return invocation{args: args} }

func (i invocation) in(stdin string) invocation { i.stdin = stdin; return i }

func (i invocation) with(env ...string) invocation { i.env = env; return i }

func (i invocation) interrupted() invocation { i.interrupt = true; return i }

// quiet returns the invocation without a comparison of stdout.
func (i invocation) quiet() invocation { i.statusOnly = true; return i }

// unordered returns the invocation with its lines compared in any order.
func (i invocation) unordered() invocation { i.anyOrder = true; return i }

func (i invocation) String() string {
	var b strings.Builder
	for _, e := range i.env {
		b.WriteString(e + " ")
	}
	for _, a := range i.args {
		if a == "" || strings.ContainsAny(a, " \"'$") {
			a = fmt.Sprintf("%q", a)
		}
		b.WriteString(a + " ")
	}
	if i.stdin != "" {
		fmt.Fprintf(&b, "<<< %q", i.stdin)
	}
	return strings.TrimSpace(b.String())
}

// result is the result of an invocation.
type result struct {
	stdout, stderr string
	code           int
	late           bool // a time limit of its own was exceeded, which a busy machine may do to either tool
}

// command returns the command for the tool at path, with its arguments and
// environment.
func command(ctx context.Context, path string, i invocation, vars *strings.Replacer) *exec.Cmd {
	args := make([]string, len(i.args))
	for n, a := range i.args {
		args[n] = vars.Replace(a)
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = os.Environ()
	for _, e := range i.env {
		cmd.Env = append(cmd.Env, vars.Replace(e))
	}
	return cmd
}

// run runs the tool at path. vars replaces the variables in args and env.
func run(t *testing.T, path string, i invocation, vars *strings.Replacer) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := command(ctx, path, i, vars)
	cmd.Stdin = strings.NewReader(vars.Replace(i.stdin))
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if i.interrupt {
		cmd.Stdout = &firstLine{w: &stdout, do: func() { _ = cmd.Process.Signal(os.Interrupt) }}
	}
	err := cmd.Run()
	if ctx.Err() != nil {
		t.Fatalf("%s %v: did not end within 30 s\nstdout: %s\nstderr: %s", filepath.Base(path), i, &stdout, &stderr)
	}
	if ee, ok := errors.AsType[*exec.ExitError](err); err != nil && (!ok || !ee.Exited()) {
		t.Fatalf("%s %v: %v\nstdout: %s\nstderr: %s", filepath.Base(path), i, err, &stdout, &stderr)
	}
	limited := slices.ContainsFunc(i.args, func(a string) bool { return strings.HasPrefix(a, "--command-timeout=") })
	return result{
		stdout: stdout.String(), stderr: stderr.String(), code: cmd.ProcessState.ExitCode(),
		late: limited && strings.Contains(stderr.String(), "deadline exceeded"),
	}
}

// firstLine forwards writes, and calls do once after the first line.
type firstLine struct {
	w  *bytes.Buffer
	do func()
}

func (f *firstLine) Write(p []byte) (int, error) {
	n, err := f.w.Write(p)
	if f.do != nil && bytes.ContainsRune(f.w.Bytes(), '\n') {
		f.do()
		f.do = nil
	}
	return n, err
}
