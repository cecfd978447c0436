package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getcd/getcd/integration/dropin/internal/report"
)

// elsewhere has the examples of clientv3 3.7 that are not in its module but in
// etcd's tests, in tests/integration/clientv3/examples and …/concurrency.
var elsewhere = []string{
	"ExampleAuth", "ExampleClient_metrics",
	"ExampleCluster_memberAdd", "ExampleCluster_memberAddAsLearner", "ExampleCluster_memberList",
	"ExampleCluster_memberRemove", "ExampleCluster_memberUpdate",
	"ExampleConfig_insecure", "ExampleConfig_withTLS",
	"ExampleKV_compact", "ExampleKV_delete", "ExampleKV_do", "ExampleKV_get", "ExampleKV_getSortedPrefix",
	"ExampleKV_getWithRev", "ExampleKV_put", "ExampleKV_putErrorHandling", "ExampleKV_txn",
	"ExampleLease_grant", "ExampleLease_keepAlive", "ExampleLease_keepAliveOnce", "ExampleLease_revoke",
	"ExampleMaintenance_defragment", "ExampleMaintenance_status",
	"ExampleWatcher_watch", "ExampleWatcher_watchWithPrefix", "ExampleWatcher_watchWithProgressNotify", "ExampleWatcher_watchWithRange",
	"ExampleElection_Campaign", "ExampleMutex_Lock", "ExampleMutex_TryLock", "ExampleSTM_apply",
}

var (
	row  = regexp.MustCompile("(?m)^\\| `?([^|`]+)`? \\| (`[a-z]+/[a-z]+`(?:, `[a-z]+/[a-z]+`)*) \\|$")
	name = regexp.MustCompile("`([^`]+)`")
)

// Each example in clientv3's documentation has a program, and
// docs/guides/from-clientv3.md names it.
func TestExamplesAreCovered(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "guides", "from-clientv3.md"))
	if err != nil {
		t.Fatal(err)
	}
	programs := all()
	maps.Copy(programs, severalPrograms())
	covered := make(map[string]bool)
	for _, r := range row.FindAllStringSubmatch(string(page), -1) {
		covered[r[1]] = true
		for _, p := range name.FindAllStringSubmatch(r[2], -1) {
			if programs[p[1]] == nil {
				t.Errorf("%s: there is no program %s", r[1], p[1])
			}
		}
	}
	wanted := append(inModule(t), elsewhere...)
	for _, example := range wanted {
		if !covered[example] {
			t.Errorf("%s has no program", example)
		}
	}
	for example := range covered {
		if strings.HasPrefix(example, "Example") && !slices.Contains(wanted, example) {
			t.Errorf("clientv3 has no %s", example)
		}
	}
	for _, p := range report.Packages() {
		if doc := "package " + p; slices.Contains([]string{"leasing", "namespace", "ordering"}, p) && !covered[doc] {
			t.Errorf("what the documentation of %s shows has no program", doc)
		}
	}
}

// inModule finds the examples in clientv3's module.
func inModule(t *testing.T) []string {
	t.Helper()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", report.Theirs).Output()
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	err = filepath.WalkDir(strings.TrimSpace(string(dir)), func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && strings.HasPrefix(f.Name.Name, "Example") {
				found = append(found, f.Name.Name)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		t.Fatal("clientv3's module has no examples, which it had")
	}
	return found
}
