package etcdctltest

import (
	goflag "flag"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/integration/grpcproxy"
	"github.com/getcd/getcd/integration/internal/environ"
)

func TestMain(m *testing.M) {
	cluster.Main()
	grpcproxy.Main()
	environ.Clear("ETCDCTL_")
	if err := goflag.Set("test.parallel", "3"); err != nil { // two of the long tests mostly wait
		panic(err)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		built.remove()
		os.Exit(code)
	}))
}
