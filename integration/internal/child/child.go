// Package child finds the program that the processes of members and proxies run.
package child

import (
	"fmt"
	"os"
	"path/filepath"
)

// ProgramEnv is the environment variable with the path of the program. Command
// integration/child is one.
const ProgramEnv = "GETCD_TEST_CHILD"

// Program returns the program's path: ProgramEnv's value or, if it is empty, this
// program's own. So a suite that is built with the race detector starts members
// and proxies that are not, which are several times as fast.
func Program() (string, error) {
	if path := os.Getenv(ProgramEnv); path != "" {
		if !filepath.IsAbs(path) { // tests run in the directories of their packages
			return "", fmt.Errorf("%s must be an absolute path, and is %q", ProgramEnv, path)
		}
		if _, err := os.Stat(path); err != nil {
			return "", fmt.Errorf("%s names no program: %w", ProgramEnv, err)
		}
		return path, nil
	}
	path, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("finding this program: %w", err)
	}
	return path, nil
}
