// Package twice compiles a program twice: as it is, with clientv3, and with the import paths of
// getcd's packages in their place.
package twice

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/getcd/getcd/integration/dropin/internal/report"
)

// Build compiles the program in dir, and returns the two binaries, which it writes to tmp.
func Build(ctx context.Context, dir, tmp string) (theirs, ours string, err error) {
	dir, err = filepath.Abs(dir)
	if err != nil {
		return "", "", err
	}
	theirs, ours = filepath.Join(tmp, "with-clientv3"), filepath.Join(tmp, "with-getcd")
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return "", "", err
	}
	var overlay struct{ Replace map[string]string }
	overlay.Replace = make(map[string]string)
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			return "", "", err
		}
		changed := filepath.Join(tmp, filepath.Base(file))
		if err := os.WriteFile(changed, bytes.ReplaceAll(source, []byte(`"`+report.Theirs), []byte(`"`+report.Ours)), 0o600); err != nil {
			return "", "", err
		}
		overlay.Replace[file] = changed
	}
	described, err := json.Marshal(overlay)
	if err != nil {
		return "", "", err
	}
	file := filepath.Join(tmp, "overlay.json")
	if err := os.WriteFile(file, described, 0o600); err != nil {
		return "", "", err
	}
	if err := compile(ctx, dir, theirs); err != nil {
		return "", "", err
	}
	return theirs, ours, compile(ctx, dir, ours, "-overlay", file)
}

func compile(ctx context.Context, dir, binary string, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", append(append([]string{"build"}, args...), "-o", binary, ".")...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("twice: %s: %w\n%s", filepath.Base(binary), err, out)
	}
	return nil
}
