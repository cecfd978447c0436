package grpcproxy

import (
	"io"
	"os"
	"sync/atomic"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

// proxyEnv marks a process that is to be a proxy.
const proxyEnv = "GETCD_GRPC_PROXY"

// mainCalled remembers that Main ran. It is a fact about the process, not about any
// one proxy: a program that never calls Main would start copies of itself instead.
var mainCalled atomic.Bool

// Main turns this process into a gRPC proxy if [Start] started it as one; it then
// never returns. Otherwise it returns at once. It belongs at the beginning of main,
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
