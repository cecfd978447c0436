package etcdtest_test

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// Every public package of the module has an example that runs.
func TestEveryPackageHasAnExample(t *testing.T) {
	root := ".."
	tests := make(map[string][]*ast.File) // by directory; nil for one without
	fset := token.NewFileSet()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			switch name := d.Name(); {
			case path == root:
				return nil
			case strings.HasPrefix(name, "."), name == "internal", name == "testdata",
				path == filepath.Join(root, "bin"), path == filepath.Join(root, "cmd"), path == filepath.Join(root, "examples"), path == filepath.Join(root, "integration"), path == filepath.Join(root, "tools"):
				return filepath.SkipDir // nothing that a program imports
			case filepath.Dir(path) == filepath.Join(root, "clientv3"), filepath.Dir(path) == filepath.Join(root, "compat"):
				return filepath.SkipDir // another's names; the packages of those have examples
			}
			return nil
		}
		dir := filepath.Dir(path)
		if dir == root || dir == filepath.Join(root, "observability", "grafana") {
			return nil // they declare nothing
		}
		switch {
		case strings.HasSuffix(path, "_test.go"):
			file, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
			if err != nil {
				return err
			}
			tests[dir] = append(tests[dir], file)
		case strings.HasSuffix(path, ".go"):
			if tests[dir] == nil {
				tests[dir] = nil // a package, be it without tests
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(tests) < 20 {
		t.Errorf("%d packages were found, want more", len(tests))
	}
	for dir, files := range tests {
		runs := 0
		for _, e := range doc.Examples(files...) {
			if e.Output != "" || e.EmptyOutput {
				runs++
			}
		}
		if runs == 0 {
			t.Errorf("%s has no example with an Output: write one in example_test.go, on etcdtest", dir)
		}
	}
}
