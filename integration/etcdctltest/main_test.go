package etcdctltest

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/integration/grpcproxy"
)

func TestMain(m *testing.M) {
	cluster.Main()
	grpcproxy.Main()
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		built.remove()
		os.Exit(code)
	}))
}
