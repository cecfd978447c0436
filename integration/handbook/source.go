package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// code is a link to a file of this repository, and a text of it, which has to be in one of
// its lines, and no more. When the code has moved to another file, it is that one. The rest
// of the line is not quoted: it changes too often to be worth a page's change.
func (p *page) code(path, text string) (string, error) {
	line, err := quoted(filepath.Join(p.root, path), text)
	if err != nil {
		moved, movedLine := p.search(text)
		if moved == "" {
			return "", err
		}
		path, line = moved, movedLine
	}
	if !strings.HasSuffix(line, text) {
		text += "…"
	}
	return fmt.Sprintf("[%s](../../%s): %s", path, path, code(text)), nil
}

// search looks for the one line of the library's that has the text.
func (p *page) search(text string) (path, line string) {
	n := 0
	_ = filepath.WalkDir(p.root, func(file string, d fs.DirEntry, err error) error { // what can't be read has it not
		name := d.Name()
		switch {
		case err != nil:
			return nil //nolint:nilerr // see above
		case d.IsDir() && (name == "integration" || name == "cmd" || name == "compat" || strings.HasPrefix(name, ".")):
			return fs.SkipDir
		case !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		if found, err := quoted(file, text); err == nil {
			path, _ = filepath.Rel(p.root, file) // it is below
			line = found
			n++
		}
		return nil
	})
	if n != 1 {
		return "", ""
	}
	return filepath.ToSlash(path), line
}

// quoted is the one line of the file that has the text.
func quoted(path, text string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	var found []string
	for line := range strings.Lines(string(b)) {
		if strings.Contains(line, text) {
			found = append(found, strings.TrimSpace(line))
		}
	}
	if len(found) != 1 {
		return "", fmt.Errorf("%s: %d lines have %q, want one", path, len(found), text)
	}
	return found[0], nil
}

// etcdSource is where the source of etcd's server is.
type etcdSource struct{ dir, version string }

func findEtcd(ctx context.Context, dir string) (etcdSource, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}\t{{.Version}}", "go.etcd.io/etcd/server/v3")
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		return etcdSource{}, fmt.Errorf("go list: %w", err)
	}
	d, v, _ := strings.Cut(strings.TrimSpace(string(out)), "\t")
	return etcdSource{d, v}, nil
}

// etcdCode is a link to a place in the source of etcd's server; the path is that below
// server/, and the text has to be in it.
func (p *page) etcdCode(path, text string) (string, error) {
	b, err := os.ReadFile(filepath.Join(p.etcd.dir, path))
	if err != nil {
		return "", err
	}
	if !strings.Contains(string(b), text) {
		return "", fmt.Errorf("etcd's server/%s does not have %q", path, text)
	}
	return fmt.Sprintf("[server/%s](https://github.com/etcd-io/etcd/blob/%s/server/%s), %s", path, p.etcd.version, path, code(text)), nil
}
