package child_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/getcd/getcd/integration/internal/child"
)

func TestProgram(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(child.ProgramEnv, "")
	if got, err := child.Program(); err != nil || got != self {
		t.Errorf("got %q, %v, want this program, %q", got, err, self)
	}
	other := filepath.Join(t.TempDir(), "other")
	t.Setenv(child.ProgramEnv, other)
	if _, err := child.Program(); err == nil || !strings.Contains(err.Error(), child.ProgramEnv) || !strings.Contains(err.Error(), other) {
		t.Errorf("without the program: got %v, want an error that names the variable and the path", err)
	}
	if err := os.WriteFile(other, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	if got, err := child.Program(); err != nil || got != other {
		t.Errorf("got %q, %v, want %q", got, err, other)
	}
	t.Setenv(child.ProgramEnv, "bin/child")
	if _, err := child.Program(); err == nil || !strings.Contains(err.Error(), "absolute") {
		t.Errorf("a relative path: got %v, want an error that asks for an absolute one", err)
	}
}
