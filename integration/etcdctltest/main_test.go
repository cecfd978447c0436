package etcdctltest

import (
	goflag "flag"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/integration/grpcproxy"
)

func TestMain(m *testing.M) {
	cluster.Main()
	grpcproxy.Main()
	for _, variable := range os.Environ() { // those of whoever runs the tests
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "ETCDCTL_") {
			_ = os.Unsetenv(name) // the name is valid
		}
	}
	if err := goflag.Set("test.parallel", "3"); err != nil { // two of the long tests mostly wait
		panic(err)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		built.remove()
		os.Exit(code)
	}))
}
