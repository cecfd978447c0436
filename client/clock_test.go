package client_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
)

// A clock that is set, by an hour or a year, must not matter: every age, deadline
// and pause is to be taken from Go's monotonic clock, which each time.Now has and
// which comparisons and subtractions use as long as both sides have it (package
// time, "Monotonic Clocks"). It gets lost only where a time is made of something
// else or is changed in one of the following ways. So it is enough that nobody does
// so; the few who do are listed with the reason why it is right.

// wallClock names what gives a time without a monotonic reading, or tells what the
// wall clock shows: functions of package time, and methods of time.Time.
var wallClock = struct{ functions, methods []string }{
	functions: []string{"Unix", "UnixMilli", "UnixMicro", "Date", "Parse", "ParseInLocation"},
	methods: []string{
		"Unix", "UnixMilli", "UnixMicro", "UnixNano", "Round", "Truncate", "UTC", "Local", "In", "AddDate",
		"Date", "Clock", "Year", "YearDay", "Weekday", "Hour", "Minute", "ISOWeek",
		"GobEncode", "MarshalBinary", "MarshalJSON", "MarshalText", "AppendBinary",
	},
}

// allowed are the uses that are right, by file and name.
var allowed = map[string]string{
	"resolver/transport.go: Unix": "a moment that has passed, to interrupt a read: any will do",
}

func TestNothingDependsOnTheWallClock(t *testing.T) {
	used := make(map[string]bool)
	files := 0
	walkModule(t, func(path string, file *ast.File, fset *token.FileSet) {
		files++
		for _, use := range wallClockUses(file) {
			key := path + ": " + use.name
			if used[key] = true; allowed[key] == "" {
				t.Errorf("%s: %s has no monotonic clock reading; use time.Now, time.Since and time.Time.Add, or say in this test why it is right", fset.Position(use.pos), use.name)
			}
		}
	})
	for key := range allowed {
		if !used[key] {
			t.Errorf("%s is allowed and not used", key)
		}
	}
	if files < 50 {
		t.Errorf("%d files were read, want those of the whole module", files)
	}
}

// The test above can fail.
func TestFindsUsesOfTheWallClock(t *testing.T) {
	const source = `package p
import clock "time"
func f(a, b clock.Time, d clock.Duration) {
	_ = clock.Unix(1, 0)
	_ = a.Round(0).Sub(b)
	_ = a.UnixNano() > b.UnixNano()
	_ = clock.Since(a) > d && a.After(b.Add(d))
}`
	file, err := parser.ParseFile(token.NewFileSet(), "p.go", source, 0)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, use := range wallClockUses(file) {
		got = append(got, use.name)
	}
	if want := []string{"Unix", "Round", "UnixNano", "UnixNano"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

type use struct {
	name string
	pos  token.Pos
}

// wallClockUses goes by names alone, so it may find a method of another type that
// has the same name.
func wallClockUses(file *ast.File) (uses []use) {
	clock := "" // as the file calls package time
	for _, i := range file.Imports {
		if path, err := strconv.Unquote(i.Path.Value); err == nil && path == "time" {
			clock = "time"
			if i.Name != nil {
				clock = i.Name.Name
			}
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		s, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		names := wallClock.methods
		if x, ok := s.X.(*ast.Ident); ok && x.Name == clock {
			names = wallClock.functions
		}
		if slices.Contains(names, s.Sel.Name) {
			uses = append(uses, use{s.Sel.Name, s.Sel.Pos()})
		}
		return true
	})
	return uses
}

// walkModule calls visit for each file of the module that is not a test's.
func walkModule(t *testing.T, visit func(path string, file *ast.File, fset *token.FileSet)) {
	t.Helper()
	const root = ".."
	fset := token.NewFileSet()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			// Modules of their own, the etcd in memory, and what is no package.
			_, err := os.Stat(filepath.Join(path, "go.mod"))
			if rel != "." && (err == nil || strings.HasPrefix(d.Name(), ".") ||
				slices.Contains([]string{"bin", "etcdtest"}, rel) || d.Name() == "testdata") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(rel, ".go") || strings.HasSuffix(rel, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(fset, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		visit(rel, file, fset)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// What callers are given to compare with their own clock has the reading, too.
func TestDeadlinesAreMonotonic(t *testing.T) {
	// Not in a bubble, whose clock has no monotonic reading.
	cluster := etcdtest.Start(t, 1)
	c, err := client.New(client.Config{
		Endpoints:   cluster.Addrs(),
		DialOptions: []grpc.DialOption{grpc.WithContextDialer(cluster.Dialer())},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	granted, err := c.Grant(t.Context(), 60)
	if err != nil {
		t.Fatal(err)
	}
	keeper, err := c.Keep(t.Context(), granted.ID)
	if err != nil {
		t.Fatal(err)
	}
	for name, at := range map[string]time.Time{"a keeper's Deadline": keeper.Deadline(), "an endpoint's Since": c.Endpoints()[0].Since} {
		// "If the Time has a monotonic clock reading, the returned string includes a
		// final field m=±value" (time.Time.String).
		if !strings.Contains(at.String(), " m=") {
			t.Errorf("%s is %v, want it with a monotonic clock reading", name, at)
		}
	}
}
