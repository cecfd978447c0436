package integration_test

import (
	"context"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/integration/cluster"
)

func TestMain(m *testing.M) {
	cluster.Main()
	goleak.VerifyTestMain(m)
}

// limit bounds what a test waits for; it is meant to be reached by no machine.
const limit = time.Minute

func timeout(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx
}

// startCluster runs a cluster for the test. Its election timeout is short, so
// that tests that lose leaders are.
func startCluster(t testing.TB, cfg cluster.Config) *cluster.Cluster {
	t.Helper()
	if cfg.ElectionTimeout == 0 {
		cfg.ElectionTimeout, cfg.HeartbeatInterval = 500*time.Millisecond, 50*time.Millisecond
	}
	c, err := cluster.Start(timeout(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Errorf("stopping the cluster: %v", err)
		}
	})
	return c
}

// dial connects a client for the test, and waits until it is ready.
func dial(t testing.TB, cfg client.Config) *client.Client {
	t.Helper()
	c, err := client.Dial(timeout(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// eventually polls until cond holds.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	ctx := timeout(t)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s: not within %v", what, limit)
		}
	}
}
