package clientv3

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
)

// Config says how to reach a cluster. Endpoints may be whatever client.Config's may,
// such as "dns+srv:///example.com".
type Config struct {
	// Endpoints are the members' addresses or URLs. The scheme of the first one
	// decides for all whether TLS is used: https does, http does not, and without
	// either it is TLS that decides.
	Endpoints []string `json:"endpoints"`

	// AutoSyncInterval is how often the endpoints are replaced by the members' own
	// (Client.Sync); 0 means never.
	AutoSyncInterval time.Duration `json:"auto-sync-interval"`

	// DialTimeout bounds what New waits for: the first login, and with
	// RejectOldCluster the members' answers. It bounds later logins, too. 0 means no
	// bound for New. Connections are made in the background.
	DialTimeout time.Duration `json:"dial-timeout"`

	// DialKeepAliveTime is how long a connection may be silent before it is pinged.
	// gRPC's least is 10 s, to which what is less is raised; 0 means 10 s, a negative
	// value never.
	DialKeepAliveTime time.Duration `json:"dial-keep-alive-time"`

	// DialKeepAliveTimeout is how long the answer to a ping may take; 0 means 3 s.
	DialKeepAliveTimeout time.Duration `json:"dial-keep-alive-timeout"`

	// MaxCallSendMsgSize is the largest request in bytes; 0 means 2 MiB.
	MaxCallSendMsgSize int

	// MaxCallRecvMsgSize is the largest response in bytes; 0 means math.MaxInt32.
	MaxCallRecvMsgSize int

	// TLS is how to secure the connections.
	TLS *tls.Config

	// Username is the user to be, with Password.
	Username string `json:"username"`

	// Password is the user's.
	Password string `json:"password"`

	// Token is a JWT to use in place of a user and a password.
	Token string `json:"token"`

	// RejectOldCluster makes New fail when a member is more than a minor version
	// older than etcd 3.7.
	RejectOldCluster bool `json:"reject-old-cluster"`

	// DialOptions are gRPC's. See client.Config on those that cannot work.
	DialOptions []grpc.DialOption

	// Context is what the client's own context, Client.Ctx, comes from.
	Context context.Context //nolint:containedctx // clientv3's field

	// Logger gets a record for each change of the connections.
	Logger *slog.Logger

	// LogConfig, without a Logger, makes one that writes JSON to standard error.
	LogConfig *slog.HandlerOptions

	// PermitWithoutStream pings connections without requests as well.
	PermitWithoutStream bool `json:"permit-without-stream"`

	// MaxUnaryRetries is not used: what may be repeated is, until its context ends.
	MaxUnaryRetries uint `json:"max-unary-retries"`

	// BackoffWaitBetween is not used: pauses grow from nothing to a second.
	BackoffWaitBetween time.Duration `json:"backoff-wait-between"`

	// BackoffJitterFraction is not used.
	BackoffJitterFraction float64 `json:"backoff-jitter-fraction"`
}

// ConfigSpec is a configuration that can be written to a file and read from one.
type ConfigSpec struct {
	Endpoints          []string      `json:"endpoints"`
	RequestTimeout     time.Duration `json:"request-timeout"`
	DialTimeout        time.Duration `json:"dial-timeout"`
	KeepAliveTime      time.Duration `json:"keepalive-time"`
	KeepAliveTimeout   time.Duration `json:"keepalive-timeout"`
	MaxCallSendMsgSize int           `json:"max-request-bytes"`
	MaxCallRecvMsgSize int           `json:"max-recv-bytes"`
	Secure             *SecureConfig `json:"secure"`
	Auth               *AuthConfig   `json:"auth"`
}

// SecureConfig names the files that TLS needs, in PEM form.
type SecureConfig struct {
	Cert       string `json:"cert"`
	Key        string `json:"key"`
	Cacert     string `json:"cacert"`
	ServerName string `json:"server-name"`

	InsecureTransport  bool `json:"insecure-transport"`
	InsecureSkipVerify bool `json:"insecure-skip-tls-verify"`
}

// AuthConfig is who the client is.
type AuthConfig struct {
	Username string `json:"username"`
	Password string `json:"password"`
	Token    string `json:"token"`
}

// Clone returns a copy that shares nothing with cs; nil of nil.
func (cs *ConfigSpec) Clone() *ConfigSpec {
	if cs == nil {
		return nil
	}
	c := *cs
	c.Endpoints = slices.Clone(cs.Endpoints)
	if cs.Secure != nil {
		c.Secure = new(*cs.Secure)
	}
	if cs.Auth != nil {
		c.Auth = new(*cs.Auth)
	}
	return &c
}

// Empty reports whether it says nothing.
func (cfg AuthConfig) Empty() bool { return cfg == AuthConfig{} }

// NewClientConfig makes a Config. The error says what is wrong with the files of
// Secure. Nothing is logged; the logger, which may be nil, becomes the Config's.
func NewClientConfig(confSpec *ConfigSpec, lg *slog.Logger) (*Config, error) {
	secure, err := confSpec.Secure.tls()
	if err != nil {
		return nil, err
	}
	cfg := &Config{
		Endpoints:            confSpec.Endpoints,
		DialTimeout:          confSpec.DialTimeout,
		DialKeepAliveTime:    confSpec.KeepAliveTime,
		DialKeepAliveTimeout: confSpec.KeepAliveTimeout,
		MaxCallSendMsgSize:   confSpec.MaxCallSendMsgSize,
		MaxCallRecvMsgSize:   confSpec.MaxCallRecvMsgSize,
		TLS:                  secure,
		Logger:               lg,
	}
	if a := confSpec.Auth; a != nil {
		cfg.Username, cfg.Password, cfg.Token = a.Username, a.Password, a.Token
	}
	return cfg, nil
}

// tls is nil for plain connections.
func (s *SecureConfig) tls() (*tls.Config, error) {
	if s == nil || *s == (SecureConfig{InsecureTransport: true}) {
		return nil, nil //nolint:nilnil // none is an answer
	}
	cfg := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		ServerName:         s.ServerName,
		InsecureSkipVerify: s.InsecureSkipVerify, //nolint:gosec // as configured
	}
	if (s.Cert == "") != (s.Key == "") {
		return nil, fmt.Errorf("clientv3: the certificate is %q and its key %q: give both, or none", s.Cert, s.Key)
	}
	if s.Cert != "" {
		var last atomic.Pointer[tls.Certificate]
		load := func() (*tls.Certificate, error) {
			c, err := tls.LoadX509KeyPair(s.Cert, s.Key)
			if err == nil {
				last.Store(&c)
			} else if l := last.Load(); l != nil {
				return l, nil // it is being written
			}
			return &c, err
		}
		if _, err := load(); err != nil {
			return nil, fmt.Errorf("clientv3: the certificate %s: %w", s.Cert, err)
		}
		// Certificates are renewed in place: each connection takes the newest.
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load() }
	}
	if s.Cacert != "" {
		pem, err := os.ReadFile(s.Cacert)
		if err != nil {
			return nil, fmt.Errorf("clientv3: the certificate authority: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, errors.New("clientv3: " + s.Cacert + " has no certificate")
		}
	}
	return cfg, nil
}
