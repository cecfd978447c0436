package cluster

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// TLSFiles names the files with which members serve clients. Paths may be
// relative to the working directory of the program that starts the cluster.
// Package certs makes such files.
type TLSFiles struct {
	// Cert and Key are the members' certificate and key, in PEM. Every member
	// uses the same pair, so the certificate should include 127.0.0.1.
	Cert, Key string
	// CA is the certificate authority that signs client certificates, in PEM.
	// Members get it only with Config.ClientCertAuth, since etcd requires client
	// certificates as soon as it has an authority.
	CA string
}

// Config describes a cluster. The zero value means three members without TLS,
// with etcd's default timing, in a temporary directory.
type Config struct {
	// Size is the number of members, from 1 to 9. Zero means 3.
	Size int

	// Server is the etcd binary that members run: a path, or a name to look up in
	// PATH. It works on Linux. Flags are then the binary's flags; the
	// "experimental-" prefix of older versions is added where needed. Empty means
	// the value of the environment variable GETCD_ETCD (ServerEnv), and if that
	// is not set, the etcd that is built into this program.
	Server string

	// Dir is the parent of a new directory with the cluster's data and logs.
	// Empty means the system's directory for temporary files.
	Dir string

	// ElectionTimeout and HeartbeatInterval are raft's timers, in whole
	// milliseconds. etcd requires ElectionTimeout to be at least five times
	// HeartbeatInterval. Zero means etcd's defaults, 1000 ms and 100 ms.
	ElectionTimeout   time.Duration
	HeartbeatInterval time.Duration

	// QuotaBytes is the database size at which etcd refuses writes and raises its
	// NOSPACE alarm. Zero means etcd's default, 2 GiB.
	QuotaBytes int64

	// Fsync makes members wait for their disk, as in production. Off by default:
	// a test does not survive a power failure anyway, and members are much faster
	// without it.
	Fsync bool

	// Disks lets the cluster control every member's disk, so that it can be
	// stalled (see Member.StallDisk). Members then wait for their disk as with
	// Fsync. But without Fsync nothing is written to the disk; they are told at
	// once that it was. Off by default. DisksSupported says where it works.
	Disks bool

	// Links puts an in-process proxy in front of every member's client port and
	// between every ordered pair of peers, so that links can be delayed,
	// black-holed and cut (see Member.ClientLink and Cluster.PeerLink). Off by
	// default: connections are then direct. It needs UNIX sockets with relative
	// paths, and is an error on Windows.
	Links bool

	// ClientTLS, if not nil, makes members serve clients only over TLS.
	ClientTLS *TLSFiles
	// ClientCertAuth makes members refuse clients without a certificate that
	// ClientTLS.CA has signed. It needs ClientTLS with a CA.
	ClientCertAuth bool

	// AuthToken is etcd's --auth-token: "simple" (the default) or "jwt,...".
	AuthToken string
	// AuthTokenTTL is how long an unused simple token stays valid, in whole
	// seconds. Zero means etcd's default, 300 s.
	AuthTokenTTL time.Duration

	// LogLevel is the level of the members' own logs: debug, info, warn,
	// error, panic or fatal. Empty means error. See Member.Log.
	LogLevel string

	// Flags are additional command-line flags of etcd for every member, each as
	// one string: "--snapshot-count=100", "--max-txn-ops=1000". A flag here
	// overrides the field above that sets the same thing. Flags for addresses,
	// directories and the membership have no effect, since the cluster sets them
	// after these.
	Flags []string

	// Logger gets records of what the cluster does to its members, at level
	// Debug, and of members that exit by themselves, at level Error. Nil means no
	// logging.
	Logger *slog.Logger
}

// populated returns cfg with defaults filled in and with absolute paths, since a
// member has its own working directory.
func (cfg Config) populated() (Config, error) {
	if cfg.Size == 0 {
		cfg.Size = 3
	}
	if cfg.ElectionTimeout == 0 {
		cfg.ElectionTimeout = time.Second
	}
	if cfg.HeartbeatInterval == 0 {
		cfg.HeartbeatInterval = 100 * time.Millisecond
	}
	if cfg.AuthToken == "" {
		cfg.AuthToken = "simple"
	}
	if cfg.AuthTokenTTL == 0 {
		cfg.AuthTokenTTL = 300 * time.Second
	}
	if cfg.LogLevel == "" {
		cfg.LogLevel = "error"
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Server == "" {
		cfg.Server = os.Getenv(ServerEnv)
	}
	if cfg.Server != "" {
		abs, err := absolute(cfg.Server)
		if err != nil {
			return cfg, fmt.Errorf("cluster: Config.Server or %s: %w", ServerEnv, err)
		}
		cfg.Server = abs
	}
	if cfg.Dir != "" {
		abs, err := filepath.Abs(cfg.Dir)
		if err != nil {
			return cfg, fmt.Errorf("cluster: Config.Dir: %w", err)
		}
		cfg.Dir = abs
	}
	if cfg.ClientTLS != nil {
		files := *cfg.ClientTLS
		for _, path := range []*string{&files.Cert, &files.Key, &files.CA} {
			if *path == "" {
				continue
			}
			abs, err := filepath.Abs(*path)
			if err != nil {
				return cfg, fmt.Errorf("cluster: Config.ClientTLS: %w", err)
			}
			*path = abs
		}
		cfg.ClientTLS = &files
	}
	return cfg, nil
}

// validate checks a populated configuration.
func (cfg Config) validate() error {
	switch {
	case cfg.Size < 1 || cfg.Size > 9:
		return fmt.Errorf("cluster: Config.Size is %d; it must be 1 to 9, or 0 for 3", cfg.Size)
	case cfg.HeartbeatInterval < time.Millisecond || cfg.HeartbeatInterval%time.Millisecond != 0:
		return fmt.Errorf("cluster: Config.HeartbeatInterval is %v; it must be whole milliseconds", cfg.HeartbeatInterval)
	case cfg.ElectionTimeout%time.Millisecond != 0 || cfg.ElectionTimeout > 50*time.Second:
		return fmt.Errorf("cluster: Config.ElectionTimeout is %v; it must be whole milliseconds and at most 50s", cfg.ElectionTimeout)
	case cfg.ElectionTimeout < 5*cfg.HeartbeatInterval:
		return fmt.Errorf("cluster: Config.ElectionTimeout is %v; it must be at least 5 × HeartbeatInterval (%v)", cfg.ElectionTimeout, cfg.HeartbeatInterval)
	case cfg.AuthTokenTTL < time.Second || cfg.AuthTokenTTL%time.Second != 0 || cfg.AuthTokenTTL/time.Second > math.MaxInt32:
		return fmt.Errorf("cluster: Config.AuthTokenTTL is %v; it must be whole seconds", cfg.AuthTokenTTL)
	case cfg.ClientTLS != nil && (cfg.ClientTLS.Cert == "" || cfg.ClientTLS.Key == ""):
		return errors.New("cluster: Config.ClientTLS needs both Cert and Key")
	case cfg.ClientCertAuth && (cfg.ClientTLS == nil || cfg.ClientTLS.CA == ""):
		return errors.New("cluster: Config.ClientCertAuth needs ClientTLS with a CA to check client certificates against")
	case cfg.Links && runtime.GOOS == "windows":
		return errors.New("cluster: Config.Links is not supported on windows: its proxies need UNIX sockets with relative paths")
	}
	for _, f := range cfg.Flags {
		if !strings.HasPrefix(f, "-") {
			return fmt.Errorf("cluster: Config.Flags has %q; a flag is written as --name=value", f)
		}
	}
	return nil
}

// memberSpec describes a member to its process. It is passed as JSON.
type memberSpec struct {
	Name             string
	Server           string // path of an etcd binary; empty means the built-in etcd
	DataDir          string
	ListenClient     []string // URLs
	AdvertiseClient  string   // URL
	Peer             string   // URL that the other members use
	ListenPeer       string   // URL
	InitialCluster   string
	Joins            bool // the cluster already exists
	Token            string
	ElectionMillis   uint
	HeartbeatMillis  uint
	QuotaBytes       int64
	Fsync            bool
	Disks            bool
	TLS              *TLSFiles
	ClientCertAuth   bool
	AuthToken        string
	AuthTokenSeconds uint
	LogLevel         string
	Flags            []string
}
