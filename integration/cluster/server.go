package cluster

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/version"
)

// ServerEnv is the environment variable with the path of the etcd binary that
// clusters run if Config.Server is empty. With it, a whole test suite runs on
// another version without changes.
const ServerEnv = "GETCD_ETCD"

// askTimeout limits a query to an etcd binary, which answers without starting a
// server.
const askTimeout = 10 * time.Second

// server is the program that a cluster's members run.
type server struct {
	path    string // of the binary; empty means this program
	version string
	flags   []string // Config.Flags in the binary's spelling
}

// findServer finds the program that cfg, populated and valid, wants its members
// to run. The error is errors.ErrUnsupported if the binary works but cannot do
// what cfg asks for.
func findServer(ctx context.Context, cfg Config) (server, error) {
	if cfg.Server == "" {
		return server{version: version.Version, flags: cfg.Flags}, nil
	}
	if runtime.GOOS != "linux" {
		return server{}, fmt.Errorf("cluster: Config.Server is %s, but other binaries are supported only on Linux, where they end with this program: %w", cfg.Server, errors.ErrUnsupported)
	}
	s := server{path: cfg.Server}
	out, err := s.ask(ctx)
	if err != nil {
		return server{}, fmt.Errorf("cluster: Config.Server: %w", err)
	}
	for line := range strings.Lines(out) {
		if v, ok := strings.CutPrefix(line, "etcd Version:"); ok {
			s.version = strings.TrimSpace(v)
		}
	}
	if s.version == "" {
		return server{}, fmt.Errorf("cluster: Config.Server: %s --version does not say which etcd it is: %q", cfg.Server, out)
	}
	for _, f := range cfg.Flags {
		known, err := s.spell(ctx, f)
		if err != nil {
			return server{}, err
		}
		s.flags = append(s.flags, known)
	}
	return s, nil
}

// spell returns the flag in the spelling of this version: etcd 3.6 dropped
// "experimental-" from many names.
func (s *server) spell(ctx context.Context, f string) (string, error) {
	if _, err := s.ask(ctx, f); err == nil {
		return f, nil
	}
	old := "--experimental-" + strings.TrimLeft(f, "-")
	if _, err := s.ask(ctx, old); err == nil {
		return old, nil
	}
	return "", fmt.Errorf("cluster: Config.Flags: etcd %s knows no %s: %w", s.version, f, errors.ErrUnsupported)
}

// ask runs the binary and returns what it prints about its version. It prints
// that only if it understands all flags.
func (s *server) ask(ctx context.Context, flags ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.path, append(flags, "--version")...)
	cmd.Env = memberEnvironment()
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", cmd, err, out)
	}
	return string(out), nil
}

// Version returns the version of the members' etcd, such as "3.4.23".
func (c *Cluster) Version() string { return c.server.version }

// AtLeast reports whether the members' etcd has at least the version v, such as
// "3.6" or "3.4.25". If v is not a version, it returns false.
func (c *Cluster) AtLeast(v string) bool {
	is, ok1 := numbers(c.server.version)
	want, ok2 := numbers(v)
	return ok1 && ok2 && slices.Compare(is, want) >= 0
}

// numbers parses a version. A pre-release counts as its release.
func numbers(v string) ([]int, bool) {
	v, _, _ = strings.Cut(v, "-")
	var ns []int
	for part := range strings.SplitSeq(v, ".") {
		n, err := strconv.Atoi(part)
		if err != nil {
			return nil, false
		}
		ns = append(ns, n)
	}
	return ns, len(ns) >= 2
}

// command returns the etcd binary's command line for the specification. As in
// embedConfig, Flags come before the flags that the cluster itself decides.
func (s *memberSpec) command() *exec.Cmd {
	on := func(flag string, set bool) string { return "--" + flag + "=" + strconv.FormatBool(set) }
	args := []string{
		"--logger=zap", // etcd 3.4 has another default
		"--log-outputs=stderr",
		"--log-level=" + s.LogLevel,
		"--heartbeat-interval=" + strconv.FormatUint(uint64(s.HeartbeatMillis), 10),
		"--election-timeout=" + strconv.FormatUint(uint64(s.ElectionMillis), 10),
		"--quota-backend-bytes=" + strconv.FormatInt(s.QuotaBytes, 10),
		on("unsafe-no-fsync", !s.Fsync && !s.Disks),
		on("pre-vote", true),
		"--auth-token=" + s.AuthToken,
		"--auth-token-ttl=" + strconv.FormatUint(uint64(s.AuthTokenSeconds), 10),
		"--bcrypt-cost=4",
	}
	args = append(args, s.Flags...)
	state := "new"
	if s.Joins {
		state = "existing"
	}
	args = append(args,
		"--name="+s.Name,
		"--data-dir="+s.DataDir,
		"--wal-dir=",
		"--initial-cluster="+s.InitialCluster,
		"--initial-cluster-token="+s.Token,
		"--initial-cluster-state="+state,
		"--listen-client-urls="+strings.Join(s.ListenClient, ","),
		"--advertise-client-urls="+s.AdvertiseClient,
		"--listen-peer-urls="+s.ListenPeer,
		"--initial-advertise-peer-urls="+s.Peer,
	)
	if s.TLS != nil {
		args = append(args, "--cert-file="+s.TLS.Cert, "--key-file="+s.TLS.Key)
		if s.ClientCertAuth {
			args = append(args, on("client-cert-auth", true), "--trusted-ca-file="+s.TLS.CA)
		}
	}
	return exec.Command(s.Server, args...) //nolint:noctx // a member outlives the call that starts it; process.kill ends it
}

// absolute turns the path of a binary into one that is valid in any directory. A
// bare name is looked up in PATH.
func absolute(path string) (string, error) {
	found, err := exec.LookPath(path)
	if err != nil {
		return "", err
	}
	return filepath.Abs(found)
}
