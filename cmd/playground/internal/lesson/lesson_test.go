package lesson_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/getcd/getcd/cmd/playground/internal/lesson"
	"github.com/getcd/getcd/integration/cluster"
)

var update = flag.Bool("update", false, "write the listings into the pages")

func TestMain(m *testing.M) {
	cluster.Main()
	goleak.VerifyTestMain(m)
}

const (
	tour  = "../../../../docs/tour"
	fence = "```text\n"
	// tries is how often a lesson may run until it prints what its page has: what some
	// lessons show (a member that is slow to answer is not the only one that is asked, a
	// lease of 2 s is renewed after 1 s) takes a machine that is not slow itself.
	tries = 3
)

// TestPages runs each lesson and compares what it prints with the listing on its page,
// which -update writes there.
func TestPages(t *testing.T) {
	for i, l := range lesson.Lessons() {
		t.Run(l.Page, func(t *testing.T) {
			path := filepath.Join(tour, l.Page)
			page, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			text := string(page)
			for _, want := range []string{
				fmt.Sprintf("# %d. %s\n", i+1, l.Title),
				fmt.Sprintf("    go run ./cmd/playground lesson %d\n", i+1),
			} {
				if !strings.Contains(text, want) {
					t.Errorf("the page lacks the line %q", want)
				}
			}
			before, rest, ok := strings.Cut(text, fence)
			listing, after, closed := strings.Cut(rest, "```\n")
			if !ok || !closed {
				t.Fatalf("the page has no listing between %q and ```", fence)
			}
			got := ""
			for try := range tries {
				var out bytes.Buffer
				err := l.Run(t.Context(), &out, false)
				if got = out.String(); err == nil && got == listing {
					return
				}
				if err != nil && (*update || try == tries-1) {
					t.Fatalf("%v, after\n%s", err, got)
				}
				if *update {
					break
				}
				t.Logf("the lesson prints another listing than the page has (%v):\n%s", err, got)
			}
			if !*update {
				t.Fatal("the page has another listing; run the test with -update")
			}
			if err := os.WriteFile(path, []byte(before+fence+got+"```\n"+after), 0o644); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestIndex holds the index to the pages.
func TestIndex(t *testing.T) {
	index, err := os.ReadFile(filepath.Join(tour, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for i, l := range lesson.Lessons() {
		if want := fmt.Sprintf("%d. [%s](%s)", i+1, l.Title, l.Page); !strings.Contains(string(index), want) {
			t.Errorf("the index lacks %q", want)
		}
	}
}
