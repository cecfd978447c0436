package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/getcd/getcd/tools/release/internal/fixture"
)

// It needs a module that this one needs, too, so that it is at hand.
const repository = `
-- go.mod --
module example.com/a

go 1.26.0

require golang.org/x/mod v0.42.0
-- a.go --
package a

import "golang.org/x/mod/semver"

func A() { semver.%s("") }
`

// A database in the format of https://go.dev/doc/security/vuln/database.
const database = `
-- index/db.json --
{"modified":"2026-01-01T00:00:00Z"}
-- index/modules.json --
[{"path":"golang.org/x/mod","vulns":[{"id":"GO-2026-9999","modified":"2026-01-01T00:00:00Z","fixed":"99.0.0"}]}]
-- ID/GO-2026-9999.json --
{"schema_version":"1.3.1","id":"GO-2026-9999","modified":"2026-01-01T00:00:00Z","published":"2026-01-01T00:00:00Z",
 "summary":"Major is bad","details":"Major is bad.",
 "database_specific":{"url":"https://example.com/GO-2026-9999","review_status":"REVIEWED"},"affected":[{"package":{"name":"golang.org/x/mod","ecosystem":"Go"},
 "ranges":[{"type":"SEMVER","events":[{"introduced":"0"},{"fixed":"99.0.0"}]}],
 "ecosystem_specific":{"imports":[{"path":"golang.org/x/mod/semver","symbols":["Major"]}]}}]}
`

func vulns(tb testing.TB, dir string, args ...string) (string, error) {
	tb.Helper()
	tb.Chdir(dir)
	var out bytes.Buffer
	err := run(tb.Context(), args, &out)
	return out.String(), err
}

// A vulnerable function that is called fails the check; one that is not does not.
func TestNotices(t *testing.T) {
	db := t.TempDir()
	fixture.Write(t, db, database)
	sums, err := os.ReadFile(filepath.Join("..", "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	for function, fails := range map[string]bool{"Major": true, "IsValid": false} {
		t.Run(function, func(t *testing.T) {
			dir := fixture.Repository(t, fmt.Sprintf(repository, function)+"-- go.sum --\n"+string(sums))
			out, err := vulns(t, dir, "-db", "file://"+filepath.ToSlash(db))
			if (err != nil) != fails || strings.Contains(out, "GO-2026-9999") != fails {
				t.Errorf("got error %v, want one: %v; printed\n%s", err, fails, out)
			}
		})
	}
}

// Without the database it does not pass in silence.
func TestUnreachable(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	missing := httptest.NewServer(http.NotFoundHandler())
	defer missing.Close()
	for _, db := range []string{gone.URL, missing.URL} {
		out, err := vulns(t, t.TempDir(), "-db", db)
		if err != nil || !strings.Contains(out, "NOTHING WAS CHECKED: the vulnerability database cannot be reached: ") {
			t.Errorf("%s: printed %q, %v", db, out, err)
		}
		if _, err := vulns(t, t.TempDir(), "-db", db, "-require"); err == nil {
			t.Errorf("%s: no error, though it is required", db)
		}
	}
}
