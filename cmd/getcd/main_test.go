package main

import (
	"os/exec"
	"strings"
	"testing"
)

// TestLinksNoServer holds the tool to being a client: of etcd's server it links the
// stubs of the lock and the election service alone, which are not in etcd's api module.
func TestLinksNoServer(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	const server = "go.etcd.io/etcd/server/v3/"
	stubs := map[string]bool{
		server + "etcdserver/api/v3lock/v3lockpb":         true,
		server + "etcdserver/api/v3election/v3electionpb": true,
	}
	packages := strings.Fields(string(out))
	if len(packages) < 100 {
		t.Fatalf("go list names %d packages, want some hundred", len(packages))
	}
	for _, p := range packages {
		for _, banned := range []string{
			server, "go.etcd.io/etcd/client/", "go.etcd.io/etcd/pkg/", "go.etcd.io/bbolt", "go.etcd.io/raft/",
			"go.uber.org/zap", "github.com/getcd/getcd/integration/",
		} {
			if strings.HasPrefix(p, banned) && !stubs[p] {
				t.Errorf("the tool links %s", p)
			}
		}
	}
}
