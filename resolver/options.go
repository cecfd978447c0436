package resolver

import (
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// The defaults for zero values of Options.
const (
	DefaultMinTTL      = 5 * time.Second
	DefaultMaxTTL      = 5 * time.Minute
	DefaultMinInterval = time.Second
	DefaultTimeout     = 10 * time.Second
	DefaultResolvConf  = "/etc/resolv.conf"
)

// Options are the finer points of finding addresses. The zero value is ready to use.
type Options struct {
	// Registry has the known schemes. Nil means NewRegistry().
	Registry *Registry
	// VerifyTargetNames checks the certificate behind an SRV record against the
	// record's target. Without it, the certificate is checked against the queried
	// domain, as in etcdctl --discovery-srv. DNS is not authenticated: an attacker
	// who forges an answer could name a target with the attacker's own certificate.
	VerifyTargetNames bool
	// Only, if not empty, is the only address to report, in the form of
	// Address.String. An endpoint that has only other addresses fails.
	Only string
	// KeepOrder keeps the addresses of one priority in the order in which the
	// endpoints list them. Without it the order is random, so that many clients
	// spread over the members.
	KeepOrder bool
	// MinTTL and MaxTTL are the bounds for the TTL of an answer. Zero means
	// DefaultMinTTL and DefaultMaxTTL.
	MinTTL, MaxTTL time.Duration
	// MinInterval is the minimum time between the end of one resolution and the
	// start of the next. It does not apply to retries after a failure, which have
	// their own pauses of 100 ms to 5 s. Zero means DefaultMinInterval.
	MinInterval time.Duration
	// Timeout limits one resolution of one endpoint. Zero means DefaultTimeout.
	Timeout time.Duration
	// ResolvConf is the path of the file that names the DNS servers. Empty means
	// DefaultResolvConf. It is read for each resolution.
	ResolvConf string
}

// Config configures a Resolver: Options, and facts about its client. The zero value is
// ready to use.
type Config struct {
	Options

	// TLS says that the client has a TLS configuration. Endpoints whose scheme
	// does not decide then use TLS, and a plain endpoint is an error. Without it,
	// the endpoints decide.
	TLS bool
	// InsecureDiscovery lets DNS turn TLS off even if TLS is set: if the services
	// of an SRV name are plain, its addresses are plain, as in etcdctl
	// --discovery-srv. Without it, such a name is an error.
	InsecureDiscovery bool
	// OneEndpoint makes more than one endpoint an error. It may have many addresses.
	OneEndpoint bool
	// Proxied reports whether a proxy connects to an address of the form
	// host:port. If so, the name is left to the proxy. This applies to bare host
	// names, to names under dns without a server, and to the targets of SRV
	// records, unless the URI names a server. Proxied must not block. Nil means
	// that there is no proxy.
	Proxied func(hostPort string) bool
	// Logger gets the resolver's events. Nil means no logging. Only changes are
	// logged, not every resolution.
	Logger *slog.Logger

	lookup lookupFunc // of bare names; nil: the system's
	hosts  string     // the hosts(5) file; empty: the system's
}

// withDefaults replaces zero values with the defaults.
func (o Config) withDefaults() Config {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&o.MinTTL, min(DefaultMinTTL, orMax(o.MaxTTL))},
		{&o.MaxTTL, max(DefaultMaxTTL, o.MinTTL)},
		{&o.MinInterval, DefaultMinInterval},
		{&o.Timeout, DefaultTimeout},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if o.Registry == nil {
		o.Registry = NewRegistry()
	}
	if o.ResolvConf == "" {
		o.ResolvConf = DefaultResolvConf
	}
	if o.hosts == "" {
		o.hosts = systemHosts()
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

func orMax(d time.Duration) time.Duration {
	if d <= 0 {
		return DefaultMaxTTL
	}
	return d
}

// validate returns an error for every field that is out of range.
func (o Options) validate() error {
	var failed []error
	for _, f := range []struct {
		name  string
		value time.Duration
	}{
		{"MinTTL", o.MinTTL}, {"MaxTTL", o.MaxTTL}, {"MinInterval", o.MinInterval}, {"Timeout", o.Timeout},
	} {
		if f.value < 0 {
			failed = append(failed, fmt.Errorf("resolver: %s is %v; it must not be negative, and 0 means the default", f.name, f.value))
		}
	}
	if o.MinTTL > 0 && o.MaxTTL > 0 && o.MinTTL > o.MaxTTL {
		failed = append(failed, fmt.Errorf("resolver: MinTTL %v is greater than MaxTTL %v", o.MinTTL, o.MaxTTL))
	}
	return errors.Join(failed...)
}
