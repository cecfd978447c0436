package grpcproxy

import (
	"io"
	"os"
	"sync/atomic"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

// proxyEnv marks a process that becomes a proxy.
const proxyEnv = "GETCD_GRPC_PROXY"

// mainCalled records that Main ran. It belongs to the process, not to any one
// proxy: a program that never calls Main would start copies of itself instead.
var mainCalled atomic.Bool

// Main turns this process into a gRPC proxy if [Start] started it as one; it then
// never returns. Otherwise it returns at once. Call it at the beginning of main,
// or of TestMain.
func Main() {
	if os.Getenv(proxyEnv) == "" {
		mainCalled.Store(true)
		return
	}
	// When standard input ends, the parent is gone.
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(1)
	}()
	etcdmain.Main(os.Args)
	os.Exit(1) // the proxy does not return
}
