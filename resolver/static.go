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
// TLS. Path, query and fragment are ignored: they mean nothing to gRPC, and come
// along with what people copy; clientv3 ignores them, too.
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

// isSocket reports whether scheme is that of Unix domain sockets.
func isSocket(scheme string) bool {
	return strings.EqualFold(scheme, "unix") || strings.EqualFold(scheme, "unixs")
}

// newUnixSource is the factory of unix, in the forms of gRPC's naming document:
// unix:///absolute, unix:/absolute and unix:relative; and of unixs, which is
// etcd's word for the same with TLS. A file called name:port is a member's that
// etcd gave a URL with a host to, and its certificate is that host's (etcd's
// client/v3/internal/endpoint).
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
		// gRPC parses what it dials as a URI once more.
		return nil, fmt.Errorf("the socket path %s contains one of '%%', '?', '#' and NUL, which cannot be dialled", quote(path))
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
