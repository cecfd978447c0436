package resolver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// These are the service labels of etcd's clients, as in etcd's documentation of
// DNS discovery. "-NAME" may follow, for one of several clusters in a domain
// (etcd's client/pkg/srv, GetSRVService).
const (
	tlsLabel   = "_etcd-client-ssl"
	plainLabel = "_etcd-client"
	overTCP    = "._tcp."
)

const (
	// maxAddresses limits what a Resolver reports, and how many targets of one
	// SRV answer are looked up. A cluster rarely has more than seven members, but
	// an answer of 64 KiB can hold more than a thousand records.
	maxAddresses = 256
	// maxLookups limits how many targets are looked up at the same time.
	maxLookups = 8
)

// srvSource resolves the SRV records of a domain (RFC 2782).
type srvSource struct {
	opts          SourceOptions
	ns            *nameservers
	name          string // as the user wrote it
	suffix        string // of the service labels: "-" and the cluster's name, or empty
	domain        string // name without the _service._proto labels and the trailing dot
	tls           bool   // the client has a TLS configuration
	verifyTargets bool
	logger        *slog.Logger

	// Only Resolve uses the following fields, and its calls do not overlap.

	known        map[string][]netip.Addr // the last good addresses of each target
	plainIgnored bool                    // this was logged
	cut          bool                    // this was logged
}

// newSRVSource is the factory of dns+srv: dns+srv://[server[:port]]/name[?name=cluster].
func newSRVSource(u *url.URL, o SourceOptions) (Source, error) {
	cluster, err := clusterName(u)
	if err != nil {
		return nil, err
	}
	u = new(*u) // do not modify the caller's
	u.RawQuery = ""
	name, err := nameOf(u)
	if err != nil {
		return nil, err
	}
	if host, port, ok := strings.Cut(name, ":"); ok {
		return nil, fmt.Errorf("the port %s has no meaning here, since SRV records have the ports; write dns+srv:///%s", quote(port), host)
	}
	if err := validateName(name); err != nil {
		return nil, err
	}
	suffix := ""
	if cluster != "" {
		suffix = "-" + cluster
	}
	if err := validateName(tlsLabel + suffix + overTCP + name); err != nil {
		return nil, err // too long for a query
	}
	if _, err := parseIP(name); err == nil {
		return nil, fmt.Errorf("%s is an IP address, which has no SRV records", quote(name))
	}
	if suffix != "" && strings.HasPrefix(name, "_") {
		return nil, fmt.Errorf("%s is already a service; write dns+srv:///domain?name=%s, or the service without a query", quote(name), cluster)
	}
	domain := strings.TrimSuffix(name, ".")
	for strings.HasPrefix(domain, "_") {
		_, domain, _ = strings.Cut(domain, ".")
	}
	if domain == "" {
		return nil, fmt.Errorf("%s names a service without a domain; write _service._proto.domain", quote(name))
	}
	ns, err := newNameservers(u, o)
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(name, "_") {
		ns.serviceLabels = 2 // the labels of the service
	}
	return &srvSource{
		opts: o, ns: ns, name: name, suffix: suffix, domain: domain,
		tls: o.TLS, verifyTargets: o.VerifyTargetNames, logger: o.Logger,
	}, nil
}

// clusterName returns the value of the query parameter name, the only one that is
// allowed.
func clusterName(u *url.URL) (string, error) {
	if u.RawQuery == "" && !u.ForceQuery {
		return "", nil
	}
	values, err := url.ParseQuery(u.RawQuery)
	name := values.Get("name")
	if err != nil || len(values) != 1 || len(values["name"]) != 1 || name == "" || strings.ContainsAny(name, "._") {
		return "", fmt.Errorf("the query %s has no meaning here; ?name=NAME, with a single label, looks up the services %s-NAME and %s-NAME", quote("?"+u.RawQuery), tlsLabel, plainLabel)
	}
	return name, nil
}

// Hint implements Hinter.
func (s *srvSource) Hint() Hint {
	h := Hint{Authority: s.domain}
	if s.tls && !s.opts.InsecureDiscovery || strings.HasPrefix(s.name, "_") {
		h.Security = securityOf(s.tls || namesTLS(s.name))
	}
	return h
}

// namesTLS reports whether name begins with etcd's TLS service. etcdctl's
// --discovery-srv-name appends -NAME to the service.
func namesTLS(name string) bool {
	service, _, _ := strings.Cut(strings.ToLower(name), ".")
	return service == tlsLabel || strings.HasPrefix(service, tlsLabel+"-")
}

// Resolve implements Source.
func (s *srvSource) Resolve(ctx context.Context) (Result, error) {
	return s.ns.each(s.name, func(c *dnsClient, name string) (Result, error) {
		if strings.HasPrefix(s.name, "_") {
			return s.members(ctx, c, c.lookupSRV(ctx, name), s.tls || namesTLS(s.name))
		}
		res, err := s.discover(ctx, c, name)
		for i := range res.Addresses {
			res.Addresses[i].PlainByDNS = !res.Addresses[i].TLS
		}
		return res, err
	})
}

// discover queries etcd's two services below domain. If neither exists, it
// queries the records of the domain itself.
func (s *srvSource) discover(ctx context.Context, c *dnsClient, domain string) (Result, error) {
	tlsService, plainService := tlsLabel+s.suffix+overTCP+domain, plainLabel+s.suffix+overTCP+domain
	plainCh := make(chan srvAnswer, 1)
	go func() { plainCh <- c.lookupSRV(ctx, plainService) }()
	secure := c.lookupSRV(ctx, tlsService)
	plain := <-plainCh

	// The absence of a TLS service must be certain before anything else is used:
	// a lost packet must not turn TLS off.
	if secure.err != nil && !definitive(secure.err) {
		return Result{}, secure.err
	}
	if secure.err == nil {
		if ignored := plain.err == nil; ignored != s.plainIgnored {
			s.plainIgnored = ignored
			if ignored {
				s.logger.Warn("etcd: both TLS and plain SRV records exist; the plain ones are ignored",
					"domain", s.domain, "ignored", plainService)
			}
		}
		return s.members(ctx, c, secure, true)
	}
	switch {
	case plain.err == nil && s.tls && !s.opts.InsecureDiscovery:
		return Result{}, fmt.Errorf("DNS has only the plain service %s, but the client is configured for TLS: add %s records, remove the TLS configuration, or allow it with InsecureDiscovery",
			plainService, tlsService)
	case plain.err == nil:
		return s.members(ctx, c, plain, false)
	case !definitive(plain.err):
		return Result{}, plain.err
	case s.suffix != "": // the domain's own records belong to another cluster
		return Result{}, joined([]error{secure.err, plain.err})
	}
	own := c.lookupSRV(ctx, domain)
	switch {
	case own.err == nil:
		return s.members(ctx, c, own, s.tls)
	case !definitive(own.err):
		return Result{}, own.err
	default:
		return Result{}, joined([]error{secure.err, plain.err, own.err})
	}
}

// srvAnswer is a usable set of SRV records, or err.
type srvAnswer struct {
	records []*dns.SRV // targets are valid names or addresses, without the trailing dot
	extra   []dns.RR
	ttl     uint32
	err     error
}

// lookupSRV returns the usable SRV records of name.
func (c *dnsClient) lookupSRV(ctx context.Context, name string) srvAnswer {
	a, err := c.lookup(ctx, name, dns.TypeSRV)
	if err != nil {
		return srvAnswer{err: err}
	}
	out := srvAnswer{extra: a.extra, ttl: a.ttl}
	var unusable []error
	for _, rr := range a.records {
		srv, ok := rr.(*dns.SRV)
		if !ok || srv.Target == "." {
			continue
		}
		record := *srv
		record.Target = strings.TrimSuffix(srv.Target, ".")
		switch err := usable(&record); {
		case err == nil:
			out.records = append(out.records, &record)
		case len(unusable) < 3: // enough to show the problem
			unusable = append(unusable, err)
		}
	}
	if len(out.records) > 0 {
		return out
	}
	// Only a single "." means that there is no service. A broken record means
	// nothing, and above all not that there is no TLS.
	err = joined(unusable)
	if err == nil {
		err = ErrNoService
	}
	return srvAnswer{err: &lookupError{name, dns.TypeSRV, err}}
}

func usable(rr *dns.SRV) error {
	switch {
	case rr.Target == "":
		return errors.New("malformed answer: the SRV record has no target")
	case rr.Port == 0:
		return fmt.Errorf("the record for %s has port 0", quote(rr.Target))
	}
	// RFC 2782 forbids an address as a target, but it is harmless and common.
	if err := validateHost(rr.Target); err != nil {
		return fmt.Errorf("bad SRV target: %w", err)
	}
	return nil
}

// errTarget is part of an error that says nothing of the SRV records themselves.
var errTarget = errors.New("SRV target")

// members turns SRV records into addresses: all A and AAAA records of every
// target.
func (s *srvSource) members(ctx context.Context, c *dnsClient, srv srvAnswer, tls bool) (Result, error) {
	if srv.err != nil {
		return Result{}, srv.err
	}
	records := s.sorted(srv.records)
	targets := make(map[string]*hostAnswer)
	for _, rr := range records {
		if !s.leftToProxy(rr) {
			targets[strings.ToLower(rr.Target)] = nil
		}
	}
	lookups := make(chan struct{}, maxLookups)
	var wg sync.WaitGroup
	for target := range targets {
		a := new(hostAnswer)
		targets[target] = a
		wg.Go(func() {
			lookups <- struct{}{}
			*a = c.lookupTarget(ctx, target, srv.extra)
			<-lookups
		})
	}
	wg.Wait()

	known := make(map[string][]netip.Addr, len(targets))
	var failed []error
	ttl := srv.ttl
	for target, a := range targets {
		if a.err == nil {
			ttl = min(ttl, a.ttl)
		} else {
			failed = append(failed, fmt.Errorf("%w: %w", errTarget, a.err))
		}
		a.keep(s.known[target])
		if len(a.ips) > 0 {
			known[target] = a.ips
		}
	}
	sort.Slice(failed, func(i, j int) bool { return failed[i].Error() < failed[j].Error() })

	res := Result{TTL: resultTTL(ttl)}
	for _, rr := range records {
		name := s.domain
		if s.verifyTargets {
			name = tlsName(rr.Target)
		}
		add := func(host string) {
			res.Addresses = append(res.Addresses, Address{
				Network: NetworkTCP, Host: host, Port: rr.Port, ServerName: name, TLS: tls,
				Priority: rr.Priority, Weight: rr.Weight, Target: rr.Target,
			})
		}
		if s.leftToProxy(rr) {
			add(rr.Target)
			continue
		}
		for _, ip := range targets[strings.ToLower(rr.Target)].ips {
			add(ip.String())
		}
	}
	if len(res.Addresses) == 0 {
		return Result{}, joined(failed)
	}
	s.known = known
	return res, joined(failed)
}

// leftToProxy reports whether the target is left to a proxy. If the user has
// named a DNS server, that server is asked instead.
func (s *srvSource) leftToProxy(rr *dns.SRV) bool {
	return s.ns.server == "" && s.opts.isProxied(rr.Target, rr.Port)
}

// sorted puts the records into an order that does not depend on the server. It
// removes duplicates and the records beyond maxAddresses.
func (s *srvSource) sorted(records []*dns.SRV) []*dns.SRV {
	slices.SortFunc(records, func(a, b *dns.SRV) int {
		return cmp.Or(
			cmp.Compare(a.Priority, b.Priority),
			cmp.Compare(b.Weight, a.Weight),
			cmp.Compare(strings.ToLower(a.Target), strings.ToLower(b.Target)),
			cmp.Compare(a.Port, b.Port),
		)
	})
	records = slices.CompactFunc(records, func(a, b *dns.SRV) bool {
		return a.Priority == b.Priority && strings.EqualFold(a.Target, b.Target) && a.Port == b.Port
	})
	if len(records) <= maxAddresses {
		s.cut = false
		return records
	}
	if !s.cut {
		s.cut = true
		s.logger.Warn("etcd: too many SRV records; those with the highest priority values are ignored",
			"domain", s.domain, "records", len(records), "used", maxAddresses)
	}
	return records[:maxAddresses]
}

// lookupTarget returns the addresses of an SRV target. The hosts file takes
// precedence, as for every host name. Otherwise it uses the additional section as
// far as that goes. A server may omit an address family there without a sign, so
// lookupTarget queries the missing one, with a short timeout.
func (c *dnsClient) lookupTarget(ctx context.Context, target string, extra []dns.RR) hostAnswer {
	if ip, err := parseIP(target); err == nil {
		return hostAnswer{ips: []netip.Addr{ip}, ttl: ^uint32(0)}
	}
	if ips := lookupHosts(c.hosts, target); len(ips) > 0 {
		return hostAnswer{ips: ips, ttl: uint32(hostTTL / time.Second)}
	}
	owner := target + "."
	out := hostAnswer{ttl: ^uint32(0)}
	missing := map[uint16]bool{dns.TypeA: true, dns.TypeAAAA: true}
	for _, rr := range extra {
		h := rr.Header()
		if !strings.EqualFold(h.Name, owner) || h.Class != dns.ClassINET {
			continue
		}
		if ip, ok := ipOf(rr); ok {
			out.ips = append(out.ips, ip)
			out.ttl = min(out.ttl, ttlOf(rr))
			delete(missing, h.Rrtype)
		}
	}
	if len(missing) == 2 {
		return c.lookupHost(ctx, owner)
	}
	for typ := range missing {
		ctx, cancel := context.WithTimeout(ctx, familyDelay)
		a := c.lookupFamilies(ctx, owner, typ)
		cancel()
		out.ips = append(out.ips, a.ips...)
		out.lost = append(out.lost, a.lost...)
		if a.err == nil {
			out.ttl = min(out.ttl, a.ttl)
		}
	}
	out.ips = sortIPs(out.ips)
	return out
}
