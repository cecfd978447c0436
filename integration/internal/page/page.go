// Package page finds in a page of the documentation what its readers copy.
package page

import (
	"fmt"
	"slices"
	"strings"
)

// Go returns a page's blocks of Go.
func Go(markdown string) []string {
	blocks := strings.Split(markdown, "```go\n")[1:]
	for i, b := range blocks {
		blocks[i], _, _ = strings.Cut(b, "```")
	}
	return blocks
}

// Programs returns those that are whole programs.
func Programs(markdown string) []string {
	return slices.DeleteFunc(Go(markdown), func(code string) bool { return !strings.HasPrefix(code, "package main\n") })
}

// Command returns the first command of a page that begins with the words. A line that
// ends with | or \ continues on the next one.
func Command(markdown, words string) (string, error) {
	lines := strings.Split(markdown, "\n")
	first := slices.IndexFunc(lines, func(l string) bool {
		return strings.HasPrefix(strings.TrimLeft(l, " "), words)
	})
	if first < 0 {
		return "", fmt.Errorf("the page has no command that begins with %q", words)
	}
	last := first
	for last < len(lines)-1 && (strings.HasSuffix(lines[last], "|") || strings.HasSuffix(lines[last], `\`)) {
		last++
	}
	return strings.TrimLeft(strings.Join(lines[first:last+1], "\n"), " "), nil
}
