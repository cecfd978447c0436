package main

import (
	"errors"
	"flag"
	"strings"
	"testing"
)

// TestMisuse names what is wrong, and starts nothing.
func TestMisuse(t *testing.T) {
	for args, want := range map[string]string{
		"nonsense":            `unknown command "nonsense"`,
		"demo now":            `demo takes no argument, and got "now"`,
		"cluster 5":           `cluster takes no argument, and got "5"`,
		"lesson":              "lesson takes the number of one, 1 to 12",
		"lesson 0":            "lesson takes the number of one, 1 to 12",
		"lesson 13":           "lesson takes the number of one, 1 to 12",
		"lesson 1 2":          "lesson takes the number of one, 1 to 12",
		"lesson four":         "lesson takes the number of one, 1 to 12",
		"lesson -colored 1":   "flag provided but not defined: -colored",
		"demo -endpoints=a:x": "1 of the demo's steps failed",
	} {
		if err := run(t.Context(), strings.Fields(args)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("playground %s: got %v, want %q in it", args, err, want)
		}
	}
	for _, args := range [][]string{nil, {"help"}, {"lesson", "-h"}} {
		if err := run(t.Context(), args); !errors.Is(err, flag.ErrHelp) {
			t.Errorf("playground %q: got %v, want %v", args, err, flag.ErrHelp)
		}
	}
}
