package integration_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// What the page quotes as getcd's own words is in the source, and what is etcd's is in the
// handbook, which live calls make. What programs compare with, and every warning, is on the
// page.
func TestTroubleshooting(t *testing.T) {
	page := readFile(t, "../docs/guides/troubleshooting.md")
	handbook := readFile(t, "../docs/protocol/errors.md")
	literals := sources(t)
	// Of the system, of crypto/tls and of gRPC.
	foreign := regexp.MustCompile(`^(context (deadline exceeded|canceled)|transport: .*|error reading from server: .*|unexpected HTTP status .*)$`)
	headings := regexp.MustCompile("(?m)^(?:### |\\| |- )`([^`]+)`").FindAllStringSubmatch(page, -1)
	if len(headings) < 100 {
		t.Fatalf("%d texts were found, want all", len(headings))
	}
	for _, h := range headings {
		switch text := h[1]; {
		case strings.HasPrefix(text, "etcd Put"), strings.HasPrefix(text, "x509: "), foreign.MatchString(text):
		case strings.HasPrefix(text, "etcdserver: "):
			if !strings.Contains(handbook, "["+text+"]") {
				t.Errorf("%q is not in the handbook", text)
			}
		default:
			for part := range strings.SplitSeq(text, "…") {
				if part = strings.Trim(part, " "); !strings.Contains(literals, part) {
					t.Errorf("%q: the source has no %q", text, part)
				}
			}
		}
	}
	for _, text := range regexp.MustCompile(`(?m)^(?:warn|err): (.*)$`).FindAllStringSubmatch(literals, -1) {
		if beginning, _, _ := strings.Cut(text[1], ";"); !strings.Contains(page, beginning) {
			t.Errorf("the page lacks %q", text[1])
		}
	}
}

// sources returns the string literals of the repository's Go files, one per line. A
// warning's begins with "warn: ", and that of an exported error with "err: ".
func sources(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		switch name := d.Name(); {
		case err != nil:
			return err
		case d.IsDir() && (len(name) > 2 && strings.HasPrefix(name, ".") || name == "bin" || name == "integration" || name == "playground"):
			return filepath.SkipDir
		case filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ours := !strings.HasPrefix(path, "../clientv3/") && !strings.Contains(path, "/internal/")
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.BasicLit:
				b.WriteString(literal(n) + "\n")
			case *ast.CallExpr:
				if f, ok := n.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == "Warn" && len(n.Args) > 0 {
					b.WriteString("warn: " + literal(n.Args[0]) + "\n")
				}
			case *ast.ValueSpec:
				if !ours || !strings.HasPrefix(n.Names[0].Name, "Err") || len(n.Values) != 1 {
					break
				}
				if call, ok := n.Values[0].(*ast.CallExpr); ok && len(call.Args) > 0 && !strings.Contains(literal(call.Args[0]), "%") {
					b.WriteString("err: " + literal(call.Args[0]) + "\n")
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// literal returns the string that e is, or nothing.
func literal(e ast.Expr) string {
	if l, ok := e.(*ast.BasicLit); ok && l.Kind == token.STRING {
		s, _ := strconv.Unquote(l.Value) // the file was parsed
		return s
	}
	return ""
}
