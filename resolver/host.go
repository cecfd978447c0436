package resolver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"time"
)

// hostTTL is how long the system's answer for a bare host name is used. The
// system does not report a TTL. Kubernetes' name server uses this TTL for its
// names. A lookup is cheap: the system's cache or its hosts file answers it. When
// a connection fails, the name is looked up at once (ResolveNow).
const hostTTL = 30 * time.Second

// lookupFunc returns the addresses of a host, preferred ones first.
type lookupFunc func(ctx context.Context, host string) ([]netip.Addr, error)

// lookupSystem looks host up through the system, with its hosts file, its search
// list and its name servers, in RFC 6724's order.
func lookupSystem(ctx context.Context, host string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

// hostSource is a bare host name. If the name has several addresses, hostSource
// returns each of them, so that the policy can move away from one that fails.
// Otherwise the name is left to the dialer, which looks it up for each
// connection: if it has one address, if its addresses are the local host in both
// families, or if the system does not know it or cannot find it now.
//
// Calls of Resolve do not overlap, so known needs no lock.
type hostSource struct {
	host   string
	port   uint16
	tls    bool
	opts   SourceOptions
	lookup lookupFunc
	known  []netip.Addr // the last answer, in its original order
}

// newHostSource returns the source of an IP address or a host name.
func newHostSource(host string, port uint16, o SourceOptions) Source {
	s := &hostSource{host: host, port: port, tls: o.TLS, opts: o, lookup: o.lookup}
	if s.lookup == nil {
		s.lookup = lookupSystem
	}
	if _, err := parseIP(host); err == nil {
		return &staticSource{address: s.address(host), authority: authority(host, port)}
	}
	return s
}

func (s *hostSource) address(host string) Address {
	return Address{Network: NetworkTCP, Host: host, Port: s.port, ServerName: tlsName(s.host), TLS: s.tls}
}

// unresolved returns the name itself, for the dialer to look up.
func (s *hostSource) unresolved() Result { return Result{Addresses: []Address{s.address(s.host)}} }

// Hint implements Hinter.
func (s *hostSource) Hint() Hint {
	return Hint{Authority: authority(s.host, s.port), Security: securityOf(s.tls)}
}

// Resolve implements Source.
func (s *hostSource) Resolve(ctx context.Context) (Result, error) {
	if s.opts.isProxied(s.host, s.port) {
		return s.unresolved(), nil // left to the proxy
	}
	found, err := s.lookup(ctx, s.host)
	if err == nil && len(found) == 0 {
		err = ErrNoRecords
	}
	if err != nil {
		err = explain(ctx, err)
		if len(s.known) > 1 {
			return Result{}, err // the addresses stay in use
		}
		res := s.unresolved()
		res.TTL = hostTTL
		return res, err
	}
	ips := dialable(found)
	if sameSet(ips, s.known) {
		ips = s.known // name servers rotate their answers
	}
	s.known = ips
	res := s.unresolved()
	if severalHosts(ips) {
		res.Addresses = nil
		for _, ip := range ips {
			res.Addresses = append(res.Addresses, s.address(ip.String()))
		}
	}
	res.TTL = hostTTL
	return res, nil
}

// ports matches the part that differs between otherwise equal failures: the local
// address of a query.
var ports = regexp.MustCompile(`[^ ]+->`)

// explain returns a lookup error whose text does not vary between attempts.
func explain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx) // has the length of the timeout
	}
	if de, ok := errors.AsType[*net.DNSError](err); ok {
		if de.IsNotFound {
			return fmt.Errorf("the system's resolver: %w", ErrNoSuchName)
		}
		return fmt.Errorf("the system's resolver: %s", ports.ReplaceAllString(de.Err, ""))
	}
	return err
}

// dialable returns the addresses in in, without duplicates and without those that
// ipOf excludes.
func dialable(in []netip.Addr) []netip.Addr {
	var out []netip.Addr
	for _, ip := range in {
		ip = ip.Unmap()
		if !ip.IsUnspecified() && !ip.IsMulticast() && !slices.Contains(out, ip) {
			out = append(out, ip)
		}
	}
	return out
}

// severalHosts reports whether ips may belong to several members. 127.0.0.1 and
// ::1 are both the local host. A server may listen on only one of them; the
// dialer tries both at once (RFC 8305).
func severalHosts(ips []netip.Addr) bool {
	if len(ips) == 2 && ips[0].Is4() != ips[1].Is4() && ips[0].IsLoopback() && ips[1].IsLoopback() {
		return false
	}
	return len(ips) > 1
}

func sameSet(a, b []netip.Addr) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(ip netip.Addr) bool { return !slices.Contains(b, ip) })
}
