package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"strings"
	"time"
)

// event is an event of go test -json (go doc test2json).
type event struct {
	Action, Package, Test, Output string
}

// outcome is the result of one test that did not pass.
type outcome struct {
	name string // package and test
	why  string
}

// result is the result of all tests on one server.
type result struct {
	out      io.Writer
	version  string
	packages []string
	started  time.Time
	took     time.Duration
	passed   int
	failed   []outcome
	skipped  []outcome
	exit     string // of go test, if it was not 0
}

// longest is the maximum number of bytes of a reason.
const longest = 600

// ok reports whether tests ran and none failed.
func (r *result) ok() bool { return r.exit == "" && len(r.failed) == 0 && r.passed > 0 }

// read reads the events to their end. A test with subtests counts as one, and so
// does each of its subtests.
func (r *result) read(events io.Reader) error {
	said := make(map[string]*strings.Builder) // by package and test
	dec := json.NewDecoder(events)
	for {
		var e event
		if err := dec.Decode(&e); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("reading go test's output: %w", err)
		}
		name := path.Base(e.Package)
		if e.Test != "" {
			name += "." + e.Test
		}
		if e.Action == "output" {
			if said[name] == nil {
				said[name] = new(strings.Builder)
			}
			said[name].WriteString(e.Output)
			continue
		}
		var why string
		if b := said[name]; b != nil {
			why = reason(b.String())
		}
		switch {
		case e.Action == "fail":
			r.failed = append(r.failed, outcome{name, why})
			say(r.out, "FAIL %s: %s\n", name, why)
		case e.Test == "":
			continue // a package that passed or has no tests
		case e.Action == "pass":
			r.passed++
		case e.Action == "skip":
			r.skipped = append(r.skipped, outcome{name, why})
		default:
			continue
		}
		delete(said, name)
	}
}

// place matches the source position of a printed line.
var place = regexp.MustCompile(`(?m)^ *[a-z0-9_]+_test\.go:[0-9]+: `)

// reason returns a test's output without the lines around it.
func reason(output string) string {
	var kept []string
	for line := range strings.Lines(place.ReplaceAllString(output, "")) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "=== ") || strings.HasPrefix(line, "--- ") || line == "FAIL" || strings.HasPrefix(line, "FAIL\t") {
			continue
		}
		kept = append(kept, line)
	}
	why := strings.Join(kept, " ")
	if len(why) > longest {
		why = strings.ToValidUTF8(why[:longest], "") + "…"
	}
	return why
}

// print reports the result for one server.
func (r *result) print() {
	for _, o := range r.skipped {
		say(r.out, "skip %s: %s\n", o.name, o.why)
	}
	say(r.out, "etcd %s: %d passed, %d failed, %d skipped in %v\n", r.version, r.passed, len(r.failed), len(r.skipped), r.took)
}
