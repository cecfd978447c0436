package resolver

import (
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// The values that Options take when theirs are zero.
const (
	DefaultMinTTL      = 5 * time.Second
	DefaultMaxTTL      = 5 * time.Minute
	DefaultMinInterval = time.Second
	DefaultTimeout     = 10 * time.Second
	DefaultResolvConf  = "/etc/resolv.conf"
)

// Options are the finer points of finding addresses. The zero value is good.
type Options struct {
	// Registry tells the known schemes. Nil means NewRegistry().
	Registry *Registry
	// VerifyTargetNames asks that the certificate behind an SRV record is
	// checked against the record's target. Without it the queried domain counts,
	// as with etcdctl --discovery-srv: DNS is not authenticated, and whoever
	// forges an answer could name a target that they have a certificate for.
	VerifyTargetNames bool
	// Only, when not empty, is the one address to report, in the form of
	// Address.String; an endpoint that has others only fails.
	Only string
	// KeepOrder tries the addresses of one priority in the order in which the
	// endpoints list them. Without it the order is random, so that many clients
	// spread over the members.
	KeepOrder bool
	// MinTTL and MaxTTL are the bounds between which an answer is resolved
	// again; zero means DefaultMinTTL and DefaultMaxTTL.
	MinTTL, MaxTTL time.Duration
	// MinInterval is the least time between the end of one resolution and the
	// start of the next, retries after a failure apart, which have their own
	// pauses of 100 ms to 5 s. Zero means DefaultMinInterval.
	MinInterval time.Duration
	// Timeout bounds one resolution of one endpoint; zero means DefaultTimeout.
	Timeout time.Duration
	// ResolvConf is the file that names the DNS servers; empty means
	// DefaultResolvConf. It is read at each resolution.
	ResolvConf string
}

// Config configures a Resolver: Options, and what its client is like. The zero value is
// good.
type Config struct {
	Options

	// TLS tells that the client has a TLS configuration of its own: endpoints
	// that do not decide by their scheme use TLS, and one that is plain is an
	// error. Without it the endpoints decide.
	TLS bool
	// InsecureDiscovery lets DNS decide even with TLS set: an SRV name whose
	// services are plain is plain then, as with etcdctl --discovery-srv. Without it
	// such a name is a failure.
	InsecureDiscovery bool
	// Proxied tells whether a proxy connects to an address of the form host:port.
	// Names for which it does are left to the proxy: bare host names, names under
	// dns without a server, and the targets of SRV records, unless the URI names a
	// server. It must not block. Nil means that there is no proxy.
	Proxied func(hostPort string) bool
	// Logger gets the events of the resolver; nil means silence. Nothing is
	// logged per resolution, only when something changes.
	Logger *slog.Logger

	lookup lookupFunc // of bare names; nil: the system's
	hosts  string     // the hosts(5) file; empty: the system's
}

// withDefaults fills in what is zero.
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

// validate names every field that is out of range.
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
