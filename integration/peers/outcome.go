package main

import (
	"regexp"
	"strings"
	"time"
)

// verdict is the result of a test. The zero value means that it was not run.
type verdict string

const (
	passed  verdict = "pass"
	failed  verdict = "fail"
	hung    verdict = "hang" // did not end within the limit
	skipped verdict = "skip"
)

// outcome is the result of one test and its subtests, in one process.
type outcome struct {
	verdict verdict
	subs    map[string]verdict // by their full names
	why     string             // why a test did not pass
	took    time.Duration
	tries   int
}

// mark begins the lines about results that a test binary prints with
// -test.v=test2json (go doc test2json), so that no other output can be mistaken
// for one.
const mark = "\x16"

var (
	fate     = regexp.MustCompile(mark + `--- (PASS|FAIL|SKIP): (\S+)`)
	verdicts = map[string]verdict{"PASS": passed, "FAIL": failed, "SKIP": skipped}
)

// judge reads the output of a process that ran one test. exit says how it ended.
func judge(test, output string, exit error, timedOut bool) outcome {
	o := outcome{subs: make(map[string]verdict)}
	for _, m := range fate.FindAllStringSubmatch(output, -1) {
		if m[2] == test {
			o.verdict = verdicts[m[1]]
		} else {
			o.subs[m[2]] = verdicts[m[1]]
		}
	}
	switch {
	case timedOut || strings.Contains(output, "\npanic: test timed out after "):
		o.verdict = hung
	case exit != nil, o.verdict == "":
		o.verdict = failed // by itself, or because of what it left behind
	}
	switch o.verdict {
	case hung, failed:
		o.why = reason(output)
		if o.why == "" && exit != nil {
			o.why = exit.Error()
		}
	case skipped:
		o.why = reason(output)
	case passed:
	}
	return o
}

var (
	// spoken matches the start of a test's own messages; logger.go is zap's.
	spoken = regexp.MustCompile(`^\s*([\w.-]+\.go):\d+: ?(.*)`)
	// died matches the start of the runtime's messages, and leaks that of etcd's
	// leak detector's.
	died  = regexp.MustCompile(`^(panic: |fatal error: |Unexpected goroutines|WARNING: DATA RACE)`)
	space = regexp.MustCompile(`\s+`)
)

// longest is the maximum number of bytes of a reason.
const longest = 240

// reason extracts the essence of the output: why the process died, and the last
// message of the test or, failing that, of a helper.
func reason(output string) string {
	var last, helper, death []string
	var into *[]string // where deeper lines belong; nil: nowhere
	for line := range strings.Lines(output) {
		line = strings.TrimRight(strings.ReplaceAll(line, mark, ""), "\n")
		if died.MatchString(line) && death == nil {
			death = []string{line}
		}
		if m := spoken.FindStringSubmatch(line); m != nil {
			switch {
			case m[1] == "logger.go":
				into = nil
			case strings.HasSuffix(m[1], "_test.go"):
				last, into = []string{m[2]}, &last
			default:
				helper, into = []string{m[2]}, &helper
			}
			continue
		}
		if into != nil && strings.HasPrefix(line, "        ") {
			*into = append(*into, line)
		} else {
			into = nil
		}
	}
	if last == nil {
		last = helper
	}
	return shorten(testify(strings.Join(append(death, last...), "\n")))
}

// testify removes the trace from the messages of testify's assertions.
func testify(text string) string {
	_, after, ok := strings.Cut(text, "Error:")
	if !ok || !strings.Contains(text, "Error Trace:") {
		return text
	}
	after, _, _ = strings.Cut(after, "Test:")
	return after
}

func shorten(text string) string {
	text = strings.TrimSpace(space.ReplaceAllString(text, " "))
	if len(text) > longest {
		text = strings.ToValidUTF8(text[:longest], "") + "…"
	}
	return text
}

// pair is one test on both sides.
type pair struct {
	pkg, test string
	sides     map[string]outcome
}

// name returns the name under which the test is excused and reported.
func (p *pair) name() string { return p.prefix() + p.test }

func (p *pair) prefix() string {
	if p.pkg == "." { // the module's own
		return ""
	}
	return p.pkg[strings.LastIndexByte(p.pkg, '/')+1:] + "."
}

// lost returns the names of what passed on clientv3 but not on getcd: the test
// itself, or the subtests that explain it.
func (p *pair) lost() []string {
	before, after := p.sides[original], p.sides[getcd]
	if after.verdict == passed || after.verdict == "" {
		return nil
	}
	var names []string
	for sub, v := range before.subs {
		if v == passed && after.subs[sub] != passed && after.subs[sub] != "" {
			names = append(names, sub)
		}
	}
	names = leaves(names)
	if len(names) == 0 && before.verdict == passed {
		names = []string{p.test}
	}
	return names
}
