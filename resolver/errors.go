package resolver

import (
	"errors"
	"strings"
)

// These errors say why an endpoint has no addresses. Use errors.Is on the errors
// that Resolver.Errors returns.
var (
	// ErrNoSuchName means that the name does not exist (NXDOMAIN, RFC 1035).
	ErrNoSuchName = errors.New("no such name (NXDOMAIN)")
	// ErrNoRecords means that the name exists but has no record of the requested
	// type (NODATA, RFC 2308), or that a source returned no address.
	ErrNoRecords = errors.New("no records (NODATA)")
	// ErrNoService means that the SRV target is ".": the service is explicitly
	// not available at this domain (RFC 2782).
	ErrNoService = errors.New(`the SRV target is ".": the service is not available at this domain (RFC 2782)`)
	// ErrMixedTLS means that an endpoint requires TLS while the client is plain,
	// or vice versa.
	ErrMixedTLS = errors.New("TLS and plain endpoints do not mix")
)

// EndpointError is the failure of one endpoint.
type EndpointError struct {
	// Endpoint is the endpoint as it was configured, without credentials.
	Endpoint string
	// Err is the cause.
	Err error
}

// Error names the endpoint and the cause.
func (e *EndpointError) Error() string {
	return "resolver: endpoint " + quote(e.Endpoint) + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *EndpointError) Unwrap() error { return e.Err }

// maxQuoted limits how many bytes of its input an error repeats.
const maxQuoted = 200

// quote formats s for an error: quoted and shortened.
func quote(s string) string {
	if len(s) > maxQuoted {
		s = s[:maxQuoted] + "..."
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f || r == '\uFFFD':
			b.WriteByte('?')
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// joinedErrors shows several errors on one line. errors.Is finds each of them.
type joinedErrors []error

// joined returns nil if errs has no error, the error itself if it has one, and
// otherwise a joinedErrors.
func joined(errs []error) error {
	var list joinedErrors
	for _, err := range errs {
		if err != nil {
			list = append(list, err)
		}
	}
	switch len(list) {
	case 0:
		return nil
	case 1:
		return list[0]
	}
	return list
}

func (l joinedErrors) Error() string {
	var b strings.Builder
	for i, err := range l {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(err.Error())
	}
	return b.String()
}

// Unwrap returns the failures.
func (l joinedErrors) Unwrap() []error { return l }
