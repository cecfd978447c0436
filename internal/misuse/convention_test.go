package misuse_test

import (
	"bytes"
	"errors"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"io/fs"
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/concurrency/session"
	"github.com/getcd/getcd/lease"
	"github.com/getcd/getcd/watch"
)

// otherOptions are option types of another shape than func(*config).
var otherOptions = map[string]string{
	"kv.OpOption":      "an Op is a value, which middleware reads",
	"kv.CompactOption": "likewise",
	"lease.Option":     "likewise",
}

// otherCloses are those of another signature than Close() error or, when it sends
// something to the cluster, Close(context.Context) error.
var otherCloses = map[string]string{
	"etcdtest.Cluster": "as net/http/httptest's",
	"balancer.policy":  "gRPC's interface",
	"resolver.watcher": "gRPC's interface",
	"naming.follower":  "gRPC's interface",
}

// The convention of DESIGN.md for all packages, as far as types show it.
func TestConvention(t *testing.T) {
	closes := regexp.MustCompile(`^func\((ctx context\.Context)?\) error$`)
	walk(t, func(pkg string, fset *token.FileSet, file *ast.File) {
		source := func(n ast.Node) string {
			var b bytes.Buffer
			if err := format.Node(&b, fset, n); err != nil {
				t.Fatal(err)
			}
			return b.String()
		}
		for _, d := range file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Name.Name == "WithLease" && !strings.HasSuffix(source(d.Type.Params.List[0].Type), "ID") {
					t.Errorf("%s.WithLease takes %s, want a lease's ID; what takes a service is WithLeaseService", pkg, source(d.Type.Params.List[0].Type))
				}
				if d.Recv == nil || d.Name.Name != "Close" {
					continue
				}
				receiver := pkg + "." + strings.TrimPrefix(source(d.Recv.List[0].Type), "*")
				if got := source(d.Type); !closes.MatchString(got) && otherCloses[receiver] == "" {
					t.Errorf("%s.Close is %s, want func() error, or func(ctx context.Context) error when it sends something", receiver, got)
				}
			case *ast.GenDecl:
				for _, s := range d.Specs {
					typ, ok := s.(*ast.TypeSpec)
					if !ok {
						continue
					}
					if _, ok := typ.Type.(*ast.FuncType); !ok || !strings.HasSuffix(typ.Name.Name, "Option") || otherOptions[pkg+"."+typ.Name.Name] != "" {
						continue
					}
					if got := source(typ.Type); !regexp.MustCompile(`^func\(\*(\w+C|c)onfig\)$`).MatchString(got) {
						t.Errorf("%s.%s is %s, want func(*config)", pkg, typ.Name.Name, got)
					}
				}
			}
		}
	})
}

func TestOneIsFindsWhatIsClosed(t *testing.T) {
	for _, err := range []error{client.ErrClosed, lease.ErrClosed, watch.ErrClosed, session.ErrClosed} {
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("%v is no net.ErrClosed", err)
		}
	}
	if errors.Is(watch.ErrClosed, lease.ErrClosed) {
		t.Error("watch.ErrClosed is lease.ErrClosed, want them to be told apart")
	}
}

// walk calls f with each source file of the packages that are for users of the module.
func walk(t *testing.T, f func(pkg string, fset *token.FileSet, file *ast.File)) {
	t.Helper()
	root, fset := filepath.Join("..", ".."), token.NewFileSet()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != root && (leftOut[d.Name()] != "" && d.Name() != "etcdtest" || strings.HasPrefix(d.Name(), ".")):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(fset, path, nil, parser.SkipObjectResolution)
		if err == nil {
			f(file.Name.Name, fset, file)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
