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

// hostTTL is how long the system's answer for a bare host name is used. The system
// tells no TTL; this is what Kubernetes' name server gives its names, and a lookup
// is cheap: the system's own cache answers it, or its hosts file. What fails is
// looked up at once (ResolveNow).
const hostTTL = 30 * time.Second

// lookupFunc returns the addresses of a host, the preferred ones first.
type lookupFunc func(ctx context.Context, host string) ([]netip.Addr, error)

// lookupSystem looks host up as the other programs of the machine do: with its
// hosts file, its search list and its name servers, ordered as RFC 6724 has it.
func lookupSystem(ctx context.Context, host string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

// hostSource is a bare host name. One that stands for several addresses becomes
// them, so that the policy can leave the one that fails. Any other one is left to
// the dialer, which looks it up anew for each connection: a name with one address,
// one that is the local host in both families, and one that the system does not
// know, or not now.
//
// Resolve runs once at a time, so that known needs no lock.
type hostSource struct {
	host   string
	port   uint16
	tls    bool
	opts   SourceOptions
	lookup lookupFunc
	known  []netip.Addr // the last answer, in the order in which it was given first
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

// left is the name as it is, for the dialer to look up.
func (s *hostSource) left() Result { return Result{Addresses: []Address{s.address(s.host)}} }

// Hint implements Hinter.
func (s *hostSource) Hint() Hint {
	return Hint{Authority: authority(s.host, s.port), Security: securityOf(s.tls)}
}

// Resolve implements Source.
func (s *hostSource) Resolve(ctx context.Context) (Result, error) {
	if s.opts.isProxied(s.host, s.port) {
		return s.left(), nil // to the proxy
	}
	found, err := s.lookup(ctx, s.host)
	if err == nil && len(found) == 0 {
		err = ErrNoRecords
	}
	if err != nil {
		err = explained(ctx, err)
		if len(s.known) > 1 {
			return Result{}, err // the addresses stay in use
		}
		res := s.left()
		res.TTL = hostTTL
		return res, err
	}
	ips := dialable(found)
	if sameSet(ips, s.known) {
		ips = s.known // name servers rotate their answers
	}
	s.known = ips
	res := s.left()
	if severalHosts(ips) {
		res.Addresses = nil
		for _, ip := range ips {
			res.Addresses = append(res.Addresses, s.address(ip.String()))
		}
	}
	res.TTL = hostTTL
	return res, nil
}

// ports matches what differs between equal failures: the local end of a question.
var ports = regexp.MustCompile(`[^ ]+->`)

// explained says what failed, in the same words each time.
func explained(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx) // says how long was waited
	}
	if de, ok := errors.AsType[*net.DNSError](err); ok {
		if de.IsNotFound {
			return fmt.Errorf("the system's resolver: %w", ErrNoSuchName)
		}
		return fmt.Errorf("the system's resolver: %s", ports.ReplaceAllString(de.Err, ""))
	}
	return err
}

// dialable returns in without duplicates and without what cannot be a member, as
// ipOf.
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

// severalHosts reports whether ips may be those of several members. 127.0.0.1 and
// ::1 are both the local host, of which a server may listen on one only; the dialer
// tries both at once (RFC 8305).
func severalHosts(ips []netip.Addr) bool {
	if len(ips) == 2 && ips[0].Is4() != ips[1].Is4() && ips[0].IsLoopback() && ips[1].IsLoopback() {
		return false
	}
	return len(ips) > 1
}

func sameSet(a, b []netip.Addr) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(ip netip.Addr) bool { return !slices.Contains(b, ip) })
}
