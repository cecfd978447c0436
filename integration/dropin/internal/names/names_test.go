package names_test

import (
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"testing"

	"github.com/getcd/getcd/integration/dropin/internal/names"
)

// check compiles a package of one file.
func check(t *testing.T, path, source string) *types.Package {
	t.Helper()
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, path+".go", "package p\n"+source, 0)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	p, err := (&types.Config{Importer: importer.Default()}).Check(path, fset, []*ast.File{f}, nil)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return p
}

func TestVerdicts(t *testing.T) {
	const (
		same    = names.Identical
		logger  = names.Logger
		differs = names.Differs
		missing = names.Missing
	)
	tests := []struct {
		name      string
		want, got string
		verdicts  map[string]names.Verdict
	}{
		{"func", "func F(a int, b ...string) error { return nil }", "func F(x int, y ...string) error { return nil }", map[string]names.Verdict{"F": same}},
		{"func, not variadic", "func F(b ...string) {}", "func F(b []string) {}", map[string]names.Verdict{"F": differs}},
		{"func, another result", "func F() error { return nil }", "func F() {}", map[string]names.Verdict{"F": differs}},
		{"func, a var", "func F() {}", "var F = func() {}", map[string]names.Verdict{"F": differs}},
		{"nothing", "func F() {}\nfunc g() {}\nvar V int\ntype T struct{ A int }", "", map[string]names.Verdict{"F": missing, "V": missing, "T": missing, "T.A": missing}},
		{"const", "const A, B, C = 1, 2, 3", "const A, B, C = 1, 3, 3.5", map[string]names.Verdict{"A": same, "B": differs, "C": differs}},
		{"const of a type", "type T int\nconst A T = 1", "type T int\nconst A = 1", map[string]names.Verdict{"T": same, "A": differs}},
		{"own types", "type T struct{ a int }\nfunc F(*T) map[string][]T { return nil }", "type X struct{ b string }\ntype T = X\nfunc F(*X) map[string][]X { return nil }", map[string]names.Verdict{"T": same, "F": same}},
		{"another of its types", "type A struct{ a int }\ntype B struct{ a int }\nfunc F(A) {}", "type A struct{ a int }\ntype B struct{ a int }\nfunc F(B) {}", map[string]names.Verdict{"A": same, "B": same, "F": differs}},
		{"methods", "type T struct{ a int }\nfunc (T) V() {}\nfunc (*T) P() {}\nfunc (T) Q() {}", "type T struct{ a int }\nfunc (T) V() {}\nfunc (T) P() {}\nfunc (*T) Q() {}\nfunc (T) More() {}", map[string]names.Verdict{"T": same, "T.V": same, "T.P": same, "T.Q": differs}},
		{"fields", "type T struct{ A int; B, C string; d int }", "type T struct{ A int; More int; B int; d int }", map[string]names.Verdict{"T": same, "T.A": same, "T.B": differs, "T.C": missing}},
		{"fields, all exported", "type T struct{ A int }", "type T struct{ A int; B int }", map[string]names.Verdict{"T": differs, "T.A": same}},
		{"fields, another order", "type T struct{ A int; B int }", "type T struct{ B int; A int }", map[string]names.Verdict{"T": differs, "T.A": same, "T.B": same}},
		{"tags", "type T struct{ A int `json:\"a\"` }", "type T struct{ A int }", map[string]names.Verdict{"T": differs, "T.A": same}},
		{"embedded", "type I interface{ M() }\ntype T struct{ I; a int }", "type I interface{ M() }\ntype T struct{ I I; a int }", map[string]names.Verdict{"I": same, "I.M": same, "T": differs, "T.I": same}},
		{"comparable", "type T struct{ a int }", "type T struct{ a []int }", map[string]names.Verdict{"T": differs}},
		{"interface", "type I interface{ M() I }", "type I interface{ M() I }", map[string]names.Verdict{"I": same, "I.M": same}},
		{"interface with more", "type I interface{ M() }", "type I interface{ M(); N() }", map[string]names.Verdict{"I": differs, "I.M": same}},
		{"interface with less", "type I interface{ M(); N() }", "type I interface{ M() }", map[string]names.Verdict{"I": same, "I.M": same, "I.N": missing}},
		{"interface that nobody else can implement", "type I interface{ M(); n() }", "type I interface{ M() }", map[string]names.Verdict{"I": differs, "I.M": same}},
		{"options", "type o struct{ a int }\ntype O func(*o)\nfunc W() O { return nil }", "type other struct{ b int }\ntype O func(*other)\nfunc W() O { return nil }", map[string]names.Verdict{"O": same, "W": same}},
		{"channels", "type T <-chan int\nfunc F() (T, chan error) { return nil, nil }", "type T <-chan int\nfunc F() (T, <-chan error) { return nil, nil }", map[string]names.Verdict{"T": same, "F": differs}},
		{"logger", "import \"strings\"\ntype T struct{ L *strings.Builder; a int }\nfunc F(*strings.Builder, int) {}\nvar V strings.Builder", "import \"bytes\"\ntype T struct{ L *bytes.Buffer; a int }\nfunc F(*bytes.Buffer, int) {}\nvar V bytes.Buffer", map[string]names.Verdict{"T": same, "T.L": logger, "F": logger, "V": differs}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pair := names.Pair{Want: check(t, "want", tt.want), Got: check(t, "got", tt.got)}
			loggers := map[string]string{"*strings.Builder": "*bytes.Buffer"}
			got := make(map[string]names.Verdict)
			for _, n := range names.New(loggers, pair).Names() {
				got[n.ID()] = n.Verdict
				if n.Verdict == differs && n.Detail == "" {
					t.Errorf("%s differs, and does not say how", n.ID())
				}
			}
			for id, want := range tt.verdicts {
				if got[id] != want {
					t.Errorf("%s is %q, want %q", id, got[id], want)
				}
				delete(got, id)
			}
			for id, v := range got {
				t.Errorf("%s, which is %q, was not to be listed", id, v)
			}
		})
	}
}

// Types of one package of a tree correspond to those of its counterpart in all
// other packages.
func TestPackagesOfATree(t *testing.T) {
	// Both sides of the second pair use the first pair's T.
	wantRoot, gotRoot := check(t, "want", "type T struct{ a int }"), check(t, "got", "type T struct{ b int }")
	sub := func(path string, root *types.Package) *types.Package {
		p := types.NewPackage(path, "sub")
		arg := types.NewParam(token.NoPos, p, "t", types.NewPointer(root.Scope().Lookup("T").Type()))
		p.Scope().Insert(types.NewFunc(token.NoPos, p, "F", types.NewSignatureType(nil, nil, nil, types.NewTuple(arg), nil, false)))
		return p
	}
	all := names.New(nil,
		names.Pair{Want: wantRoot, Got: gotRoot},
		names.Pair{Path: "sub", Want: sub("want/sub", wantRoot), Got: sub("got/sub", gotRoot)},
		names.Pair{Path: "gone", Want: sub("want/gone", wantRoot)},
	).Names()
	want := map[string]names.Verdict{"T": names.Identical, "sub.F": names.Identical, "gone.F": names.Missing}
	for _, n := range all {
		if want[n.ID()] != n.Verdict {
			t.Errorf("%s is %q, want %q", n.ID(), n.Verdict, want[n.ID()])
		}
	}
	if len(all) != len(want) {
		t.Errorf("%d names, want %d", len(all), len(want))
	}
}
