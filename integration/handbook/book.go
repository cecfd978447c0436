package main

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"text/template"
	"time"
)

//go:embed pages/*.md.tmpl
var templates embed.FS

// pages are in the order in which they are rendered: the last ones list what the others
// have shown.
var pages = []string{
	"kv.md",
	"lease.md",
	"watch.md",
	"cluster.md",
	"maintenance.md",
	"auth.md",
	"lock.md",
	"election.md",
	"health.md",
	"errors.md",
	"frames.md",
	"gateway.md",
	"README.md",
}

// book is what pages have in common.
type book struct {
	root    string // of the repository
	curl    bool   // use curl for the gateway
	etcd    etcdSource
	shown   []shownCall
	failed  []failure
	gateway []exchange

	inErrors map[string]bool // of which errors.md tells
}

// shownCall is an RPC that a page has listed.
type shownCall struct{ page, method string }

// failure is an error that a server was made to give.
type failure struct{ page, name, method, request, code, why string }

func newBook(ctx context.Context, curl bool) (*book, error) {
	_, file, _, ok := runtime.Caller(0)
	if !ok {
		return nil, fmt.Errorf("where this program's source is can't be known")
	}
	root := filepath.Dir(filepath.Dir(filepath.Dir(file)))
	if _, err := os.Stat(filepath.Join(root, "go.work")); err != nil {
		return nil, fmt.Errorf("run it in the repository: %w", err)
	}
	etcd, err := findEtcd(ctx, filepath.Join(root, "integration"))
	if err != nil {
		return nil, err
	}
	return &book{root: root, curl: curl, etcd: etcd}, nil
}

// pageLimit bounds what one page takes.
const pageLimit = 4 * time.Minute

// render returns the pages by their names; all of them when none is named.
func (b *book) render(ctx context.Context, only ...string) (map[string][]byte, error) {
	out := make(map[string][]byte)
	for _, name := range pages {
		if len(only) > 0 && !slices.Contains(only, name) {
			continue
		}
		text, err := b.page(ctx, name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		out[name] = text
	}
	return out, nil
}

func (b *book) page(ctx context.Context, name string) (_ []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, pageLimit)
	defer cancel()
	p := &page{book: b, name: name, scene: scene{ctx: ctx}}
	defer func() {
		if stop := p.end(); err == nil {
			err = stop
		}
	}()
	src, err := templates.ReadFile("pages/" + name + ".tmpl")
	if err != nil {
		return nil, err
	}
	t, err := template.New(name).Option("missingkey=error").Funcs(p.funcs()).Parse(string(src))
	if err != nil {
		return nil, err
	}
	var w bytes.Buffer
	fmt.Fprintf(&w, "<!-- Written by `go run ./integration/handbook`. Edit integration/handbook/pages/%s.tmpl, and run it. -->\n", name)
	if err := t.Execute(&w, nil); err != nil {
		return nil, err
	}
	return tidy(w.Bytes()), nil
}

// tidy takes away what directives without output leave: empty lines after each other.
func tidy(b []byte) []byte {
	var out []string
	fenced := false
	for line := range strings.Lines(string(b)) {
		line = strings.TrimRight(line, " \n")
		if strings.HasPrefix(line, "```") {
			fenced = !fenced
		}
		if line == "" && !fenced && len(out) > 0 && out[len(out)-1] == "" {
			continue
		}
		out = append(out, line)
	}
	return []byte(strings.TrimRight(strings.Join(out, "\n"), "\n") + "\n")
}
