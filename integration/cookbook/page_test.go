package cookbook_test

import (
	"flag"
	"fmt"
	"go/scanner"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write what docs/guides/cookbook.md quotes anew")

// root is where the page's names of files begin.
var root = filepath.Join("..", "..")

// lines counts a program's lines that are neither blank nor comments alone.
func lines(t *testing.T, file string) int {
	t.Helper()
	code := read(t, file)
	files := token.NewFileSet()
	f := files.AddFile(file, -1, len(code))
	var s scanner.Scanner
	s.Init(f, []byte(code), nil, 0)
	seen := make(map[int]bool)
	for {
		pos, tok, text := s.Scan()
		if tok == token.EOF {
			return len(seen)
		}
		if tok == token.SEMICOLON && text == "\n" {
			continue // one that the scanner has put there
		}
		for i := range strings.Count(text, "\n") + 1 {
			seen[f.Line(pos)+i] = true
		}
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, file)) //nolint:gosec // a file of the repository
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A program is at most half as long as the same one written on clientv3.
func TestHalfAsLong(t *testing.T) {
	rivals, err := filepath.Glob("clientv3/*/main.go")
	if err != nil || len(rivals) < 10 {
		t.Fatalf("%d programs are written on clientv3, %v", len(rivals), err)
	}
	for _, rival := range rivals {
		name := filepath.Base(filepath.Dir(rival))
		ours, theirs := lines(t, "examples/"+name+"/main.go"), lines(t, "integration/cookbook/"+rival)
		t.Logf("%s: %d lines, and %d on clientv3", name, ours, theirs)
		if 2*ours > theirs {
			t.Errorf("%s has %d lines, and %d on clientv3: more than half", name, ours, theirs)
		}
	}
}

// The page has each program in its table, with its length, and quotes files as they are.
func TestPage(t *testing.T) {
	const name = "docs/guides/cookbook.md"
	page := read(t, name)
	quote := regexp.MustCompile("(?s)<!-- (\\S+\\.go) -->\n\n```go\n.*?```\n")
	now := quote.ReplaceAllStringFunc(page, func(old string) string {
		file := quote.FindStringSubmatch(old)[1]
		return "<!-- " + file + " -->\n\n```go\n" + read(t, file) + "```\n"
	})
	length := regexp.MustCompile(`(?m)^(\| \[\w+\]\(\.\./\.\./(examples/\w+)\) \|.*\| )\d+ \|$`)
	found := make(map[string]bool)
	now = length.ReplaceAllStringFunc(now, func(old string) string {
		row := length.FindStringSubmatch(old)
		found[row[2]] = true
		return fmt.Sprintf("%s%d |", row[1], lines(t, row[2]+"/main.go"))
	})
	both := regexp.MustCompile(`(?m)^(\| \[(\w+)\]\([^)]+\)) \| \d+ \| \d+ \|$`)
	now = both.ReplaceAllStringFunc(now, func(old string) string {
		row := both.FindStringSubmatch(old)
		return fmt.Sprintf("%s | %d | %d |", row[1],
			lines(t, "examples/"+row[2]+"/main.go"), lines(t, "integration/cookbook/clientv3/"+row[2]+"/main.go"))
	})
	programs, err := filepath.Glob(filepath.Join(root, "examples", "*", "main.go"))
	if err != nil || len(programs) == 0 {
		t.Fatalf("%d programs, %v", len(programs), err)
	}
	for _, program := range programs {
		dir := "examples/" + filepath.Base(filepath.Dir(program))
		if !found[dir] {
			t.Errorf("%s has no row in the table of %s", dir, name)
		}
		if text := read(t, dir+"/README.md"); !strings.Contains(text, "go run ./"+dir) {
			t.Errorf("%s/README.md does not say how to run the program", dir)
		}
	}
	switch {
	case now == page:
	case *update:
		if err := os.WriteFile(filepath.Join(root, name), []byte(now), 0o600); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s is not in step with the programs: go test ./integration/cookbook -run TestPage -update", name)
	}
}
