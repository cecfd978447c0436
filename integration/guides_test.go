package integration_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/getcd/getcd/integration/internal/page"
)

// Each Go program and each test in the guides and in README.md compiles, and the tests
// pass: what a reader pastes works.
func TestGuides(t *testing.T) {
	names, err := filepath.Glob("../docs/guides/*.md")
	if err != nil || len(names) == 0 {
		t.Fatalf("%d guides, %v", len(names), err)
	}
	for _, guide := range append(names, "../README.md") {
		for i, program := range page.Go(readFile(t, guide)) {
			t.Run(fmt.Sprintf("%s/%d", filepath.Base(guide), i+1), func(t *testing.T) {
				t.Parallel()
				// In this module, for its requirements. No pattern such as ./... sees the name.
				dir, err := os.MkdirTemp(".", "_guide-") //nolint:usetesting // in this module
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = os.RemoveAll(dir) })
				file, verb := "main.go", "vet"
				if strings.Contains(program, "*testing.T") {
					file, verb = "guide_test.go", "test"
				}
				if err := os.WriteFile(filepath.Join(dir, file), []byte(program), 0o600); err != nil {
					t.Fatal(err)
				}
				out, err := exec.CommandContext(t.Context(), "go", verb, "./"+dir).CombinedOutput()
				if err != nil {
					t.Errorf("go %s: %v\n%s\n%s", verb, err, out, program)
				}
			})
		}
	}
}
