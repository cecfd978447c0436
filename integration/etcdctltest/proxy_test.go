package etcdctltest

import (
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/integration/grpcproxy"
)

// TestThroughGRPCProxy renews a lease once with each tool through etcd's proxy,
// which ends a stream without a response if its client has closed its half.
func TestThroughGRPCProxy(t *testing.T) {
	tools := buildTools(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c, err := cluster.Start(ctx, cluster.Config{Size: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	}()
	p, err := grpcproxy.Start(ctx, grpcproxy.Config{Endpoints: c.Endpoints()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	}()
	for _, tool := range []string{tools.etcdctl, tools.getcd} {
		run := func(args ...string) string {
			t.Helper()
			out, err := exec.CommandContext(ctx, tool, append([]string{"--endpoints", p.Endpoint()}, args...)...).CombinedOutput()
			if err != nil {
				t.Fatalf("%s %q: %v\n%s", tool, args, err, out)
			}
			return string(out)
		}
		id := strings.Fields(run("lease", "grant", "600"))[1]
		if got, want := run("lease", "keep-alive", "--once", id), "lease "+id+" keepalived with TTL(600)\n"; got != want {
			t.Errorf("%s: got %q, want %q", tool, got, want)
		}
	}
}
