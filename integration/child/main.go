// Command child becomes an etcd member or a grpc-proxy when a test starts it as
// one. The environment variable GETCD_TEST_CHILD has its path, which must be absolute.
// Without the variable a test starts copies of its own program.
package main

import (
	"fmt"
	"os"

	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/integration/grpcproxy"
)

func main() {
	cluster.Main()
	grpcproxy.Main()
	fmt.Fprintln(os.Stderr, "child: tests start this program; set GETCD_TEST_CHILD to its absolute path")
	os.Exit(2)
}
