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

// TLSFiles names the files that members serve their clients with. Paths may be
// relative to the working directory of the program that starts the cluster.
// Package certs makes such files.
type TLSFiles struct {
	// Cert and Key are the members' certificate and its key, in PEM. Every
	// member uses the same pair, so it should name 127.0.0.1.
	Cert, Key string
	// CA is the certificate authority, in PEM, that client certificates are
	// checked against. Members are given it with Config.ClientCertAuth alone:
	// etcd demands client certificates as soon as it knows an authority.
	CA string
}

// Config describes a cluster. The zero value is three members without TLS at
// etcd's default timing, in a temporary directory.
type Config struct {
	// Size is the number of members, 1 to 9. Zero means 3.
	Size int

	// Server is the etcd binary that members run: a path, or a name to look for
	// in PATH. It works on Linux. Flags are then those of the binary, but for
	// names that were "experimental-" once. Empty means what the
	// environment variable GETCD_ETCD (ServerEnv) names, and without that the
	// etcd built into this program.
	Server string

	// Dir is where data and logs go, in a new directory below it for each
	// cluster. Empty means the system's directory for temporary files.
	Dir string

	// ElectionTimeout and HeartbeatInterval are raft's two clocks, in whole
	// milliseconds; the first is at least five times the second, as etcd
	// demands. Zero means etcd's defaults, 1000 ms and 100 ms.
	ElectionTimeout   time.Duration
	HeartbeatInterval time.Duration

	// QuotaBytes is the size of the database at which etcd refuses writes and
	// raises its NOSPACE alarm. Zero means etcd's default, 2 GiB.
	QuotaBytes int64

	// Fsync makes members wait for their disk, as production does. Off by
	// default: a test does not survive a power failure anyway, and members are
	// much faster without.
	Fsync bool

	// Disks puts every member's disk under the cluster's control, so that it can
	// be stalled (see Member.StallDisk). Members then wait for their disk as with
	// Fsync, but without Fsync nothing is asked of it: they are told at once that
	// all is written. Off by default. DisksSupported says where it works.
	Disks bool

	// Links puts an in-process proxy in front of every member's client port
	// and in front of every ordered pair of peers, so that links can be
	// delayed, black-holed and cut (see Member.ClientLink and
	// Cluster.PeerLink). Off by default: each byte then takes the direct way.
	// It needs UNIX sockets with relative paths and is refused on Windows.
	Links bool

	// ClientTLS, when not nil, makes members serve clients over TLS alone.
	ClientTLS *TLSFiles
	// ClientCertAuth makes members refuse clients that do not present a
	// certificate which ClientTLS.CA signed. It needs ClientTLS with a CA.
	ClientCertAuth bool

	// AuthToken is etcd's --auth-token: "simple", the default, or "jwt,...".
	AuthToken string
	// AuthTokenTTL is for how long a simple token lives without use, in whole
	// seconds. Zero means etcd's default, 300 s.
	AuthTokenTTL time.Duration

	// LogLevel is the level of the members' own logs: debug, info, warn,
	// error, panic or fatal. Empty means error. See Member.Log.
	LogLevel string

	// Flags are more of etcd's command-line flags, given to every member, each
	// as one string: "--snapshot-count=100", "--max-txn-ops=1000". A flag here wins over the
	// field above that sets the same thing. Flags that name addresses,
	// directories or the membership are the cluster's own: it sets them after
	// these, and they have no effect here.
	Flags []string

	// Logger hears what the cluster does to its members, at level Debug, and
	// of members that exit by themselves, at level Error. Nil is silent.
	Logger *slog.Logger
}

// populated returns cfg with its defaults filled in and its paths made
// absolute: a member has a working directory of its own.
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

// memberSpec is what a member's process needs to know. It crosses the process
// boundary as JSON.
type memberSpec struct {
	Name             string
	Server           string // path of an etcd binary; empty means the built-in server
	DataDir          string
	ListenClient     []string // URLs
	AdvertiseClient  string   // URL
	Peer             string   // URL that the other members use
	ListenPeer       string   // URL
	InitialCluster   string
	Joins            bool // the cluster is there already
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
