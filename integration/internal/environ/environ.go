// Package environ keeps the environment of whoever runs a test out of it.
package environ

import (
	"os"
	"strings"
)

// Clear unsets the variables whose names begin with prefix.
func Clear(prefix string) {
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, prefix) {
			_ = os.Unsetenv(name) // the name is valid
		}
	}
}
