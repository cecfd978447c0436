package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"go.etcd.io/etcd/api/v3/version"

	"github.com/getcd/getcd/integration/cluster"
)

// builtin is the name of the server that is built into package cluster.
const builtin = "builtin"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout)
	if err != nil {
		say(os.Stderr, "versions: %v\n", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop was called
	}
}

// errFailed says that a test failed, which was already printed.
var errFailed = errors.New("not all tests passed")

func run(ctx context.Context, args []string, out io.Writer) error {
	fs := flag.NewFlagSet("versions", flag.ContinueOnError)
	page := fs.String("o", "", "write the result to this file as Markdown, too")
	packages := fs.String("packages", "./integration,./integration/cluster", "the packages to test, with commas between them")
	only := fs.String("run", "", "go test's -run")
	limit := fs.Duration("timeout", 20*time.Minute, "go test's -timeout, of each package")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if fs.NArg() == 0 {
		return fmt.Errorf("name the etcd binaries to test with, or %q", builtin)
	}
	var results []*result
	for _, server := range fs.Args() {
		r, err := measure(ctx, out, server, goTest{packages: strings.Split(*packages, ","), run: *only, timeout: *limit})
		if err != nil {
			return err
		}
		results = append(results, r)
	}
	say(out, "\n")
	table(out, results)
	if *page != "" {
		if err := writePage(*page, results); err != nil {
			return err
		}
	}
	for _, r := range results {
		if !r.ok() {
			return errFailed
		}
	}
	return nil
}

// goTest has the arguments of go test.
type goTest struct {
	packages []string
	run      string
	timeout  time.Duration
}

// measure runs the tests on one server, and prints the result of each test that
// does not pass.
func measure(ctx context.Context, out io.Writer, server string, tests goTest) (*result, error) {
	r := &result{out: out, started: time.Now(), packages: tests.packages}
	env := os.Environ()
	if server == builtin {
		r.version = version.Version
		env = append(env, cluster.ServerEnv+"=")
	} else {
		path, err := filepath.Abs(server)
		if err != nil {
			return nil, err
		}
		if r.version, err = versionOf(ctx, path); err != nil {
			return nil, err
		}
		env = append(env, cluster.ServerEnv+"="+path)
	}
	say(out, "\n== etcd %s\n", r.version)
	args := []string{"test", "-json", "-count=1", "-p=1", "-timeout=" + tests.timeout.String(), "-run=" + tests.run}
	cmd := exec.CommandContext(ctx, "go", append(args, tests.packages...)...)
	cmd.Env = env
	// go test forwards an interrupt, so that nothing is left running.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	cmd.Stderr = os.Stderr
	events, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	readErr := r.read(events)
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		return nil, err
	} else if err != nil {
		r.exit = err.Error() // the tests themselves say more
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	r.took = time.Since(r.started).Round(time.Second)
	r.print()
	return r, readErr
}

// versionOf returns the version of an etcd binary.
func versionOf(ctx context.Context, path string) (string, error) {
	text, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return "", fmt.Errorf("%s --version: %w", path, err)
	}
	for line := range strings.Lines(string(text)) {
		if v, ok := strings.CutPrefix(line, "etcd Version:"); ok {
			return strings.TrimSpace(v), nil
		}
	}
	return "", fmt.Errorf("%s --version does not say which etcd it is: %q", path, text)
}
