package release

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/integration/internal/environ"
)

func TestMain(m *testing.M) {
	cluster.Main()
	environ.Clear("ETCDCTL_")
	goleak.VerifyTestMain(m)
}
