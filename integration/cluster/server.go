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

// ServerEnv names the environment variable with the path of the etcd binary
// that clusters run when Config.Server is empty, so that a whole suite can be
// run on another version without a change to it.
const ServerEnv = "GETCD_ETCD"

// askTimeout bounds a question to an etcd binary, which answers without starting.
const askTimeout = 10 * time.Second

// server is what a cluster's members run.
type server struct {
	path    string // of the binary; empty means this program
	version string
	flags   []string // Config.Flags as the binary spells them
}

// findServer looks at what cfg, populated and valid, wants its members to run.
// The error is an errors.ErrUnsupported when the binary is fine and can't do
// what cfg asks for.
func findServer(ctx context.Context, cfg Config) (server, error) {
	if cfg.Server == "" {
		return server{version: version.Version, flags: cfg.Flags}, nil
	}
	if runtime.GOOS != "linux" {
		return server{}, fmt.Errorf("cluster: Config.Server is %s, and other binaries are run on Linux alone, which ends them with this program: %w", cfg.Server, errors.ErrUnsupported)
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

// spell returns the flag as this version writes it: etcd 3.6 dropped
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

// ask runs the binary for what it says of its version, which it does not before
// it has understood all flags.
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

// Version is the version of the members' etcd, such as "3.4.23".
func (c *Cluster) Version() string { return c.server.version }

// AtLeast says whether the members' etcd is of that version, such as "3.6" or
// "3.4.25", or of a later one. A version that is none is an answer of false.
func (c *Cluster) AtLeast(v string) bool {
	is, ok1 := numbers(c.server.version)
	want, ok2 := numbers(v)
	return ok1 && ok2 && slices.Compare(is, want) >= 0
}

// numbers takes a version apart; what comes before it is released counts as the
// release.
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

// command is the specification as the command line of the etcd binary. As with
// embedConfig, Flags come before what the cluster has to decide itself.
func (s *memberSpec) command() *exec.Cmd {
	on := func(flag string, set bool) string { return "--" + flag + "=" + strconv.FormatBool(set) }
	args := []string{
		"--logger=zap", // etcd 3.4 has another by default
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

// absolute makes the path of a binary one that holds in any directory; a bare
// name is looked for where the system looks for programs.
func absolute(path string) (string, error) {
	found, err := exec.LookPath(path)
	if err != nil {
		return "", err
	}
	return filepath.Abs(found)
}
