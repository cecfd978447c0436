package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/getcd/getcd/integration/cluster"
)

func TestMain(m *testing.M) {
	cluster.Main()
	goleak.VerifyTestMain(m)
}

// The pages that are checked in are what live calls make of the templates; every RPC is
// listed in one of them.
func TestPagesAgree(t *testing.T) {
	b := agree(t, false)
	shown := make(map[string]bool)
	for _, c := range b.shown {
		shown[c.method] = true
	}
	for _, s := range services() {
		for i := range s.Methods().Len() {
			if m := short(s.Methods().Get(i)); !shown[m] {
				t.Errorf("no page lists a call of %s", m)
			}
		}
	}
}

var curls = regexp.MustCompile(`\bcurl(At)? "`)

// They are the same when curl makes the calls over the gateway.
func TestPagesAgreeWithCurl(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not installed: its command lines are not run")
	}
	var with []string
	for _, name := range pages {
		src, err := templates.ReadFile("pages/" + name + ".tmpl")
		if err != nil {
			t.Fatal(err)
		}
		if curls.Match(src) {
			with = append(with, name)
		}
	}
	agree(t, true, with...)
}

func agree(t *testing.T, curl bool, only ...string) *book {
	t.Helper()
	if testing.Short() {
		t.Skip("it starts a cluster for each page")
	}
	if v := os.Getenv(cluster.ServerEnv); v != "" {
		t.Skipf("the pages tell of the etcd that is built in, and %s is %s", cluster.ServerEnv, v)
	}
	b, err := newBook(t.Context(), curl)
	if err != nil {
		t.Fatal(err)
	}
	pages, err := b.render(t.Context(), only...)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range pages {
		got, err := os.ReadFile(filepath.Join(b.root, "docs", "protocol", name))
		if err != nil {
			t.Error(err)
			continue
		}
		if string(got) != string(want) {
			t.Errorf("docs/protocol/%s: %s\nif that is right: go run ./integration/handbook", name, firstDifference(got, want))
		}
	}
	return b
}

var link = regexp.MustCompile(`\]\(([^):]*)\)`)

// Links between the pages, and to files of the repository, lead somewhere.
func TestLinks(t *testing.T) {
	dir := filepath.Join("..", "..", "docs", "protocol")
	anchors := make(map[string]map[string]bool)
	for _, name := range pages {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		anchors[name] = anchorsOf(string(text))
	}
	for _, name := range pages {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			file, anchor, _ := strings.Cut(m[1], "#")
			if file == "" {
				file = name
			}
			if _, err := os.Stat(filepath.Join(dir, file)); err != nil {
				t.Errorf("%s links to %s: %v", name, m[1], err)
			}
			if known := anchors[file]; anchor != "" && known != nil && !known[anchor] {
				t.Errorf("%s links to %s, and there is no such heading", name, m[1])
			}
		}
	}
}

// Each fence has a line of its own, so that it begins or ends a listing.
func TestFences(t *testing.T) {
	for _, name := range pages {
		text, err := os.ReadFile(filepath.Join("..", "..", "docs", "protocol", name))
		if err != nil {
			t.Fatal(err)
		}
		open := false
		for line := range strings.Lines(string(text)) {
			if !strings.Contains(line, "```") {
				continue
			}
			open = !open
			if rest, ok := strings.CutPrefix(strings.TrimSpace(line), "```"); !ok || open == (rest == "") || strings.Contains(rest, "`") {
				t.Errorf("%s: %q is no fence", name, line)
			}
		}
	}
}

// anchorsOf are the anchors that GitHub gives a page's headings, and those that it sets itself.
func anchorsOf(text string) map[string]bool {
	out := make(map[string]bool)
	fenced := false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		fenced = fenced != strings.HasPrefix(line, "```")
		if heading := strings.TrimLeft(line, "#"); !fenced && strings.HasPrefix(heading, " ") && heading != line {
			s := slug(strings.TrimSpace(heading))
			for i, base := 1, s; out[s]; i++ {
				s = fmt.Sprintf("%s-%d", base, i)
			}
			out[s] = true
		}
		if id, ok := strings.CutPrefix(line, `<a id="`); ok {
			out[strings.TrimSuffix(id, `"></a>`)] = true
		}
	}
	return out
}

// The table of errors has all that rpctypes exports.
func TestEveryErrorIsNamed(t *testing.T) {
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-f", "{{.Dir}}", "go.etcd.io/etcd/api/v3/v3rpc/rpctypes").Output()
	if err != nil {
		t.Fatal(err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(strings.TrimSpace(string(dir)), "error.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	left := make(map[string]bool)
	for name := range rpcErrors {
		left[name] = true
	}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		name, ok := strings.CutPrefix(spec.Names[0].Name, "ErrGRPC")
		if ok && name != "ClusterIdMismatch" && !left[name] { // a deprecated name of ClusterIDMismatch
			t.Errorf("%s is missing", spec.Names[0].Name)
		}
		delete(left, name)
		return true
	})
	for name := range left {
		t.Errorf("rpctypes has no ErrGRPC%s", name)
	}
}
