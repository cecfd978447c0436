package cluster_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/version"

	"github.com/getcd/getcd/integration/cluster"
)

func TestVersion(t *testing.T) {
	cfg := fast()
	cfg.Size = 1
	c := start(t, cfg)
	if os.Getenv(cluster.ServerEnv) == "" && c.Version() != version.Version {
		t.Errorf("the built-in server is %s, want %s", c.Version(), version.Version)
	}
	status, err := etcdserverpb.NewMaintenanceClient(c.Members()[0].Control()).Status(within(t, limit), &etcdserverpb.StatusRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if status.GetVersion() != c.Version() {
		t.Errorf("the cluster says that its version is %s, and its member %s", c.Version(), status.GetVersion())
	}
	for _, v := range []string{"3.4", "3.3.99", c.Version(), c.Version() + ".1", "3", "", "3.x", "9.9"} {
		if got, want := c.AtLeast(v), slices.Contains([]string{"3.4", "3.3.99", c.Version()}, v); got != want {
			t.Errorf("AtLeast(%q) of %s is %v, want %v", v, c.Version(), got, want)
		}
	}
}

// Config.Server must exist, be etcd, and be asked only for what it supports.
func TestServerIsRefused(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("other binaries are supported only on Linux")
	}
	script := func(lines string) string {
		path := filepath.Join(t.TempDir(), "etcd")
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+lines+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		return path
	}
	old := script(`case "$1" in --version|--experimental-then) echo "etcd Version: 3.4.5";; *) exit 2;; esac`)
	for name, tc := range map[string]struct {
		cfg         cluster.Config
		want        string
		unsupported bool
	}{
		"missing":      {cluster.Config{Server: "/no/such/etcd"}, "/no/such/etcd", false},
		"fails":        {cluster.Config{Server: script("echo broken; exit 1")}, "broken", false},
		"another":      {cluster.Config{Server: script("echo hello")}, "hello", false},
		"unknown flag": {cluster.Config{Server: old, Flags: []string{"--then", "--now=1"}}, "etcd 3.4.5 knows no --now=1", true},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := cluster.Start(t.Context(), tc.cfg)
			if err == nil || !strings.Contains(err.Error(), tc.want) || errors.Is(err, errors.ErrUnsupported) != tc.unsupported {
				t.Errorf("got error %v, want one with %q that is ErrUnsupported: %v", err, tc.want, tc.unsupported)
			}
		})
	}
}
