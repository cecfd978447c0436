package config_test

import (
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	for _, variable := range os.Environ() { // those of whoever runs the tests
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "ETCDCTL_") {
			_ = os.Unsetenv(name) // the name is valid
		}
	}
	goleak.VerifyTestMain(m)
}
