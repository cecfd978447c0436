package names

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
)

// Loader reads packages from the export data that the go command produces. All
// packages of one Loader share their dependencies, so that a type of a third
// package is the same type on both sides.
type Loader struct {
	exports  map[string]string // for each import path, the file
	importer types.Importer
}

// NewLoader compiles the packages and their imports as the module in dir sees
// them.
func NewLoader(ctx context.Context, dir string, paths ...string) (*Loader, error) {
	args := append([]string{"list", "-e", "-export", "-deps", "-json=ImportPath,Export,Error,DepOnly"}, paths...)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("names: go list: %w\n%s", err, stderr.Bytes())
	}
	l := &Loader{exports: make(map[string]string)}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct{ ImportPath, Export string }
		err := d.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("names: go list's output: %w", err)
		}
		if p.Export != "" {
			l.exports[p.ImportPath] = p.Export
		}
	}
	l.importer = importer.ForCompiler(token.NewFileSet(), "gc", func(path string) (io.ReadCloser, error) {
		file, ok := l.exports[path]
		if !ok {
			return nil, fmt.Errorf("no export data of %s: it does not exist, or does not compile", path)
		}
		return os.Open(file)
	})
	return l, nil
}

// Package returns a package, or nil if it does not exist or does not compile.
func (l *Loader) Package(path string) (*types.Package, error) {
	if l.exports[path] == "" {
		return nil, nil //nolint:nilnil // it is not there, which is an answer
	}
	return l.importer.Import(path)
}
