package cli

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/cmd/getcd/internal/exit"
	"github.com/getcd/getcd/internal/endpoint"
)

// dial makes the client that the flags describe, for the given endpoints. It
// does not wait for a connection. log receives what the client does when
// --debug is set; ask is asked for the password when --user has none.
func dial(f *globalFlags, endpoints []string, log io.Writer, ask func() (string, error), opts ...func(*client.Config)) (*client.Client, error) {
	cfg, err := f.config(endpoints, log, ask)
	if err != nil {
		return nil, err
	}
	for _, o := range opts {
		o(cfg)
	}
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
		flag         string
		value, least time.Duration
		want         string
	}{
		{"dial-timeout", f.dialTimeout, 0, "0 or more"},
		{"command-timeout", f.commandTimeout, 1, "a positive duration"},
		{"keepalive-timeout", f.keepAliveTimeout, 0, "0 or more"},
	} {
		if d.value < d.least {
			return nil, exit.Errorf(exit.BadArgs, "bad value %v for --%s: want %s", d.value, d.flag, d.want)
		}
	}
	if _, err := f.tlsConfig(); err != nil {
		return nil, exit.With(exit.BadArgs, err)
	}
	secure, adapted := endpoint.Adapt(endpoints, f.wantsTLS())
	cfg := &client.Config{
		Endpoints:            adapted,
		DialTimeout:          f.dialTimeout,
		DialKeepAliveTime:    f.pingInterval(),
		DialKeepAliveTimeout: f.keepAliveTimeout,
		MaxCallSendMsgSize:   f.maxRequestBytes,
		MaxCallRecvMsgSize:   f.maxRecvBytes,
		Trace:                f.tracer,
	}
	if cfg.MaxCallSendMsgSize == 0 { // then it may not be larger than the limit of responses
		cfg.MaxCallSendMsgSize = min(f.maxRecvBytes, 2<<20)
	}
	if secure {
		cfg.TLS = &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: f.insecureSkipVerify}
		cfg.TLSFiles = client.TLSFiles{Cert: f.cert, Key: f.key, CA: f.cacert}
	} else if f.wantsTLS() {
		say(log, "Warning: %s is plain: the flags for TLS are not used\n", endpoints[0])
	}
	// Without an authenticated DNS the certificate has to prove the domain that
	// the user named, not a host that DNS named. Whoever accepts insecure
	// discovery, as is etcdctl's default, trusts DNS about the hosts.
	cfg.Resolver.VerifyTargetNames = f.discoverySRV != "" && f.insecureDiscovery
	// Flags for TLS and a plain service: etcdctl goes on without TLS. Endpoints that
	// etcdctl does not know keep to the flags.
	cfg.InsecureDiscovery = f.insecureDiscovery && (f.discoverySRV != "" || !secure)
	if f.debug {
		cfg.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	if f.token != "" {
		cfg.Token = f.token
		return cfg, nil
	}
	var err error
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
		var eps []string
		for _, e := range f.endpoints {
			if e = strings.TrimSpace(e); e != "" {
				eps = append(eps, e)
			}
		}
		return eps
	}
	// The library asks for both services, and takes that of TLS if there is one.
	target := "dns+srv:///" + f.discoverySRV
	if f.discoverySRVName != "" {
		target += "?" + url.Values{"name": {f.discoverySRVName}}.Encode()
	}
	return []string{target}
}

// wantsTLS reports whether the flags ask for TLS by themselves, whatever the
// endpoints say.
func (f *globalFlags) wantsTLS() bool {
	return f.cert != "" || f.key != "" || f.cacert != "" ||
		!f.insecureTransport || f.insecureSkipVerify ||
		f.discoverySRV != "" && !f.insecureDiscovery
}

// tlsConfig is nil when the flags do not ask for TLS. Its errors are in words of the
// flags. Of the files it has what they hold now; the client reads them again for each
// connection.
func (f *globalFlags) tlsConfig() (*tls.Config, error) {
	if !f.wantsTLS() {
		return nil, nil //nolint:nilnil // nil is the word for none
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

// credentials are the user and the password. As for etcdctl, one without the other is none.
func (f *globalFlags) credentials(ask func() (string, error)) (user, password string, err error) {
	switch {
	case f.user == "":
		return "", "", nil
	case f.password != "":
		return f.user, f.password, nil
	}
	user, password, ok := strings.Cut(f.user, ":")
	if !ok {
		if password, err = ask(); err != nil {
			return "", "", fmt.Errorf("--user has no password, and asking for it failed: %w", err)
		}
	}
	if user == "" || password == "" {
		return "", "", nil
	}
	return user, password, nil
}
