package page_test

import (
	"slices"
	"testing"

	"github.com/getcd/getcd/integration/internal/page"
)

const text = `# A page

    go get example.com/a

` + "```go\npackage main\n\nfunc main() {}\n```\n\n```go\nfunc part() {}\n```\n" + `
    grep -r x . |
        xargs sed \
        -i s/x/y/
    next
`

func TestPrograms(t *testing.T) {
	if got, want := page.Programs(text), []string{"package main\n\nfunc main() {}\n"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestCommand(t *testing.T) {
	for words, want := range map[string]string{
		"go get ": "go get example.com/a",
		"grep ":   "grep -r x . |\n        xargs sed \\\n        -i s/x/y/",
		"next":    "next",
	} {
		if got, err := page.Command(text, words); got != want || err != nil {
			t.Errorf("%s: got %q, %v, want %q", words, got, err, want)
		}
	}
	if got, err := page.Command(text, "rm "); err == nil {
		t.Errorf("of a command that is not there: %q", got)
	}
}
