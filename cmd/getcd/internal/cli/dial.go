package cli

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/cmd/getcd/internal/exit"
)

// dial makes the client that the flags describe, for the given endpoints. It
// does not wait for a connection. log receives what the client does when
// --debug is set; ask is asked for the password when --user has none.
func dial(f *globalFlags, endpoints []string, log io.Writer, ask func() (string, error), opts ...grpc.DialOption) (*client.Client, error) {
	cfg, err := f.config(endpoints, log, ask)
	if err != nil {
		return nil, err
	}
	cfg.DialOptions = opts
	c, err := client.New(*cfg)
	if err != nil {
		return nil, exit.With(exit.BadArgs, err)
	}
	return c, nil
}

// config translates the flags.
func (f *globalFlags) config(endpoints []string, log io.Writer, ask func() (string, error)) (*client.Config, error) {
	if len(endpoints) == 0 {
		return nil, exit.Errorf(exit.BadConnection, "no endpoints: name at least one in --endpoints or %s", envName("endpoints"))
	}
	for _, d := range []struct {
		flag  string
		value time.Duration
	}{
		{"dial-timeout", f.dialTimeout},
		{"command-timeout", f.commandTimeout},
		{"keepalive-timeout", f.keepAliveTimeout},
	} {
		if d.value <= 0 {
			return nil, exit.Errorf(exit.BadArgs, "bad value %v for --%s: want a positive duration", d.value, d.flag)
		}
	}
	secure, err := f.tlsConfig()
	if err != nil {
		return nil, exit.With(exit.BadArgs, err)
	}
	cfg := &client.Config{
		Endpoints:            endpoints,
		TLS:                  secure,
		DialTimeout:          f.dialTimeout,
		DialKeepAliveTime:    f.pingInterval(),
		DialKeepAliveTimeout: f.keepAliveTimeout,
		MaxCallSendMsgSize:   f.maxRequestBytes,
		MaxCallRecvMsgSize:   f.maxRecvBytes,
	}
	// Without an authenticated DNS the certificate has to prove the domain that
	// the user named, not a host that DNS named. Whoever accepts insecure
	// discovery, as is etcdctl's default, trusts DNS about the hosts.
	cfg.Resolver.VerifyTargetNames = f.discoverySRV != "" && f.insecureDiscovery
	cfg.InsecureDiscovery = f.insecureDiscovery
	if f.debug {
		cfg.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	if f.token != "" {
		cfg.Token = f.token
		return cfg, nil
	}
	cfg.Username, cfg.Password, err = f.credentials(ask)
	return cfg, err
}

// leastPingInterval is gRPC's: a shorter one is raised to it.
const leastPingInterval = 10 * time.Second

// pingInterval is --keepalive-time as far as gRPC heeds it. Zero or less is
// never.
func (f *globalFlags) pingInterval() time.Duration {
	if f.keepAliveTime <= 0 {
		return -1
	}
	return max(f.keepAliveTime, leastPingInterval)
}

// targets lists the endpoints that the flags name.
func (f *globalFlags) targets() []string {
	if f.discoverySRV == "" {
		eps := slices.Clone(f.endpoints)
		for i := range eps {
			eps[i] = strings.TrimSpace(eps[i])
		}
		return eps
	}
	if f.discoverySRVName == "" {
		// The library asks for the TLS service first, then for the plain one.
		return []string{"dns+srv:///" + f.discoverySRV}
	}
	service := "_etcd-client-" + f.discoverySRVName
	if f.wantsTLS() {
		service = "_etcd-client-ssl-" + f.discoverySRVName
	}
	return []string{"dns+srv:///" + service + "._tcp." + f.discoverySRV}
}

// wantsTLS reports whether the flags ask for TLS by themselves, whatever the
// endpoints say.
func (f *globalFlags) wantsTLS() bool {
	return f.cert != "" || f.key != "" || f.cacert != "" ||
		!f.insecureTransport || f.insecureSkipVerify ||
		f.discoverySRV != "" && !f.insecureDiscovery
}

// tlsConfig is nil when the flags do not ask for TLS.
func (f *globalFlags) tlsConfig() (*tls.Config, error) {
	if !f.wantsTLS() {
		return nil, nil //nolint:nilnil // nil is client.Config's word for "as the endpoints say"
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: f.insecureSkipVerify}
	switch {
	case f.cert != "" && f.key == "":
		return nil, errors.New("--cert needs --key, the file with its private key")
	case f.cert == "" && f.key != "":
		return nil, errors.New("--key needs --cert, the file with its certificate")
	case f.cert != "":
		pair, err := tls.LoadX509KeyPair(f.cert, f.key)
		if err != nil {
			return nil, fmt.Errorf("cannot use --cert and --key: %w", err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	if f.cacert != "" {
		pem, err := os.ReadFile(f.cacert)
		if err != nil {
			return nil, fmt.Errorf("cannot read --cacert: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("--cacert: %s holds no certificate in PEM", f.cacert)
		}
	}
	return cfg, nil
}

// credentials are the user and the password; both are empty when --user is.
func (f *globalFlags) credentials(ask func() (string, error)) (user, password string, err error) {
	switch {
	case f.user == "":
		return "", "", nil
	case f.password != "":
		return f.user, f.password, nil
	}
	user, password, ok := strings.Cut(f.user, ":")
	if ok {
		return user, password, nil
	}
	password, err = ask()
	if err != nil {
		return "", "", fmt.Errorf("--user has no password, and asking for it failed: %w", err)
	}
	return user, password, nil
}
