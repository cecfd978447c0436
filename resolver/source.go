package resolver

import (
	"context"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"time"
)

// Result is what a Source found.
type Result struct {
	// Addresses is in the source's own order. The Resolver sorts them by
	// priority and, unless it is told to keep the order, draws the order inside
	// a priority by weight.
	Addresses []Address
	// TTL is how long the addresses are valid. Zero means for ever: they are
	// resolved again only on request. The Resolver clamps other values.
	TTL time.Duration
}

// Source resolves one endpoint.
type Source interface {
	// Resolve returns the addresses of the endpoint. It is called by one
	// goroutine at a time and must return soon after ctx ends.
	//
	// A Result without addresses and an error is a failure: the Resolver keeps
	// the addresses that it had and tries again. A Result without addresses and
	// without an error counts as a failure as well. Addresses together with an
	// error are used, while the error is shown and the resolution tried again
	// soon: a part of the answer is missing.
	Resolve(ctx context.Context) (Result, error)
}

// Security tells whether the addresses of a source use TLS.
type Security uint8

// The values of Security.
const (
	// SecurityUnknown means that only the answer will tell.
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

// Hint is what a source knows before it has resolved anything.
type Hint struct {
	// Authority is a value for the :authority header of requests, such as
	// "host:port" or a domain. Empty: the source has none to offer.
	Authority string
	// Security lets New find endpoints that contradict each other.
	Security Security
}

// Hinter is implemented by a Source that has a Hint. It is optional.
type Hinter interface {
	// Hint returns the same value at every call and does not block.
	Hint() Hint
}

// SourceOptions is what a Factory learns of the client that it builds for.
type SourceOptions struct {
	// TLS tells that the client has a TLS configuration. Addresses whose
	// endpoint does not decide by itself use TLS if and only if it is set, and
	// no address may then be plain.
	TLS bool
	// VerifyTargetNames asks that certificates of SRV targets are checked
	// against the name of the target instead of the queried domain.
	VerifyTargetNames bool
	// InsecureDiscovery allows plain services that DNS names, even with TLS set.
	InsecureDiscovery bool
	// ResolvConf is the path of the resolv.conf(5) file to take name servers
	// from; never empty.
	ResolvConf string
	// Timeout is the time after which the context of Resolve ends; never 0.
	Timeout time.Duration
	// Logger is never nil.
	Logger *slog.Logger

	lookup  lookupFunc                 // of bare names; nil: the system's
	hosts   string                     // the hosts(5) file
	proxied func(hostPort string) bool // nil: never
}

// isProxied reports whether names with that port are left to a proxy.
func (o SourceOptions) isProxied(host string, port uint16) bool {
	return o.proxied != nil && o.proxied(net.JoinHostPort(host, strconv.Itoa(int(port))))
}

// Factory makes the Source of one endpoint. It validates u and does nothing
// that blocks: it runs inside New. Its errors say what would be right; they
// need not name the endpoint, since New does.
type Factory func(u *url.URL, o SourceOptions) (Source, error)
