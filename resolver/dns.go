package resolver

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// familyDelay is how long the addresses of one family wait for those of the other
// family. Some servers never answer a query for AAAA records.
const familyDelay = 500 * time.Millisecond

// minDNSTTL replaces a TTL of 0 in an answer, because 0 means forever in a
// Result.
const minDNSTTL = time.Second

func resultTTL(seconds uint32) time.Duration {
	return max(minDNSTTL, time.Duration(seconds)*time.Second)
}

// dnsSource resolves the A and AAAA records of one host.
type dnsSource struct {
	opts SourceOptions
	ns   *nameservers
	host string
	port uint16
	tls  bool

	name  string       // the last one that had addresses
	known []netip.Addr // of it
}

// newDNSSource is the factory of the scheme dns:
// dns://[server[:port]]/host[:port] and dns:host[:port], as in gRPC's naming
// document.
func newDNSSource(u *url.URL, o SourceOptions) (Source, error) {
	name, err := nameOf(u)
	if err != nil {
		return nil, err
	}
	host, port, err := splitHostPort(name, DefaultPort)
	if err != nil {
		return nil, err
	}
	if _, err := parseIP(host); err == nil {
		return newHostSource(host, port, o), nil
	}
	ns, err := newNameservers(u, o)
	if err != nil {
		return nil, err
	}
	return &dnsSource{opts: o, ns: ns, host: host, port: port, tls: o.TLS}, nil
}

// Hint implements Hinter.
func (s *dnsSource) Hint() Hint {
	return Hint{Authority: authority(s.host, s.port), Security: securityOf(s.tls)}
}

// Resolve implements Source.
func (s *dnsSource) Resolve(ctx context.Context) (Result, error) {
	if s.ns.server == "" { // if the user names a server, ask only that server
		if res, ok := s.withoutDNS(); ok {
			return res, nil
		}
	}
	return s.ns.each(s.host, func(c *dnsClient, name string) (Result, error) {
		a := c.lookupHost(ctx, name)
		if a.err != nil {
			return Result{}, a.err
		}
		if name == s.name {
			a.keep(s.known)
		}
		s.name, s.known = name, a.ips
		return Result{Addresses: s.addresses(a.ips), TTL: resultTTL(a.ttl)}, nil
	})
}

// withoutDNS returns the addresses that are known without a DNS query.
func (s *dnsSource) withoutDNS() (Result, bool) {
	if s.opts.isProxied(s.host, s.port) {
		return Result{Addresses: []Address{s.address(s.host)}}, true // left to the proxy
	}
	if isLocalhost(s.host) {
		// RFC 6761, section 6.3: a resolver answers for localhost itself and
		// sends no query.
		return Result{Addresses: s.addresses([]netip.Addr{netip.IPv6Loopback(), netip.AddrFrom4([4]byte{127, 0, 0, 1})})}, true
	}
	ips := lookupHosts(s.opts.hosts, s.host)
	return Result{Addresses: s.addresses(ips), TTL: hostTTL}, len(ips) > 0
}

func isLocalhost(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

func (s *dnsSource) addresses(ips []netip.Addr) []Address {
	out := make([]Address, 0, len(ips))
	for _, ip := range ips {
		// The addresses of a name commonly belong to several members. So each
		// address stands for itself, and Target stays empty.
		out = append(out, s.address(ip.String()))
	}
	return out
}

func (s *dnsSource) address(host string) Address {
	return Address{Network: NetworkTCP, Host: host, Port: s.port, ServerName: tlsName(s.host), TLS: s.tls}
}

// lookupHost queries both families at once. It returns addresses if either family
// has any, and does not report a failure of the other family then: such failures
// are common in networks with broken servers.
func (c *dnsClient) lookupHost(ctx context.Context, name string) hostAnswer {
	return c.lookupFamilies(ctx, name, dns.TypeAAAA, dns.TypeA)
}

// hostAnswer is the addresses of a host, or err.
type hostAnswer struct {
	ips  []netip.Addr
	ttl  uint32
	lost []uint16 // the families (A, AAAA) of which there was no answer
	err  error
}

// keep adds what was known of the families that are lost: a lost packet must not lose members.
func (a *hostAnswer) keep(known []netip.Addr) {
	for _, ip := range known {
		family := dns.TypeAAAA
		if ip.Is4() {
			family = dns.TypeA
		}
		if slices.Contains(a.lost, family) {
			a.ips = append(a.ips, ip)
		}
	}
	a.ips = sortIPs(a.ips)
}

type familyAnswer struct {
	ips []netip.Addr
	ttl uint32
	err error
}

func (c *dnsClient) lookupFamilies(ctx context.Context, name string, types ...uint16) hostAnswer {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answers := make([]familyAnswer, len(types))
	answered := make(chan int, len(types))
	for i, typ := range types {
		go func() {
			answers[i] = c.lookupFamily(ctx, name, typ)
			answered <- i
		}()
	}
	out := hostAnswer{ttl: ^uint32(0)}
	// In a fixed order, so that the error text does not vary.
	failed := make([]error, len(types))
	for range types { // wait for every goroutine; cancel makes that quick
		i := <-answered
		a := answers[i]
		if a.err != nil {
			failed[i] = a.err
			if !definitive(a.err) {
				out.lost = append(out.lost, types[i])
			}
			if types[i] != dns.TypeA || !errors.Is(a.err, ErrNoSuchName) {
				continue
			}
		} else {
			out.ips = append(out.ips, a.ips...)
			out.ttl = min(out.ttl, a.ttl)
		}
		defer time.AfterFunc(familyDelay, cancel).Stop()
	}
	if len(out.ips) == 0 {
		return hostAnswer{lost: out.lost, err: worst(failed)}
	}
	out.ips = sortIPs(out.ips)
	return out
}

// worst selects which failure of a name's two families to report. A failure that
// is not definitive takes precedence over a definitive one: as long as one family
// is unknown, nothing is known. But a name that does not exist has no records of
// any type (RFC 8020); only of AAAA records do some servers say so wrongly (RFC
// 4074, section 4.2). The failure of A is the last one.
func worst(failed []error) error {
	var open []error
	for _, err := range failed {
		if err != nil && !definitive(err) {
			open = append(open, err)
		}
	}
	if len(open) > 0 && !errors.Is(failed[len(failed)-1], ErrNoSuchName) {
		return joined(open)
	}
	for _, err := range failed {
		if errors.Is(err, ErrNoSuchName) {
			return err
		}
	}
	return joined(failed)
}

func (c *dnsClient) lookupFamily(ctx context.Context, name string, typ uint16) familyAnswer {
	a, err := c.lookup(ctx, name, typ)
	if err != nil {
		return familyAnswer{err: err}
	}
	var ips []netip.Addr
	for _, rr := range a.records {
		if ip, ok := ipOf(rr); ok {
			ips = append(ips, ip)
		}
	}
	if len(ips) == 0 {
		return familyAnswer{err: &lookupError{name, typ, fmt.Errorf("the answer has no address that can be dialed: %w", ErrNoRecords)}}
	}
	return familyAnswer{ips: ips, ttl: a.ttl}
}

// ipOf returns the address in an A or AAAA record. It returns false for 0.0.0.0
// and ::, which cannot be a member: dialing them reaches the local host.
func ipOf(rr dns.RR) (netip.Addr, bool) {
	var raw []byte
	switch rr := rr.(type) {
	case *dns.A:
		raw = rr.A
	case *dns.AAAA:
		raw = rr.AAAA
	}
	ip, ok := netip.AddrFromSlice(raw)
	ip = ip.Unmap()
	return ip, ok && !ip.IsUnspecified() && !ip.IsMulticast()
}

// sortIPs puts IPv6 first (RFC 6724, section 2.1) and removes duplicates. Within
// a family it sorts by bytes, so that two equal answers stay equal even if the
// server rotates them.
func sortIPs(ips []netip.Addr) []netip.Addr {
	sort.Slice(ips, func(i, j int) bool { // a third of the machine code that slices.SortFunc makes of structs
		if a, b := ips[i].BitLen(), ips[j].BitLen(); a != b {
			return a > b
		}
		return ips[i].Less(ips[j])
	})
	return slices.Compact(ips)
}
