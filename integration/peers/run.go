package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/getcd/getcd/integration/cluster"
)

// program is the test binary of one package.
type program struct {
	tree *tree
	pkg  string
	path string
}

func (t *tree) program(pkg string) program {
	return program{t, pkg, filepath.Join(t.bin, strings.ReplaceAll(path.Join(t.suite.name, pkg), "/", "-")+".test")}
}

// command runs the program in the directory in which go test would run it.
func (p program) command(ctx context.Context, out *bytes.Buffer, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, p.path, args...)
	cmd.Dir = filepath.Join(p.tree.dir, p.pkg)
	cmd.Env = append(os.Environ(), p.tree.suite.env...)
	cmd.Stdout, cmd.Stderr = out, out
	// A separate process group, so that no process of a test outlives it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// listTimeout limits a program that only has to list its tests.
const listTimeout = time.Minute

var testName = regexp.MustCompile(`^(Test|Example|Fuzz)\w*$`)

// list returns the names of the package's tests that match.
func (p program) list(ctx context.Context, match *regexp.Regexp) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	stop, err := p.tree.suite.serve(ctx)
	if err != nil {
		return nil, err
	}
	defer stop()
	var out bytes.Buffer
	if err := p.command(ctx, &out, "-test.list=.").Run(); err != nil {
		return nil, fmt.Errorf("listing the tests of %s: %w\n%s", p.pkg, err, &out)
	}
	var names []string
	for line := range strings.Lines(out.String()) {
		name := strings.TrimSpace(line)
		if testName.MatchString(name) && match.MatchString(name) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names, nil
}

// grace is how long a process has to die by itself after its limit, with the
// stacks of its goroutines, before it is killed.
const grace = 10 * time.Second

// run runs one test until it passes, at most tries times. The last outcome
// counts.
func (p program) run(ctx context.Context, test string, limit time.Duration, tries int, kept *logFile) outcome {
	var o outcome
	for n := 1; n <= tries && ctx.Err() == nil; n++ {
		o = p.once(ctx, test, limit, kept)
		o.tries = n
		if o.verdict == passed || o.verdict == skipped {
			break
		}
	}
	return o
}

func (p program) once(ctx context.Context, test string, limit time.Duration, kept *logFile) outcome {
	stop, err := p.tree.suite.serve(ctx)
	if err != nil {
		return outcome{verdict: failed, why: err.Error()}
	}
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, limit+grace)
	defer cancel()
	var out bytes.Buffer
	began := time.Now()
	err = p.command(ctx, &out, "-test.run=^"+test+"$", "-test.v=test2json", "-test.timeout="+limit.String()).Run()
	o := judge(test, out.String(), err, errors.Is(ctx.Err(), context.DeadlineExceeded))
	o.took = time.Since(began).Round(100 * time.Millisecond)
	kept.add(p.pkg+"."+test, o, out.Bytes())
	return o
}

// serve starts the etcd that the suite's tests expect, without any data.
func (s *suite) serve(ctx context.Context) (stop func(), err error) {
	if s.port == 0 {
		return func() {}, nil
	}
	c, err := cluster.Start(ctx, cluster.Config{Size: 1})
	if err != nil {
		return nil, err
	}
	stop = func() { _ = c.Stop() } // nobody uses it any more
	if err := c.Members()[0].RestartOn(ctx, s.port); err != nil {
		stop()
		return nil, fmt.Errorf("an etcd on port %d: %w", s.port, err)
	}
	return stop, nil
}

// logFile has the output of the tests.
type logFile struct {
	mu   sync.Mutex
	file *os.File // guarded by mu
}

func (l *logFile) add(name string, o outcome, output []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	say(l.file, "\n##### %s %s %v\n", name, o.verdict, o.took)
	_, _ = l.file.Write(output) // the result does not depend on it
}
