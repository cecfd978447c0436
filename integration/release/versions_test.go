package release

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The page on compatibility states what the modules and the Makefile say.
func TestStatedVersions(t *testing.T) {
	root := filepath.Join("..", "..")
	page := read(t, documented(t, root, "compatibility.md"))
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`)
	names, err := filepath.Glob(filepath.Join(root, "*", "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(names, filepath.Join(root, "go.mod")) {
		stated := version.FindStringSubmatch(read(t, name))
		if stated == nil || !strings.Contains(page, "| Go | "+stated[1]+" and later |") {
			t.Errorf("%s has the version %q, which the page does not state", name, stated)
		}
	}
	makefile := read(t, filepath.Join(root, "Makefile"))
	builtin := regexp.MustCompile(`(?m)^BUILTIN := (.*)$`).FindStringSubmatch(makefile)
	others := regexp.MustCompile(`(?m)^ALL_VERSIONS := (.*) \$\(BUILTIN\)$`).FindStringSubmatch(makefile)
	if builtin == nil || others == nil {
		t.Fatal("the Makefile does not list the versions of etcd that make versions runs on")
	}
	if want := "| etcd | " + strings.Join(append(strings.Fields(others[1]), builtin[1]), ", ") + " |"; !strings.Contains(page, want) {
		t.Errorf("the page does not state %q", want)
	}
}
