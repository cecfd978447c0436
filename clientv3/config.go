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

// Config says how to reach a cluster. Endpoints may have every form that
// client.Config accepts, such as "dns+srv:///example.com".
type Config struct {
	// Endpoints are the members' addresses or URLs. The scheme of the first one
	// decides for all whether TLS is used: with https it is, and with http it is
	// not. With any other scheme, TLS is used if the field TLS is set.
	Endpoints []string `json:"endpoints"`

	// AutoSyncInterval is how often the endpoints are replaced with the members'
	// own URLs (Client.Sync). 0 means never.
	AutoSyncInterval time.Duration `json:"auto-sync-interval"`

	// DialTimeout limits how long New waits for the first login and, with
	// RejectOldCluster, for the members' answers. It also limits later logins. 0
	// means that New has no limit. Connections are made in the background.
	DialTimeout time.Duration `json:"dial-timeout"`

	// DialKeepAliveTime is how long a connection may be silent before it is
	// pinged. gRPC's minimum is 10 s, and a smaller value is raised to it. 0
	// means 10 s. A negative value means never.
	DialKeepAliveTime time.Duration `json:"dial-keep-alive-time"`

	// DialKeepAliveTimeout is how long a ping's answer may take. 0 means 20 s if
	// DialKeepAliveTime is set, as in gRPC, and otherwise 3 s.
	DialKeepAliveTimeout time.Duration `json:"dial-keep-alive-timeout"`

	// MaxCallSendMsgSize is the maximum size of a request in bytes. 0 means 2
	// MiB.
	MaxCallSendMsgSize int

	// MaxCallRecvMsgSize is the maximum size of a response in bytes. 0 means
	// math.MaxInt32.
	MaxCallRecvMsgSize int

	// TLS is the TLS configuration of the connections.
	TLS *tls.Config

	// Username is the user to log in as, with Password.
	Username string `json:"username"`

	// Password is the user's password.
	Password string `json:"password"`

	// Token is a JWT to use instead of a user and a password.
	Token string `json:"token"`

	// RejectOldCluster makes New fail if a member is more than one minor version
	// older than etcd 3.7.
	RejectOldCluster bool `json:"reject-old-cluster"`

	// DialOptions are gRPC's. See client.Config for those that cannot be used.
	DialOptions []grpc.DialOption

	// Context is the parent of the client's own context, Client.Ctx.
	Context context.Context //nolint:containedctx // clientv3's field

	// Logger gets a record for each change of the connections.
	Logger *slog.Logger

	// LogConfig, if there is no Logger, makes one that writes JSON to standard
	// error.
	LogConfig *slog.HandlerOptions

	// PermitWithoutStream also pings connections that have no requests.
	PermitWithoutStream bool `json:"permit-without-stream"`

	// MaxUnaryRetries is not used: requests that may be repeated are retried
	// until their context ends.
	MaxUnaryRetries uint `json:"max-unary-retries"`

	// BackoffWaitBetween is not used: pauses grow from zero to one second.
	BackoffWaitBetween time.Duration `json:"backoff-wait-between"`

	// BackoffJitterFraction is not used.
	BackoffJitterFraction float64 `json:"backoff-jitter-fraction"`
}

// ConfigSpec is a configuration that can be stored in a file.
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

// SecureConfig names the PEM files for TLS.
type SecureConfig struct {
	Cert       string `json:"cert"`
	Key        string `json:"key"`
	Cacert     string `json:"cacert"`
	ServerName string `json:"server-name"`

	InsecureTransport  bool `json:"insecure-transport"`
	InsecureSkipVerify bool `json:"insecure-skip-tls-verify"`
}

// AuthConfig is the client's identity.
type AuthConfig struct {
	Username string `json:"username"`
	Password string `json:"password"`
	Token    string `json:"token"`
}

// Clone returns a copy that shares nothing with cs, or nil if cs is nil.
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

// Empty reports whether all fields are empty.
func (cfg AuthConfig) Empty() bool { return cfg == AuthConfig{} }

// NewClientConfig makes a Config. The error says what is wrong with the files of
// Secure. It logs nothing; lg, which may be nil, becomes the Config's logger.
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

// tls returns nil for plain connections.
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
				return l, nil // the file is being written
			}
			return &c, err
		}
		if _, err := load(); err != nil {
			return nil, fmt.Errorf("clientv3: the certificate %s: %w", s.Cert, err)
		}
		// Certificates are renewed in place: each connection uses the newest.
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
