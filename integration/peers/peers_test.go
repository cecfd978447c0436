package main

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestClientImports(t *testing.T) {
	source := `import (
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	"go.etcd.io/etcd/client/pkg/v3/testutil"
	"go.etcd.io/etcd/api/v3/mvccpb"
) // go.etcd.io/etcd/client/v3`
	want := `import (
	clientv3 "github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/clientv3/concurrency"
	"go.etcd.io/etcd/client/pkg/v3/testutil"
	"go.etcd.io/etcd/api/v3/mvccpb"
) // go.etcd.io/etcd/client/v3`
	if got := clientImports(source); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestLogger(t *testing.T) {
	l := logger{"a.go", "Logger: ", `zaptest.NewLogger(t)`}
	source := "package a\n\nimport (\n\t\"b\"\n)\n\nvar c = Config{Logger: zaptest.NewLogger(t)}\nvar lg = zaptest.NewLogger(t)\n"
	want := "package a\n\nimport (\n\t\"m/zaplog\"\n\t\"b\"\n)\n\nvar c = Config{Logger: zaplog.Slog(zaptest.NewLogger(t))}\nvar lg = zaptest.NewLogger(t)\n"
	got, err := l.adapt(source, "m/zaplog")
	if err != nil || got != want {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
	// A second one in the same file needs no second import.
	second := logger{"a.go", "var lg = ", `zaptest.NewLogger(t)`}
	if got, err = second.adapt(got, "m/zaplog"); err != nil || strings.Count(got, "m/zaplog") != 1 {
		t.Errorf("got %q, %v; want one import", got, err)
	}
	if _, err := l.adapt("package a\n", "m/zaplog"); err == nil {
		t.Error("a rule for what is not there is applied, want an error")
	}
	if _, err := l.adapt("package a\n\nimport \"b\"\n\nvar c = Config{Logger: zaptest.NewLogger(t)}\n", "m/zaplog"); err == nil {
		t.Error("the import was added nowhere, want an error")
	}
}

func TestMoved(t *testing.T) {
	m := moved{"example.com/server", "v1.0.0", "api/lock", ""}
	got := m.imports(`"example.com/server/api/lock" "example.com/server/api/lock/lockpb"`, "example.com/tests")
	if want := `"example.com/tests/moved/api/lock" "example.com/server/api/lock/lockpb"`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestJudge(t *testing.T) {
	const (
		sub  = "\x16=== RUN   TestA/x\n    \x16--- PASS: TestA/x (0.00s)\n"
		pass = "\x16=== RUN   TestA\n" + sub + "glued to this: \x16--- PASS: TestA (0.01s)\n\x16PASS\n"
	)
	for _, c := range []struct {
		name, output string
		exit         error
		timedOut     bool
		want         verdict
		why          string
	}{
		{"passes", pass, nil, false, passed, ""},
		{"prints what looks like a fate", "--- FAIL: TestA (0.00s)\n" + pass, nil, false, passed, ""},
		{"skips", sub + "    a_test.go:1: not here\n\x16--- SKIP: TestA (0.00s)\n", nil, false, skipped, "not here"},
		{
			"fails", sub + "    a_test.go:1: one\n    logger.go:146: 2026 INFO noise\n    a_test.go:2: got 1,\n        want 2\n    logger.go:146: more\n\x16--- FAIL: TestA (0.00s)\n",
			errors.New("exit status 1"), false, failed, "got 1, want 2",
		},
		{
			"fails with testify", "    a_test.go:1: \n        \tError Trace:\t/a_test.go:1\n        \tError:      \tReceived unexpected error:\n        \t            \tno\n        \tTest:       \tTestA\n\x16--- FAIL: TestA (0.00s)\n",
			errors.New("exit status 1"), false, failed, "Received unexpected error: no",
		},
		{"leaks", pass + "Unexpected goroutines running after all test(s).\n", errors.New("exit status 1"), false, failed, "Unexpected goroutines running after all test(s)."},
		{"panics", sub + "panic: oh\n\ngoroutine 1 [running]:\n", errors.New("exit status 2"), false, failed, "panic: oh"},
		{"hangs", sub + "\npanic: test timed out after 1m0s\nrunning tests:\n", errors.New("exit status 2"), false, hung, "panic: test timed out after 1m0s"},
		{"is killed", sub, errors.New("signal: killed"), true, hung, "signal: killed"},
		{"ends without a word", sub, nil, false, failed, ""},
	} {
		o := judge("TestA", c.output, c.exit, c.timedOut)
		if o.verdict != c.want || o.why != c.why {
			t.Errorf("a test that %s: got %s, %q; want %s, %q", c.name, o.verdict, o.why, c.want, c.why)
		}
		if strings.Contains(c.output, sub) && o.subs["TestA/x"] != passed {
			t.Errorf("a test that %s: its subtest is %q, want %s", c.name, o.subs["TestA/x"], passed)
		}
	}
	if got := shorten(strings.Repeat("é", longest)); len(got) > longest+len("…") || !strings.HasSuffix(got, "é…") {
		t.Errorf("a reason has %d bytes, want at most %d", len(got), longest)
	}
}

func TestLost(t *testing.T) {
	sub := func(v verdict) map[string]verdict { return map[string]verdict{"T/a": passed, "T/a/b": v} }
	for _, c := range []struct {
		name          string
		before, after outcome
		want          []string
	}{
		{"pass on both", outcome{verdict: passed}, outcome{verdict: passed}, nil},
		{"not run on getcd", outcome{verdict: passed}, outcome{}, nil},
		{"not run on clientv3", outcome{}, outcome{verdict: failed}, nil},
		{"fail on both", outcome{verdict: failed}, outcome{verdict: failed}, nil},
		{"fail", outcome{verdict: passed}, outcome{verdict: failed}, []string{"T"}},
		{"hang", outcome{verdict: passed}, outcome{verdict: hung}, []string{"T"}},
		{"skip", outcome{verdict: passed}, outcome{verdict: skipped}, []string{"T"}},
		{"skip on both", outcome{verdict: skipped}, outcome{verdict: skipped}, nil},
		{
			"a subtest fails",
			outcome{verdict: passed, subs: sub(passed)},
			outcome{verdict: failed, subs: map[string]verdict{"T/a": failed, "T/a/b": failed}},
			[]string{"T/a/b"},
		},
		{"another one fails on clientv3", outcome{verdict: failed, subs: sub(passed)}, outcome{verdict: failed, subs: sub(failed)}, []string{"T/a/b"}},
		{"the same one fails on both", outcome{verdict: failed, subs: sub(failed)}, outcome{verdict: failed, subs: sub(failed)}, nil},
	} {
		p := pair{pkg: "x/y", test: "T", sides: map[string]outcome{original: c.before, getcd: c.after}}
		if got := p.lost(); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

// An excused test is reported with its reason, and does not make the run fail.
func TestReport(t *testing.T) {
	s := &suite{name: "s", module: "m", version: "v1", about: "tests", packages: []string{"x/y"}, excused: map[string]string{"y.TestB": "looks inside", "y.TestC": "all of it"}}
	lost := func(why string) map[string]outcome {
		return map[string]outcome{original: {verdict: passed, tries: 1}, getcd: {verdict: failed, why: why, tries: 2}}
	}
	part := map[string]outcome{
		original: {verdict: passed, subs: map[string]verdict{"TestC/x": passed}},
		getcd:    {verdict: failed, subs: map[string]verdict{"TestC/x": failed}},
	}
	r := &report{settings: &settings{limit: time.Minute, tries: 2}, results: []*result{{s, []*pair{
		{"x/y", "TestA", lost("a | b")},
		{"x/y", "TestB", lost("")},
		{"x/y", "TestC", part},
	}}}}
	if bad := r.regressions(); len(bad) != 1 || bad[0].name != "y.TestA" {
		t.Errorf("got %v, want y.TestA", bad)
	}
	path := filepath.Join(t.TempDir(), "page.md")
	if err := r.write(path); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| s | `x/y` | 3 | 3 | 0 | 0 | 0 | 4 | 0 | 3 | 0 | 0 | 0 |",
		"| s | `y.TestA` | fail: a \\| b |", "| s | `y.TestB` | looks inside |", "| s | `y.TestC/x` | all of it |",
	} {
		if !bytes.Contains(page, []byte(want)) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
}

// All names in the table are used, and at most five tests in all are excused.
func TestSuites(t *testing.T) {
	excused := 0
	for _, s := range suites {
		excused += len(s.excused)
		for _, p := range s.short {
			if !slices.Contains(s.packages, p) {
				t.Errorf("%s: -short has %s, which is none of its packages", s.name, p)
			}
		}
		for name := range maps.Keys(s.excused) {
			pkg, _, _ := strings.Cut(name, ".")
			if !slices.ContainsFunc(s.packages, func(p string) bool { return (&pair{pkg: p}).prefix() == pkg+"." }) {
				t.Errorf("%s: %s is excused, and of none of its packages", s.name, name)
			}
		}
	}
	if excused > 5 {
		t.Errorf("%d tests are excused, want at most 5", excused)
	}
}

func TestParse(t *testing.T) {
	if set, err := parse([]string{"-suite", "kube", "-run", "TestA"}); err != nil || !slices.Equal(set.suites, []string{"kube"}) || set.limit != time.Minute {
		t.Errorf("got %+v, %v", set, err)
	}
	for _, args := range [][]string{{"-suite", "none"}, {"-sides", "jetcd"}, {"-run", "("}, {"-tries", "0"}, {"more"}} {
		if _, err := parse(args); err == nil {
			t.Errorf("%v is taken, want an error", args)
		}
	}
}

// A test that does not end is killed together with the processes that it has
// started, and affects no other test.
func TestHang(t *testing.T) {
	dir := t.TempDir()
	script := "#!/bin/sh\ncase $1 in *list*) echo TestA; echo BenchmarkA; echo TestB; echo noise;; *) sleep 1000 & wait;; esac\n"
	path := filepath.Join(dir, "a.test")
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil { //nolint:gosec // it is run
		t.Fatal(err)
	}
	kept, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	p := program{&tree{suite: &suite{}, dir: dir}, ".", path}
	names, err := p.list(t.Context(), regexp.MustCompile("A"))
	if err != nil || !slices.Equal(names, []string{"TestA"}) {
		t.Errorf("got %v, %v; want TestA", names, err)
	}
	began := time.Now()
	o := p.run(t.Context(), "TestA", 100*time.Millisecond-grace, 2, &logFile{file: kept})
	if took := time.Since(began); o.verdict != hung || o.tries != 2 || took > time.Minute { // of the 1000 s that it sleeps
		t.Errorf("got %+v after %v, want two hangs at once", o, took)
	}
}
