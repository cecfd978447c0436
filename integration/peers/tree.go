package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// The two sides.
const (
	original = "clientv3"
	getcd    = "getcd"
)

// tree is a copy of a suite for one side, and its test binaries.
type tree struct {
	suite *suite
	side  string
	dir   string // the copied module
	bin   string // its test binaries
}

// prepare makes a new tree and builds its packages' tests. repo is getcd's root.
func prepare(ctx context.Context, s *suite, side, repo, work string, packages []string) (*tree, error) {
	t := &tree{s, side, filepath.Join(work, s.name, side), filepath.Join(work, s.name, side+".bin")}
	from, err := download(ctx, s.module, s.version)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(os.RemoveAll(t.dir), os.RemoveAll(t.bin)); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(t.bin, 0o755); err != nil { //nolint:gosec // nothing in it is secret
		return nil, err
	}
	if err := copyTree(from, t.dir, true); err != nil {
		return nil, err
	}
	for _, file := range s.unbuilt {
		if err := os.Remove(filepath.Join(t.dir, file)); err != nil {
			return nil, err
		}
	}
	if side == getcd {
		if err := t.move(ctx); err != nil {
			return nil, err
		}
	}
	if err := t.requirements(ctx, repo); err != nil {
		return nil, err
	}
	for _, pkg := range packages {
		if _, err := goCommand(ctx, t.dir, "test", "-c", "-tags="+s.tags, "-o", t.program(pkg).path, "./"+pkg); err != nil {
			return nil, fmt.Errorf("building the tests of %s for %s: %w", s.name, side, err)
		}
	}
	return t, nil
}

// move applies the rules to all files, even those that are not built.
func (t *tree) move(ctx context.Context) error {
	for _, m := range t.suite.moved {
		from, err := download(ctx, m.module, m.version)
		if err != nil {
			return err
		}
		if err := copyTree(filepath.Join(from, m.dir), filepath.Join(t.dir, "moved", m.dir), false); err != nil {
			return err
		}
	}
	err := filepath.WalkDir(t.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" {
			return err
		}
		return edit(path, func(source string) (string, error) {
			source = clientImports(source)
			for _, m := range t.suite.moved {
				source = m.imports(source, t.suite.module)
			}
			return source, nil
		})
	})
	if err != nil {
		return err
	}
	for _, l := range t.suite.loggers {
		err := edit(filepath.Join(t.dir, l.file), func(source string) (string, error) {
			return l.adapt(source, t.suite.module+"/zaplog")
		})
		if err != nil {
			return err
		}
	}
	if err := os.Mkdir(filepath.Join(t.dir, "zaplog"), 0o755); err != nil { //nolint:gosec // nothing in it is secret
		return err
	}
	return os.WriteFile(filepath.Join(t.dir, "zaplog", "zaplog.go"), []byte(zaplog), 0o600)
}

// requirements makes go.mod usable here: it removes replacements by directories
// of the authors, and adds getcd on both sides, so that the versions of all other
// modules are the same.
func (t *tree) requirements(ctx context.Context, repo string) error {
	text, err := goCommand(ctx, t.dir, "mod", "edit", "-json")
	if err != nil {
		return err
	}
	var mod struct {
		Replace []struct {
			Old, New struct{ Path, Version string }
		}
	}
	if err := json.Unmarshal(text, &mod); err != nil {
		return err
	}
	args := []string{
		"mod", "edit", "-toolchain=none",
		"-require=github.com/getcd/getcd@v0.0.0", "-replace=github.com/getcd/getcd=" + repo,
		"-require=go.uber.org/zap/exp@v0.3.0",
	}
	for _, version := range t.suite.needed {
		args = append(args, "-require="+version)
	}
	for _, r := range mod.Replace {
		if r.New.Version == "" {
			args = append(args, "-dropreplace="+r.Old.Path)
		}
	}
	for _, module := range t.suite.unneeded {
		args = append(args, "-droprequire="+module)
	}
	if _, err := goCommand(ctx, t.dir, args...); err != nil {
		return err
	}
	sums, err := os.ReadFile(filepath.Join(repo, "integration", "go.sum"))
	if err != nil {
		return err
	}
	return edit(filepath.Join(t.dir, "go.sum"), func(own string) (string, error) { return own + string(sums), nil })
}

// download returns the directory of the module's source.
func download(ctx context.Context, module, version string) (string, error) {
	text, err := goCommand(ctx, "", "mod", "download", "-json", module+"@"+version)
	if err != nil {
		return "", err
	}
	var got struct{ Dir string }
	if err := json.Unmarshal(text, &got); err != nil {
		return "", err
	}
	return got.Dir, nil
}

// goCommand runs the go command outside of the workspace and returns its output.
func goCommand(ctx context.Context, dir string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, &errs)
	}
	return out, nil
}

// copyTree copies the files and, if all is set, the directories.
func copyTree(from, to string, all bool) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if d.IsDir() && rel != "." && !all {
			return fs.SkipDir
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o755) //nolint:gosec // nothing in it is secret
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), data, 0o600)
	})
}

// edit rewrites a file, unless it does not change.
func edit(path string, change func(string) (string, error)) error {
	old, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	text, err := change(string(old))
	if err != nil || text == string(old) {
		return err
	}
	return os.WriteFile(path, []byte(text), 0o600)
}
