package resolver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strings"
)

// localhost is the host name of a socket, which has none of its own. gRPC uses it
// as a socket's authority.
const localhost = "localhost"

// staticSource is an address that the endpoint itself contains.
type staticSource struct {
	address   Address
	authority string
}

// Resolve returns the address, valid forever.
func (s *staticSource) Resolve(context.Context) (Result, error) {
	return Result{Addresses: []Address{s.address}}, nil
}

// Hint implements Hinter.
func (s *staticSource) Hint() Hint {
	return Hint{Authority: s.authority, Security: securityOf(s.address.TLS)}
}

// newHTTPSource is the factory of http and https. The scheme alone decides about
// TLS. Path, query and fragment are ignored, as in clientv3: they mean nothing to
// gRPC, and users copy them along.
func newHTTPSource(u *url.URL, o SourceOptions) (Source, error) {
	if u.User != nil {
		return nil, errCredentials
	}
	if u.Opaque != "" {
		return nil, fmt.Errorf("lacks the slashes; write %s://host:port", u.Scheme)
	}
	host, port, err := splitHostPort(u.Host, DefaultPort)
	if err != nil {
		return nil, err
	}
	o.TLS = u.Scheme == "https"
	return newHostSource(host, port, o), nil
}

// isSocket reports whether scheme is for Unix domain sockets.
func isSocket(scheme string) bool {
	return strings.EqualFold(scheme, "unix") || strings.EqualFold(scheme, "unixs")
}

// newUnixSource is the factory of unix and unixs. unix has the forms of gRPC's
// naming document: unix:///absolute, unix:/absolute and unix:relative. unixs is
// etcd's scheme for the same with TLS. If etcd was given a URL with a host, the
// member's socket file is called name:port, and its certificate is for that host
// (etcd's client/v3/internal/endpoint).
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
	case path == "" || path == "/":
		return nil, errors.New("the socket path is empty; write unix:///path")
	case strings.ContainsAny(path, "%?#\x00"):
		// gRPC parses the dialed address as a URI once more.
		return nil, fmt.Errorf("the socket path %s contains one of '%%', '?', '#' and NUL, and cannot be dialed", quote(path))
	}
	name, _, err := net.SplitHostPort(filepath.Base(path))
	if err != nil || name == "" {
		name = localhost
	}
	return &staticSource{
		address:   Address{Network: NetworkUnix, Host: path, ServerName: name, TLS: o.TLS || u.Scheme == "unixs"},
		authority: localhost,
	}, nil
}
