package release

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/getcd/getcd/integration/cluster"
)

func TestMain(m *testing.M) {
	cluster.Main()
	goleak.VerifyTestMain(m)
}
