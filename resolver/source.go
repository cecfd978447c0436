package resolver

import (
	"context"
	"log/slog"
	"net/url"
	"time"
)

// Result is the result of a Source.
type Result struct {
	// Addresses is in the source's own order. The Resolver sorts them by
	// priority. Within a priority it orders them randomly by weight, unless
	// KeepOrder is set.
	Addresses []Address
	// TTL is how long the addresses are valid. Zero means forever: they are
	// resolved again only on request. The Resolver clamps all other values.
	TTL time.Duration
}

// Source resolves one endpoint.
type Source interface {
	// Resolve returns the addresses of the endpoint. It is called by one
	// goroutine at a time, and must return soon after ctx ends.
	//
	// If Resolve returns no addresses, with or without an error, it has failed:
	// the Resolver keeps the former addresses and tries again. If Resolve returns
	// addresses together with an error, a part of the answer is missing: the
	// Resolver uses the addresses, reports the error, and tries again soon.
	Resolve(ctx context.Context) (Result, error)
}

// Security says whether the addresses of a source use TLS.
type Security uint8

// The values of Security.
const (
	// SecurityUnknown means that only the answer can tell.
	SecurityUnknown Security = iota
	// SecurityPlain means no TLS.
	SecurityPlain
	// SecurityTLS means TLS.
	SecurityTLS
)

// String returns "unknown", "plain" or "TLS".
func (s Security) String() string {
	switch s {
	case SecurityPlain:
		return "plain"
	case SecurityTLS:
		return "TLS"
	default:
		return "unknown"
	}
}

func securityOf(tls bool) Security {
	if tls {
		return SecurityTLS
	}
	return SecurityPlain
}

// Hint is what a source knows before it resolves anything.
type Hint struct {
	// Authority is a value for the :authority header of requests, such as
	// "host:port" or a domain. It is empty if the source has none.
	Authority string
	// Security lets New find endpoints that contradict each other.
	Security Security
}

// Hinter is implemented by a Source that has a Hint. It is optional.
type Hinter interface {
	// Hint returns the same value each time and does not block.
	Hint() Hint
}

// SourceOptions tells a Factory about the client that it builds for.
type SourceOptions struct {
	// TLS says that the client has a TLS configuration. Addresses whose endpoint
	// does not decide use TLS if and only if it is set. If it is set, no address
	// may be plain.
	TLS bool
	// VerifyTargetNames checks the certificates of SRV targets against the name
	// of the target instead of the queried domain.
	VerifyTargetNames bool
	// InsecureDiscovery allows plain services that DNS names, even if TLS is set.
	InsecureDiscovery bool
	// ResolvConf is the path of the resolv.conf(5) file with the name servers. It
	// is never empty.
	ResolvConf string
	// Timeout is the time after which the context of Resolve ends. It is never 0.
	Timeout time.Duration
	// Logger is never nil.
	Logger *slog.Logger

	lookup  lookupFunc                 // of bare names; nil: the system's
	hosts   string                     // the hosts(5) file
	proxied func(hostPort string) bool // nil: never
}

// isProxied reports whether host, with that port, is left to a proxy.
func (o SourceOptions) isProxied(host string, port uint16) bool {
	return o.proxied != nil && o.proxied(hostPort(host, port))
}

// Factory makes the Source of one endpoint. It validates u and must not block,
// since it runs inside New. Its errors should say how to fix u. They need not
// name the endpoint, since New does.
type Factory func(u *url.URL, o SourceOptions) (Source, error)
