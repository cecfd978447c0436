package misuse_test

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Each example is a whole program: it uses nothing but what it declares itself, and what
// anybody can import. A reader who copies it from the docs can run it.
func TestExamplesAreWholePrograms(t *testing.T) {
	found := 0
	for dir, files := range exampleFiles(t) {
		for _, e := range doc.Examples(files...) {
			found++
			name := dir + ": Example" + e.Name
			if e.Play == nil {
				t.Errorf("%s is no program of its own: it uses names that are declared elsewhere in its package's tests", name)
				continue
			}
			ast.Inspect(e.Play, func(n ast.Node) bool {
				if imp, ok := n.(*ast.ImportSpec); ok {
					if path, err := strconv.Unquote(imp.Path.Value); err != nil || strings.Contains(path, "/internal/") {
						t.Errorf("%s imports %s, which users can't", name, path)
					}
				}
				return true
			})
		}
	}
	if found < 40 {
		t.Errorf("%d examples were found, want more", found)
	}
}

// exampleFiles are the files with examples, by directory, of all modules' packages but
// programs.
func exampleFiles(t *testing.T) map[string][]*ast.File {
	t.Helper()
	files := make(map[string][]*ast.File)
	root, fset := filepath.Join("..", ".."), token.NewFileSet()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "bin" || d.Name() == "cmd" || strings.HasPrefix(d.Name(), ".") && path != root):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
		if err == nil {
			dir := filepath.Dir(path)
			files[dir] = append(files[dir], file)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
