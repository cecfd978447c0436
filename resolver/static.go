package resolver

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// localhost is the name of the other end of a socket, for which none is known;
// gRPC takes it for the authority of a socket.
const localhost = "localhost"

// staticSource is one address that the endpoint itself spells out.
type staticSource struct {
	address   Address
	authority string
}

// Resolve returns the one address, valid for ever.
func (s *staticSource) Resolve(context.Context) (Result, error) {
	return Result{Addresses: []Address{s.address}}, nil
}

// Hint implements Hinter.
func (s *staticSource) Hint() Hint {
	return Hint{Authority: s.authority, Security: securityOf(s.address.TLS)}
}

// newHTTPSource is the factory of http and https. The scheme alone decides on
// TLS. Paths mean nothing to gRPC; a lone "/" is what people copy along.
func newHTTPSource(u *url.URL, o SourceOptions) (Source, error) {
	if err := noExtras(u); err != nil {
		return nil, err
	}
	if u.Opaque != "" {
		return nil, fmt.Errorf("lacks the slashes; write %s://host:port", u.Scheme)
	}
	if u.Path != "" && u.Path != "/" {
		return nil, fmt.Errorf("the path %s means nothing here; write %s://host:port", quote(u.Path), u.Scheme)
	}
	host, port, err := splitHostPort(u.Host, DefaultPort)
	if err != nil {
		return nil, err
	}
	o.TLS = u.Scheme == "https"
	return newHostSource(host, port, o), nil
}

// newUnixSource is the factory of unix, in the forms of gRPC's naming document:
// unix:///absolute, unix:/absolute and unix:relative.
func newUnixSource(u *url.URL, o SourceOptions) (Source, error) {
	if err := noExtras(u); err != nil {
		return nil, err
	}
	path := u.Path
	if u.Opaque != "" {
		var err error
		if path, err = url.PathUnescape(u.Opaque); err != nil {
			return nil, fmt.Errorf("the socket path: %w", err)
		}
	}
	switch {
	case u.Host != "":
		return nil, fmt.Errorf("%s after the two slashes is a host, which a socket has not; write unix:///%s%s for an absolute path or unix:%s%s for a relative one",
			quote(u.Host), u.Host, path, u.Host, path)
	case path == "" || path == "/":
		return nil, errors.New("the socket path is empty; write unix:///path")
	case strings.ContainsAny(path, "%?#\x00"):
		// gRPC parses what it dials as a URI once more.
		return nil, fmt.Errorf("the socket path %s contains one of '%%', '?', '#' and NUL, which cannot be dialled", quote(path))
	}
	return &staticSource{
		address:   Address{Network: NetworkUnix, Host: path, ServerName: localhost, TLS: o.TLS},
		authority: localhost,
	}, nil
}
