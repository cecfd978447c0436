package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/getcd/getcd/tools/release/internal/fixture"
)

const repository = `
-- CHANGELOG.md --
# Changelog

## v0.1.0

- First.
-- LICENSE --
Take it.
-- go.mod --
module example.com/a

go 1.26.0
-- a.go --
package a
-- cmd/b/go.mod --
module example.com/a/cmd/b

go 1.26.0

require (
	example.com/a v0.0.0
	example.com/other v1.2.3
)

require example.com/a/c v0.0.0 // indirect

replace (
	example.com/a => ../../
	example.com/a/c => ../../c
)
-- cmd/b/go.sum --
example.com/other v1.2.3 h1:x=
example.com/other v1.2.3/go.mod h1:y=
-- cmd/b/b.go --
package main
-- c/go.mod --
module example.com/a/c

go 1.26.0

require example.com/a v0.0.0

replace example.com/a => ../

replace example.com/a/cmd/b => ../cmd/b // not required
-- c/c.go --
package c
-- c/LICENSE --
Take this, too.
-- tools/go.mod --
module example.com/a/tools

go 1.26.0
-- c/testdata/d/go.mod --
module example.com/a/d
`

// release runs the program in dir.
func release(tb testing.TB, dir string, args ...string) (string, error) {
	tb.Helper()
	tb.Chdir(dir)
	var out bytes.Buffer
	err := run(tb.Context(), args, &out)
	return out.String(), err
}

func TestRelease(t *testing.T) {
	dir := fixture.Repository(t, repository)
	packed := filepath.Join(t.TempDir(), "packed")
	out, err := release(t, dir, "-version", "v0.1.0", "-o", packed)
	if err != nil {
		t.Fatal(err)
	}
	const want = `packed example.com/a@v0.1.0
packed example.com/a/c@v0.1.0
packed example.com/a/cmd/b@v0.1.0
tags to be made with -tag: v0.1.0 c/v0.1.0 cmd/b/v0.1.0
`
	if out != want {
		t.Errorf("printed\n%swant\n%s", out, want)
	}
	mod, err := os.ReadFile(filepath.Join(packed, "example.com/a/cmd/b/@v/v0.1.0.mod"))
	if err != nil {
		t.Fatal(err)
	}
	const wantMod = `module example.com/a/cmd/b

go 1.26.0

require (
	example.com/a v0.1.0
	example.com/other v1.2.3
)

require example.com/a/c v0.1.0 // indirect
`
	if string(mod) != wantMod {
		t.Errorf("go.mod is\n%swant\n%s", mod, wantMod)
	}
	info, err := os.ReadFile(filepath.Join(packed, "example.com/a/@v/v0.1.0.info"))
	if err != nil {
		t.Fatal(err)
	}
	var about struct {
		Version string
		Time    time.Time
	}
	if err := json.Unmarshal(info, &about); err != nil || about.Version != "v0.1.0" || time.Since(about.Time) > time.Hour {
		t.Errorf("the info is %s, %v", info, err)
	}
	if status := fixture.Git(t, dir, "status", "--porcelain") + fixture.Git(t, dir, "tag"); status != "" {
		t.Errorf("the repository changed: %s", status)
	}
}

// The tagged commit has what was packed, and is on no branch.
func TestTag(t *testing.T) {
	dir := fixture.Repository(t, repository)
	fixture.Git(t, dir, "config", "user.name", "Test")
	fixture.Git(t, dir, "config", "user.email", "test@example.com")
	packed := filepath.Join(t.TempDir(), "packed")
	if _, err := release(t, dir, "-version", "v0.1.0", "-o", packed, "-tag"); err != nil {
		t.Fatal(err)
	}
	if tags := strings.Fields(fixture.Git(t, dir, "tag")); strings.Join(tags, " ") != "c/v0.1.0 cmd/b/v0.1.0 v0.1.0" {
		t.Errorf("tags: %q", tags)
	}
	if got, want := fixture.Git(t, dir, "rev-parse", "v0.1.0~"), fixture.Git(t, dir, "rev-parse", "HEAD"); got != want {
		t.Errorf("the tag's parent is %s, want HEAD, %s", got, want)
	}
	if changed := fixture.Git(t, dir, "diff", "--name-only", "HEAD", "v0.1.0"); changed != "c/go.mod\nc/go.sum\ncmd/b/go.mod\ncmd/b/go.sum" {
		t.Errorf("the tag changes\n%s", changed)
	}
	sums := strings.Split(fixture.Git(t, dir, "show", "v0.1.0:cmd/b/go.sum"), "\n")
	for i, want := range []string{
		"example.com/a v0.1.0 h1:", "example.com/a v0.1.0/go.mod h1:", "example.com/a/c v0.1.0 h1:",
		"example.com/a/c v0.1.0/go.mod h1:", "example.com/other v1.2.3 h1:x=", "example.com/other v1.2.3/go.mod h1:y=",
	} {
		if i >= len(sums) || !strings.HasPrefix(sums[i], want) {
			t.Errorf("go.sum is\n%s\nwant %q in line %d", strings.Join(sums, "\n"), want, i+1)
		}
	}
	before := fixture.Git(t, dir, "rev-parse", "v0.1.0")
	if _, err := release(t, dir, "-version", "v0.1.0", "-o", filepath.Join(t.TempDir(), "again"), "-tag"); err == nil {
		t.Error("the same version was tagged twice")
	}
	if after := fixture.Git(t, dir, "rev-parse", "v0.1.0"); after != before {
		t.Error("the tag has moved")
	}
}

func TestRefusals(t *testing.T) {
	for name, test := range map[string]struct {
		version string
		change  string
		dirty   bool
		want    string
	}{
		"a version that the changelog does not have": {version: "v0.2.0", want: `CHANGELOG.md begins with "## v0.1.0", not with "## v0.2.0"`},
		"an older version":                           {version: "v0.1.0", change: "-- CHANGELOG.md --\n## Unreleased\n\n## v0.1.0\n", want: `CHANGELOG.md begins with "## Unreleased"`},
		"no version":                                 {want: `-version is "", want one such as v0.1.0`},
		"a short version":                            {version: "v0.1", want: "want one such as v0.1.0"},
		"a pre-release":                              {version: "v0.1.0-rc.1", want: "want one such as v0.1.0"},
		"a version without a path":                   {version: "v2.0.0", want: "from v2 on a module's path has to end in /v2"},
		"changes that are not committed":             {version: "v0.1.0", change: "-- a.go --\npackage b\n", dirty: true, want: "a.go"},
		"a file that is not committed":               {version: "v0.1.0", change: "-- new.go --\npackage b\n", dirty: true, want: "new.go"},
		"a replaced dependency": {
			version: "v0.1.0", change: "-- c/go.mod --\nmodule example.com/a/c\n\nreplace example.com/other => example.com/fork v1.0.0\n",
			want: "example.com/a/c: go.mod replaces example.com/other: go install would refuse the module",
		},
		"a requirement that is not released": {
			version: "v0.1.0", change: "-- c/go.mod --\nmodule example.com/a/c\n\nrequire example.com/a/tools v0.0.0\n",
			want: "example.com/a/c requires example.com/a/tools, which is not released",
		},
		"a circle": {
			version: "v0.1.0", change: "-- go.mod --\nmodule example.com/a\n\nrequire example.com/a/c v0.0.0\n",
			want: "modules require each other: example.com/a → example.com/a/c → example.com/a",
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := fixture.Repository(t, repository)
			if test.dirty {
				fixture.Write(t, dir, test.change)
			} else if test.change != "" {
				fixture.Commit(t, dir, test.change)
			}
			_, err := release(t, dir, "-version", test.version, "-o", filepath.Join(t.TempDir(), "packed"))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %v, want one with %q", err, test.want)
			}
		})
	}
}
