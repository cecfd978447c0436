package integration_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/integration/grpcproxy"
	"github.com/getcd/getcd/integration/internal/environ"
)

func TestMain(m *testing.M) {
	cluster.Main()
	grpcproxy.Main()
	environ.Clear("ETCDCTL_")
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		reportWire(os.Stdout)
		os.Exit(code)
	}))
}

// limit limits how long a test waits. No machine should ever reach it.
const limit = time.Minute

func timeout(tb testing.TB) context.Context {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), limit)
	tb.Cleanup(cancel)
	return ctx
}

// patient is timeout for a test that works for many seconds by itself.
func patient(tb testing.TB) context.Context {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 5*limit)
	tb.Cleanup(cancel)
	return ctx
}

// long skips a test with -short, which is for the race detector: it takes many seconds, in
// which little happens at the same time.
func long(tb testing.TB) {
	tb.Helper()
	if testing.Short() {
		tb.Skip("it takes long, and -short is set")
	}
}

// startCluster starts a cluster for the test. Its election timeout is short, so
// that tests that lose leaders are fast. The test is skipped if the etcd binary
// in the environment variable GETCD_ETCD cannot do what cfg asks for.
func startCluster(tb testing.TB, cfg cluster.Config) *cluster.Cluster {
	tb.Helper()
	if cfg.ElectionTimeout == 0 {
		cfg.ElectionTimeout, cfg.HeartbeatInterval = 500*time.Millisecond, 50*time.Millisecond
	}
	c, err := cluster.Start(timeout(tb), cfg)
	if errors.Is(err, errors.ErrUnsupported) {
		tb.Skip(err)
	}
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := c.Stop(); err != nil {
			tb.Errorf("stopping the cluster: %v", err)
		}
	})
	return c
}

// need skips the test unless the servers have at least the version, such as
// "3.6". why completes the sentence "the server lacks …".
func need(tb testing.TB, c *cluster.Cluster, version, why string) {
	tb.Helper()
	if !c.AtLeast(version) {
		tb.Skipf("etcd %s lacks %s, which came with etcd %s", c.Version(), why, version)
	}
}

// lacking checks that a call to servers before that version failed with an error
// that names the required version.
func lacking(tb testing.TB, c *cluster.Cluster, version string, err error) {
	tb.Helper()
	if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "needs etcd "+version) {
		tb.Errorf("of etcd %s: got error %v, want ErrUnsupported that names etcd %s", c.Version(), err, version)
	}
}

// dial connects a client for the test, and waits until it is ready.
func dial(tb testing.TB, cfg client.Config) *client.Client {
	tb.Helper()
	cfg = checked(tb, connection(cfg))
	c, err := client.Dial(timeout(tb), cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = c.Close() })
	return c
}

// eventually polls until cond returns true.
func eventually(tb testing.TB, what string, cond func() bool) {
	tb.Helper()
	ctx := timeout(tb)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			tb.Fatalf("%s: not within %v", what, limit)
		}
	}
}
