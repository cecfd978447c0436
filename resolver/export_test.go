package resolver

import (
	"context"
	"net/netip"
	"net/url"
	"time"

	"github.com/miekg/dns"

	"github.com/getcd/getcd/internal/redact"
)

// Order exports order, to test its distribution.
func Order(addrs, known []Address, keep bool) []Address { return order(addrs, known, keep, nil) }

// ParseEndpoint is newSource with the built-in schemes.
func ParseEndpoint(raw string, o SourceOptions) (Source, error) {
	o.lookup = func(context.Context, string) ([]netip.Addr, error) {
		return []netip.Addr{netip.AddrFrom4([4]byte{10, 0, 0, 1})}, nil // no network
	}
	return newSource(raw, NewRegistry(), o)
}

// WithLookup returns o with f instead of the system's lookup of bare names.
func (o Config) WithLookup(f func(ctx context.Context, host string) ([]netip.Addr, error)) Config {
	o.lookup = f
	return o
}

// WithHosts returns o with another hosts file than the system's.
func (o Config) WithHosts(path string) Config {
	o.hosts = path
	return o
}

// Redact is redact.Endpoint.
func Redact(endpoint string) string { return redact.Endpoint(endpoint) }

// SplitHostPort is splitHostPort.
func SplitHostPort(s string) (string, uint16, error) { return splitHostPort(s, DefaultPort) }

// CannedSource returns the source of uri with answer in place of its DNS server.
// answer gets each query and returns the response packet, or nil for none.
func CannedSource(uri string, o SourceOptions, answer func(q *dns.Msg) []byte) (Source, error) {
	s, err := newSource(uri, NewRegistry(), o)
	if err != nil {
		return nil, err
	}
	transport := func(_ context.Context, _, _ string, query []byte, accept func([]byte) bool) error {
		q := new(dns.Msg)
		if err := q.Unpack(query); err != nil {
			return err
		}
		if packet := answer(q); packet != nil && accept(packet) {
			return nil
		}
		return context.DeadlineExceeded
	}
	switch s := s.(type) {
	case *dnsSource:
		s.ns.exchange = transport
	case *srvSource:
		s.ns.exchange = transport
	}
	return s, nil
}

// NameserverLines returns the servers, and the names to query, that a resolv.conf
// file yields for name.
func NameserverLines(path, name string) (servers, names []string, err error) {
	ns, err := newNameservers(&url.URL{}, SourceOptions{ResolvConf: path, Timeout: time.Second})
	if err != nil {
		return nil, nil, err
	}
	c, names, err := ns.client(name)
	if err != nil {
		return nil, nil, err
	}
	return c.servers, names, nil
}
