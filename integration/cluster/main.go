package cluster

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/signal"
	"sync/atomic"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/server/v3/embed"
)

// memberEnv marks a process that becomes a member. The rest of its configuration
// comes through its standard input.
const memberEnv = "GETCD_CLUSTER_MEMBER"

// diskEnv marks a process that becomes a member's disk. Its value says whether
// the disk calls are carried out.
const diskEnv = "GETCD_CLUSTER_DISK"

// mainCalled records that Main ran. It belongs to the process, not to any one
// cluster: a program that never calls Main would start copies of itself instead
// of members.
var mainCalled atomic.Bool

// Main turns this process into an etcd member if [Start] started it as one; it
// then never returns. Otherwise it returns at once. It must be the first line
// of main, or of TestMain:
//
//	func TestMain(m *testing.M) {
//		cluster.Main()
//		goleak.VerifyTestMain(m)
//	}
func Main() {
	if os.Getenv(diskEnv) != "" {
		err := runDisk()
		fmt.Fprintln(os.Stderr, "cluster: the disk:", err)
		os.Exit(1)
	}
	if os.Getenv(memberEnv) == "" {
		mainCalled.Store(true)
		return
	}
	if err := runMember(os.Stdin); err != nil {
		fmt.Fprintf(os.Stderr, "cluster: member %s: %v\n", os.Getenv(memberEnv), err)
		os.Exit(1)
	}
	os.Exit(0)
}

// runMember runs the member that stdin describes until it is told to terminate.
// When stdin ends, the parent is gone, and the process exits at once.
func runMember(stdin io.Reader) error {
	in := bufio.NewReader(stdin)
	line, err := in.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("reading the specification: %w", err)
	}
	parent := os.Getppid()
	var spec memberSpec
	if err := json.Unmarshal(line, &spec); err != nil {
		return fmt.Errorf("reading the specification: %w", err)
	}
	if spec.Server != "" {
		return spec.become(parent)
	}
	go func() {
		_, _ = io.Copy(io.Discard, in)
		os.Exit(1)
	}()

	terminate := make(chan os.Signal, 1)
	signal.Notify(terminate, terminateSignals()...)

	cfg, err := spec.embedConfig()
	if err != nil {
		return err
	}
	if spec.Disks {
		set, err := startDisk(spec.Fsync)
		if err != nil {
			return fmt.Errorf("Config.Disks: %w", err)
		}
		if err := serveDisk(set); err != nil {
			return err
		}
	}
	e, err := embed.StartEtcd(cfg)
	if err != nil {
		return err
	}
	if err := serveState(e.Server); err != nil {
		return err
	}
	if _, err := os.Stdout.WriteString(servingLine); err != nil {
		return err
	}
	select {
	case <-terminate:
		e.Close()
		return nil
	case err := <-e.Err():
		return fmt.Errorf("serving: %w", err)
	case <-e.Server.StopNotify():
		return errors.New("the server stopped by itself")
	}
}

// embedConfig converts the specification to etcd's configuration. Flags come
// first, so that they cannot override where the cluster expects the member.
func (s *memberSpec) embedConfig() (*embed.Config, error) {
	cfg := embed.NewConfig()
	cfg.TickMs = s.HeartbeatMillis
	cfg.ElectionMs = s.ElectionMillis
	cfg.QuotaBackendBytes = s.QuotaBytes
	cfg.UnsafeNoFsync = !s.Fsync && !s.Disks
	cfg.PreVote = true
	cfg.AuthToken = s.AuthToken
	cfg.AuthTokenTTL = s.AuthTokenSeconds
	// etcd's password hashing is slow on purpose. bcrypt's lowest cost keeps
	// tests of authentication fast.
	cfg.BcryptCost = 4
	cfg.LogLevel = s.LogLevel
	cfg.LogOutputs = []string{"stderr"}

	fs := flag.NewFlagSet("Config.Flags", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	cfg.AddFlags(fs)
	if err := fs.Parse(s.Flags); err != nil {
		return nil, fmt.Errorf("parsing Config.Flags: %w", err)
	}
	if rest := fs.Args(); len(rest) > 0 {
		return nil, fmt.Errorf("parsing Config.Flags: %q is not a flag", rest[0])
	}

	cfg.Name = s.Name
	cfg.Dir = s.DataDir
	cfg.WalDir = ""
	cfg.InitialCluster = s.InitialCluster
	cfg.InitialClusterToken = s.Token
	cfg.ClusterState = embed.ClusterStateFlagNew
	if s.Joins {
		cfg.ClusterState = embed.ClusterStateFlagExisting
	}
	if s.TLS != nil {
		cfg.ClientTLSInfo = transport.TLSInfo{
			CertFile: s.TLS.Cert,
			KeyFile:  s.TLS.Key,
		}
		if s.ClientCertAuth {
			cfg.ClientTLSInfo.ClientCertAuth = true
			cfg.ClientTLSInfo.TrustedCAFile = s.TLS.CA
		}
	}
	var err error
	if cfg.ListenClientUrls, err = parseURLs(s.ListenClient...); err != nil {
		return nil, err
	}
	if cfg.AdvertiseClientUrls, err = parseURLs(s.AdvertiseClient); err != nil {
		return nil, err
	}
	if cfg.ListenPeerUrls, err = parseURLs(s.ListenPeer); err != nil {
		return nil, err
	}
	if cfg.AdvertisePeerUrls, err = parseURLs(s.Peer); err != nil {
		return nil, err
	}
	return cfg, nil
}

func parseURLs(raw ...string) ([]url.URL, error) {
	urls := make([]url.URL, len(raw))
	for i, s := range raw {
		u, err := url.Parse(s)
		if err != nil {
			return nil, err
		}
		urls[i] = *u
	}
	return urls, nil
}
