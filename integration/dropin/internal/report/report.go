// Package report compares the packages that replace clientv3 with clientv3's own,
// and writes a report.
package report

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/getcd/getcd/integration/dropin/internal/names"
)

// The roots of the two trees of packages.
const (
	Theirs = "go.etcd.io/etcd/client/v3"
	Ours   = "github.com/getcd/getcd/clientv3"
)

// Packages returns all public packages of clientv3 that have exported names.
func Packages() []string {
	return []string{
		"", "clientv3util", "concurrency", "credentials", "experimental/recipes", "kubernetes", "leasing",
		"mirror", "mock/mockserver", "namespace", "naming/endpoints", "naming/resolver", "ordering", "snapshot", "yaml",
	}
}

// loggers returns the types that slog's types replace.
func loggers() map[string]string {
	return map[string]string{
		"*go.uber.org/zap.Logger":       "*log/slog.Logger",
		"*go.uber.org/zap.Config":       "*log/slog.HandlerOptions",
		"go.uber.org/zap/zapcore.Level": "log/slog.Level",
	}
}

// Compare compares all packages as the module in dir sees them.
func Compare(ctx context.Context, dir string) ([]names.Name, error) {
	var paths []string
	for _, p := range Packages() {
		paths = append(paths, join(Theirs, p), join(Ours, p))
	}
	l, err := names.NewLoader(ctx, dir, paths...)
	if err != nil {
		return nil, err
	}
	var pairs []names.Pair
	for _, p := range Packages() {
		want, err := l.Package(join(Theirs, p))
		if err != nil {
			return nil, err
		}
		if want == nil {
			return nil, fmt.Errorf("report: %s is not there", join(Theirs, p))
		}
		got, err := l.Package(join(Ours, p))
		if err != nil {
			return nil, err
		}
		pairs = append(pairs, names.Pair{Path: p, Want: want, Got: got})
	}
	return names.New(loggers(), pairs...).Names(), nil
}

func join(root, path string) string { return strings.TrimSuffix(root+"/"+path, "/") }

// Counts is the number of names with each verdict.
type Counts map[names.Verdict]int

// Total returns the number of names.
func (c Counts) Total() int {
	n := 0
	for _, k := range c {
		n += k
	}
	return n
}

// Same returns the number of names that programs can use without changes.
func (c Counts) Same() int { return c[names.Identical] + c[names.Logger] }

func (c Counts) percent() string {
	return fmt.Sprintf("%.1f %%", 100*float64(c.Same())/float64(max(1, c.Total())))
}

// Count counts the names of a package, or of all packages for "*".
func Count(all []names.Name, pkg string) Counts {
	c := make(Counts)
	for _, n := range all {
		if pkg == "*" || n.Package == pkg {
			c[n.Verdict]++
		}
	}
	return c
}

// Write writes the report.
func Write(w io.Writer, version string, all []names.Name) error {
	b := new(bytes.Buffer)
	fmt.Fprintf(b, "# Which names of clientv3 getcd has\n\n"+
		"This page lists each exported name of `%s` %s, and whether a program that\n"+
		"uses it compiles with `%s` instead: *identical*, or *logger* if only\n"+
		"the logger's type differs (slog's instead of zap's). `go run ./integration/dropin` writes\n"+
		"this page, and a test checks that it is up to date.\n\n", Theirs, version, Ours)
	fmt.Fprint(b, "| package | names | identical | logger | differs | missing | usable |\n|---|--:|--:|--:|--:|--:|--:|\n")
	row := func(title string, c Counts) {
		fmt.Fprintf(b, "| %s | %d | %d | %d | %d | %d | %s |\n", title, c.Total(),
			c[names.Identical], c[names.Logger], c[names.Differs], c[names.Missing], c.percent())
	}
	for _, p := range Packages() {
		row("`"+join("clientv3", p)+"`", Count(all, p))
	}
	row("**all**", Count(all, "*"))

	fmt.Fprint(b, "\n## Missing or different\n\n")
	none := true
	for _, n := range all {
		switch n.Verdict {
		case names.Differs:
			fmt.Fprintf(b, "- `%s` (%s) %s\n", n.ID(), n.Kind, strings.ReplaceAll(n.Detail, "\n", " "))
		case names.Missing:
			if parent, _, member := strings.Cut(n.Name, "."); member && verdictOf(all, n.Package, parent) == names.Missing {
				continue // the verdict for its type says so
			}
			fmt.Fprintf(b, "- `%s` (%s) is missing\n", n.ID(), n.Kind)
		default:
			continue
		}
		none = false
	}
	if none {
		fmt.Fprint(b, "Nothing.\n")
	}
	for _, p := range Packages() {
		fmt.Fprintf(b, "\n## `%s`\n\n| name | kind | here |\n|---|---|---|\n", join("clientv3", p))
		for _, n := range all {
			if n.Package == p {
				fmt.Fprintf(b, "| `%s` | %s | %s |\n", n.ID(), n.Kind, n.Verdict)
			}
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

func verdictOf(all []names.Name, pkg, name string) names.Verdict {
	for _, n := range all {
		if n.Package == pkg && n.Name == name {
			return n.Verdict
		}
	}
	return ""
}

var line = regexp.MustCompile("^\\| `([^`]+)` \\| (\\w+) \\| (\\w+) \\|$")

// Read returns the verdicts in a report, by the IDs of the names.
func Read(r io.Reader) (map[string]names.Verdict, error) {
	all := make(map[string]names.Verdict)
	s := bufio.NewScanner(r)
	for s.Scan() {
		if m := line.FindStringSubmatch(s.Text()); m != nil {
			all[m[1]] = names.Verdict(m[3])
		}
	}
	return all, s.Err()
}

// Worse returns the names that the report calls identical, possibly except for a
// logger, but that are not any more. They are in the order of now.
func Worse(before map[string]names.Verdict, now []names.Name) []names.Name {
	rank := map[names.Verdict]int{names.Missing: 0, "": 0, names.Differs: 1, names.Logger: 2, names.Identical: 3}
	var worse []names.Name
	for _, n := range now {
		if was := before[n.ID()]; cmp.Less(rank[n.Verdict], rank[was]) && rank[was] >= rank[names.Logger] {
			worse = append(worse, n)
		}
	}
	return worse
}
