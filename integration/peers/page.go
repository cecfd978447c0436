package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"
)

// report is the report of a whole run.
type report struct {
	settings *settings
	started  time.Time
	took     time.Duration
	results  []*result
}

// finding is one test or subtest in a list.
type finding struct {
	suite, name, why string
}

// regressions returns what passes on clientv3 but not on getcd, and is not
// excused.
func (r *report) regressions() []finding {
	bad, _ := r.differences()
	return bad
}

// differences returns what passes on clientv3 but not on getcd: what is not
// excused, with the test's message, and what is excused, with our reason.
func (r *report) differences() (bad, excused []finding) {
	for _, res := range r.results {
		for _, p := range res.pairs {
			for _, name := range p.lost() {
				name = p.prefix() + name
				why, ok := res.suite.excused[name]
				if !ok { // a test covers its subtests
					why, ok = res.suite.excused[p.name()]
				}
				if ok {
					excused = append(excused, finding{res.suite.name, name, why})
				} else {
					o := p.sides[getcd]
					bad = append(bad, finding{res.suite.name, name, string(o.verdict) + ": " + o.why})
				}
			}
		}
	}
	return bad, excused
}

// others returns the tests for which keep returns a reason.
func (r *report) others(keep func(p *pair) string) []finding {
	var found []finding
	for _, res := range r.results {
		for _, p := range res.pairs {
			if why := keep(p); why != "" {
				found = append(found, finding{res.suite.name, p.name(), why})
			}
		}
	}
	return found
}

// bad reports whether the test was run and did not pass.
func (o outcome) bad() bool { return o.verdict == failed || o.verdict == hung }

// lists returns the lists of the page, in order.
func (r *report) lists() []list {
	bad, excused := r.differences()
	return []list{
		{"Pass on clientv3 but not on getcd", "", bad},
		{"Excused", "These tests depend on clientv3's internals.", excused},
		{"Pass on getcd but not on clientv3", "", r.others(func(p *pair) string {
			if p.sides[original].bad() && p.sides[getcd].verdict == passed {
				return string(p.sides[original].verdict) + ": " + p.sides[original].why
			}
			return ""
		})},
		{"Pass on neither", "", r.others(func(p *pair) string {
			if p.sides[original].bad() && p.sides[getcd].bad() {
				return fmt.Sprintf("clientv3: %s: %s; getcd: %s: %s", p.sides[original].verdict, p.sides[original].why, p.sides[getcd].verdict, p.sides[getcd].why)
			}
			return ""
		})},
		{"Passed on a later try", "These are flaky, or other work on the machine disturbed them.", r.others(func(p *pair) string {
			var on []string
			for _, side := range []string{original, getcd} {
				if o := p.sides[side]; o.verdict == passed && o.tries > 1 {
					on = append(on, side)
				}
			}
			return strings.Join(on, ", ")
		})},
		{"Skipped by the tests themselves", "", r.others(func(p *pair) string {
			for _, side := range []string{getcd, original} {
				if o := p.sides[side]; o.verdict == skipped {
					return side + ": " + o.why
				}
			}
			return ""
		})},
	}
}

type list struct {
	title, note string
	findings    []finding
}

// table writes one row for each package.
func (r *report) table(w io.Writer) {
	say(w, "| suite | package | tests | clientv3: pass | fail | hang | skip | with subtests, pass | getcd: pass | fail | hang | skip | with subtests, pass |\n")
	say(w, "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	total := make(map[string]*count)
	tests := 0
	for _, res := range r.results {
		for _, pkg := range res.suite.packages {
			n, sums := res.count(pkg)
			if n == 0 {
				continue
			}
			tests += n
			say(w, "| %s | `%s` | %d%s |\n", res.suite.name, pkg, n, columns(sums))
			for side, c := range sums {
				if total[side] == nil {
					total[side] = &count{}
				}
				total[side].add(*c)
			}
		}
	}
	say(w, "| **all** | | %d%s |\n", tests, columns(total))
}

// count counts the tests of one package on one side.
type count struct{ pass, fail, hang, skip, whole int }

func (c *count) add(d count) {
	c.pass += d.pass
	c.fail += d.fail
	c.hang += d.hang
	c.skip += d.skip
	c.whole += d.whole
}

func (res *result) count(pkg string) (int, map[string]*count) {
	n, sums := 0, map[string]*count{original: {}, getcd: {}}
	for _, p := range res.pairs {
		if p.pkg != pkg {
			continue
		}
		n++
		for side, o := range p.sides {
			c := sums[side]
			switch o.verdict {
			case passed:
				c.pass++
				c.whole++
			case failed:
				c.fail++
			case hung:
				c.hang++
			case skipped:
				c.skip++
			}
			for _, v := range o.subs {
				if v == passed {
					c.whole++
				}
			}
		}
	}
	return n, sums
}

func columns(sums map[string]*count) string {
	var b strings.Builder
	for _, side := range []string{original, getcd} {
		c := sums[side]
		if c == nil {
			c = &count{}
		}
		fmt.Fprintf(&b, " | %d | %d | %d | %d | %d", c.pass, c.fail, c.hang, c.skip, c.whole)
	}
	return b.String()
}

// print reports the whole run.
func (r *report) print(w io.Writer) {
	say(w, "\n")
	r.table(w)
	for _, l := range r.lists() {
		if len(l.findings) == 0 {
			continue
		}
		say(w, "\n%s:\n", l.title)
		for _, f := range l.findings {
			say(w, "  %s: %s: %s\n", f.suite, f.name, f.why)
		}
	}
	say(w, "\n%v\n", r.took.Round(time.Second))
}

// write writes the page.
func (r *report) write(path string) error {
	var b bytes.Buffer
	b.WriteString(`# Other people's tests

Results of other people's test suites on clientv3 and on getcd. The suites come from the
modules that their authors publish. ` + "`make peers`" + ` (integration/peers) writes this page.
Each test runs in its own process, with a limit of ` + r.settings.limit.String() + `. A test that fails runs up to ` +
		fmt.Sprint(r.settings.tries) + ` times
in all, on both clients alike. A test that expects an etcd gets a new one, of a single
member, for each run. A test with subtests counts as one; the columns "with subtests" count
each subtest as well.

`)
	for _, res := range r.results {
		fmt.Fprintf(&b, "- **%s**: `%s` %s, %s.\n", res.suite.name, res.suite.module, res.suite.version, res.suite.about)
	}
	b.WriteByte('\n')
	r.table(&b)
	fmt.Fprintf(&b, "\nRun on %s, %s/%s, %d CPUs, %s, in %v.\n",
		r.started.UTC().Format("2006-01-02"), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version(), r.took.Round(time.Minute))
	for _, l := range r.lists() {
		fmt.Fprintf(&b, "\n## %s\n\n", l.title)
		if len(l.findings) == 0 {
			b.WriteString("None.\n")
			continue
		}
		if l.note != "" {
			b.WriteString(l.note + "\n\n")
		}
		b.WriteString("| suite | test | |\n|---|---|---|\n")
		for _, f := range l.findings {
			fmt.Fprintf(&b, "| %s | `%s` | %s |\n", f.suite, f.name, cell(f.why))
		}
	}
	b.WriteString(`
## What is changed for getcd

The import paths of clientv3's packages, and:

| suite | file or package | what | why |
|---|---|---|---|
`)
	for _, res := range r.results {
		for _, l := range res.suite.loggers {
			fmt.Fprintf(&b, "| %s | `%s` | `%s` becomes slog's | getcd's loggers are slog's |\n", res.suite.name, l.file, l.expression)
		}
		for _, m := range res.suite.moved {
			fmt.Fprintf(&b, "| %s | `%s/%s` | is copied, with the import paths of clientv3 changed | %s |\n", res.suite.name, m.module, m.dir, m.why)
		}
	}
	b.WriteString(`
Both sides have the same go.mod, so all other modules have the same versions. It is the
suite's own, without its replacements by directories, and with getcd and zap's adapter added.

`)
	for _, res := range r.results {
		if len(res.suite.needed) > 0 {
			fmt.Fprintf(&b, "- The go.mod of %s also requires `%s`.\n", res.suite.name, strings.Join(res.suite.needed, "` and `"))
		}
	}
	b.WriteString(`
## How to run it

    make peers                                                             # the tests of this page; writes it
    go run ./integration/peers -suite etcd-server -limit 2m                # etcd's other integration tests
    go run ./integration/peers -suite etcd -run TestLease                  # some tests
    go run ./integration/peers -short -suite etcd                          # the tests that CI runs

The output of the tests is in bin/peers/SUITE/SIDE.log.
`)
	return os.WriteFile(path, b.Bytes(), 0o600)
}

// cell makes text fit into a table.
func cell(s string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;", ">", "&gt;", "*", `\*`, "_", `\_`).Replace(s)
}
