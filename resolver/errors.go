package resolver

import (
	"errors"
	"strings"
)

// Errors that say why an endpoint has no addresses. They are found with
// errors.Is in what Resolver.Errors returns.
var (
	// ErrNoSuchName means that the name does not exist (NXDOMAIN, RFC 1035).
	ErrNoSuchName = errors.New("no such name (NXDOMAIN)")
	// ErrNoRecords means that the name exists and has no record of the type
	// that was asked for (NODATA, RFC 2308), or that a source returned no
	// address.
	ErrNoRecords = errors.New("no records (NODATA)")
	// ErrNoService means that the SRV target is ".": the service is decidedly
	// not available at this domain (RFC 2782).
	ErrNoService = errors.New(`the SRV target is ".": the service is not available at this domain (RFC 2782)`)
	// ErrMixedTLS means that an endpoint wants TLS in a client that is plain,
	// or the other way round.
	ErrMixedTLS = errors.New("TLS and plain endpoints do not mix")
)

// EndpointError is the failure of one endpoint.
type EndpointError struct {
	// Endpoint is the endpoint as it was configured, without credentials.
	Endpoint string
	// Err is what went wrong.
	Err error
}

// Error names the endpoint and the cause.
func (e *EndpointError) Error() string {
	return "resolver: endpoint " + quote(e.Endpoint) + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *EndpointError) Unwrap() error { return e.Err }

// maxQuoted bounds what an error repeats of its input.
const maxQuoted = 200

// quote makes s fit to be shown in an error: visible and not endless.
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

// redact removes what may be credentials from an endpoint: everything before
// the last "@" of its authority.
func redact(endpoint string) string {
	if scheme, _, ok := strings.Cut(endpoint, ":"); ok && isSocket(scheme) {
		return endpoint // there it is a letter of the path
	}
	head, rest := "", endpoint
	if i := strings.Index(endpoint, "://"); i >= 0 {
		head, rest = endpoint[:i+3], endpoint[i+3:]
	}
	// A password may hold a "/", so the last "@" of all counts.
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		return head + "xxxxx" + rest[i:]
	}
	return endpoint
}

// joinedErrors is several failures in one line; errors.Is finds each of them.
type joinedErrors []error

// joined returns an joinedErrors of the errors in errs, the single one, or nil.
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
