package main

import (
	"strings"
	"testing"

	"github.com/getcd/getcd/tools/release/internal/fixture"
)

const released = `
-- CHANGELOG.md --
## v0.1.0
-- go.work --
go 1.26.0

use (
	.
	./compat
	./integration
)
-- go.mod --
module example.com/a

go 1.26.0
-- kv/kv.go --
package kv

type Client struct{ Name string }

func (*Client) Get(key string) string { return key }
-- internal/x/x.go --
package x

func X() {}
-- compat/go.mod --
module example.com/a/compat

go 1.26.0

require example.com/a v0.1.0
-- compat/compat.go --
package compat

import "example.com/a/kv"

func New() *kv.Client { return nil }
-- integration/go.mod --
module example.com/a/integration

go 1.26.0
-- integration/cluster/cluster.go --
package cluster

func Start() {}
`

func diff(tb testing.TB, dir string) (string, error) {
	tb.Helper()
	tb.Chdir(dir)
	var out strings.Builder
	err := run(tb.Context(), nil, &out)
	return out.String(), err
}

// A change within the promise fails, and the report names it.
func TestNotices(t *testing.T) {
	for name, test := range map[string]struct {
		change string
		fails  bool
		want   string
	}{
		"nothing":          {"", false, "compatible with v0.1.0"},
		"an addition":      {"-- kv/more.go --\npackage kv\n\nfunc More() {}\n", false, "./kv.More: added"},
		"internal":         {"-- internal/x/x.go --\npackage x\n", false, "apidiff: compatible with v0.1.0"},
		"not promised":     {"-- integration/cluster/cluster.go --\npackage cluster\n", false, "apidiff: compatible with v0.1.0"},
		"a parameter":      {"-- kv/kv.go --\npackage kv\n\ntype Client struct{ Name string }\n\nfunc (*Client) Get(key []byte) string { return \"\" }\n", true, "(*Client).Get: changed from func(string) string to func([]byte) string"},
		"a field":          {"-- kv/kv.go --\npackage kv\n\ntype Client struct{}\n\nfunc (*Client) Get(key string) string { return key }\n", true, "Client.Name: removed"},
		"another module":   {"-- compat/compat.go --\npackage compat\n", true, "New: removed"},
		"a package":        {"-- kv/kv.go --\n-- compat/compat.go --\npackage compat\n\nfunc New() *int { return nil }\n", true, "example.com/a/kv: removed"},
		"a module":         {"-- compat/go.mod --\n-- compat/compat.go --\n-- go.work --\ngo 1.26.0\n\nuse (\n\t.\n\t./integration\n)\n", true, "example.com/a/compat is no longer there"},
		"a minor version":  {"-- CHANGELOG.md --\n## v0.2.0\n\n## v0.1.0\n-- compat/compat.go --\npackage compat\n", false, "not compatible with v0.1.0, as v0.2.0 may be"},
		"a patch":          {"-- CHANGELOG.md --\n## v0.1.1\n\n## v0.1.0\n-- compat/compat.go --\npackage compat\n", true, "New: removed"},
		"not yet released": {"-- CHANGELOG.md --\n## Unreleased\n\n## v0.1.0\n-- compat/compat.go --\npackage compat\n", true, "New: removed"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := fixture.Repository(t, released)
			fixture.Git(t, dir, "tag", "v0.1.0")
			fixture.Git(t, dir, "tag", "v0.2.0-rc.1") // no promise
			fixture.Write(t, dir, test.change)
			out, err := diff(t, dir)
			if (err != nil) != test.fails {
				t.Errorf("got error %v, want one: %v", err, test.fails)
			}
			if !strings.Contains(out, test.want) {
				t.Errorf("printed\n%swant %q", out, test.want)
			}
		})
	}
}

// Before the first release it says that it compared nothing.
func TestNoRelease(t *testing.T) {
	out, err := diff(t, fixture.Repository(t, released))
	if err != nil || !strings.Contains(out, "no release yet") {
		t.Errorf("printed %q, %v", out, err)
	}
}

func TestMayBreak(t *testing.T) {
	for versions, want := range map[string]bool{
		"v0.1.0 v0.1.1": false, "v0.1.0 v0.2.0": true, "v0.1.0 v1.0.0": true, "v0.1.0 Unreleased": false,
		"v1.1.0 v1.2.0": false, "v1.1.0 v2.0.0": true, "v1.1.0 Unreleased": false,
	} {
		last, next, _ := strings.Cut(versions, " ")
		if got := mayBreak(last, next); got != want {
			t.Errorf("from %s to %s: %v, want %v", last, next, got, want)
		}
	}
}
