package etcdctltest

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// dialogue is one run of a tool that does not end by itself.
type dialogue struct {
	invocation
	steps []step
	// end is the signal that ends the tool; nil means SIGINT. With ends, the tool
	// ends by itself.
	end  os.Signal
	ends bool
	// distinct removes repeated lines from stdout, for a tool that repeats itself
	// until it is ended.
	distinct bool
}

// step is an action and the tool's reaction to it.
type step struct {
	do    func()   // called before the line is sent; may be nil
	say   string   // a line for the tool's stdin; empty for none
	await []string // the expected texts in stdout, in order; a value may be in any format
}

// printed is the tool's output so far.
type printed struct {
	mu  sync.Mutex
	buf bytes.Buffer
	add chan struct{} // capacity 1
}

func (p *printed) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n, err := p.buf.Write(b)
	select {
	case p.add <- struct{}{}:
	default:
	}
	return n, err
}

func (p *printed) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.buf.String()
}

// after returns the index in out after the first occurrence of text, which may be
// a value in any of the formats. It returns -1 if there is none.
func after(out, text string) int {
	var hex strings.Builder
	for _, c := range []byte(text) {
		fmt.Fprintf(&hex, `\x%02x`, c)
	}
	for _, form := range []string{text, hex.String(), base64.StdEncoding.EncodeToString([]byte(text))} {
		if i := strings.Index(out, form); i >= 0 {
			return i + len(form)
		}
	}
	return -1
}

// hold runs the tool at path through a dialogue. If a signal has ended the tool,
// the exit status is the one that a shell reports.
func hold(t *testing.T, path string, d dialogue, vars *strings.Replacer) result {
	t.Helper()
	const limit = 30 * time.Second
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := command(ctx, path, d.invocation, vars)
	stdout, stderr := &printed{add: make(chan struct{}, 1)}, &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	seen := 0
	for n, s := range d.steps {
		if s.do != nil {
			s.do()
		}
		if s.say != "" {
			if _, err := io.WriteString(stdin, vars.Replace(s.say)+"\n"); err != nil {
				t.Errorf("step %d: %v", n, err)
			}
		}
		for _, text := range s.await {
			i := after(stdout.String()[seen:], text)
			for ; i < 0; i = after(stdout.String()[seen:], text) {
				select {
				case <-stdout.add:
					continue
				case <-ctx.Done():
				}
				cancel()
				_ = cmd.Wait()
				t.Fatalf("%s %v: step %d: no %q in %v after byte %d\nstdout: %s\nstderr: %s",
					filepath.Base(path), d.invocation, n, text, limit, seen, stdout, stderr)
			}
			seen += i
		}
	}
	switch {
	case d.ends:
	case d.end == nil:
		_ = cmd.Process.Signal(os.Interrupt)
	default:
		_ = cmd.Process.Signal(d.end)
	}
	err = cmd.Wait() // closes stdin, too
	if ctx.Err() != nil {
		t.Fatalf("%s %v: did not end within %v\nstdout: %s\nstderr: %s", filepath.Base(path), d.invocation, limit, stdout, stderr)
	}
	r := result{stdout: stdout.String(), stderr: stderr.String(), code: cmd.ProcessState.ExitCode()}
	if ee, ok := errors.AsType[*exec.ExitError](err); ok {
		if ws, ok := ee.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			r.code = 128 + int(ws.Signal())
		}
	}
	if d.distinct {
		r.stdout = distinct(r.stdout)
	}
	return r
}

func distinct(out string) string {
	var b strings.Builder
	seen := make(map[string]bool)
	for l := range strings.SplitAfterSeq(out, "\n") {
		if !seen[l] {
			b.WriteString(l)
		}
		seen[l] = true
	}
	return b.String()
}

// sameHeld compares the outputs of the tools in a dialogue on the current state,
// which d must not change.
func (b *bench) sameHeld(t *testing.T, d dialogue) {
	t.Helper()
	vars := strings.NewReplacer(b.vars...)
	b.both(t, []invocation{d.invocation}, func(path string) []result { return []result{hold(t, path, d, vars)} })
}

// held runs each tool through a dialogue that changes the state, from an empty
// key space at revision base, and compares the outputs.
func (b *bench) held(t *testing.T, from func(base int64) dialogue) {
	t.Helper()
	b.both(t, []invocation{from(0).invocation}, func(path string) []result {
		base := b.wipe(t)
		r := hold(t, path, from(base), strings.NewReplacer(b.vars...))
		r.stdout = revisions(base)(r.stdout)
		return []result{r}
	})
}
