package resolver

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

const (
	dnsPort = 53
	// maxServers limits what is used of resolv.conf, like MAXNS in resolv.conf(5).
	maxServers = 3
	// maxQueryTimeout limits how long one server may take for one query.
	maxQueryTimeout = 2 * time.Second
)

// nameservers decides which name servers to ask for one endpoint.
type nameservers struct {
	server     string        // from the URI, host:port; empty means resolv.conf
	resolvConf string        // a path
	timeout    time.Duration // of one query to one server
	exchange   transport
	first      atomic.Uint32
	hosts      string // the hosts file, for the targets of SRV records
	// serviceLabels is the number of labels that are put before the names. They
	// count for ndots.
	serviceLabels int
	// answered is the candidate that was found last. Only each uses it, and calls
	// of each do not overlap.
	answered string
}

// newNameservers takes the server from the authority of u.
func newNameservers(u *url.URL, o SourceOptions) (*nameservers, error) {
	ns := &nameservers{
		resolvConf: o.ResolvConf,
		hosts:      o.hosts,
		// So that one resolution has time to ask several servers.
		timeout:  min(maxQueryTimeout, o.Timeout/5),
		exchange: exchange,
	}
	if u.Host != "" {
		host, port, err := splitHostPort(u.Host, dnsPort)
		if err != nil {
			return nil, fmt.Errorf("the DNS server: %w", err)
		}
		ns.server = hostPort(host, port)
	}
	return ns, nil
}

// client returns a client and the names to query, in order, for the user's name.
// It reads resolv.conf each time, because machines move between networks.
//
// The search list is used as resolv.conf(5) describes, so that a name means the
// same as in other programs on the machine. In Kubernetes, with ndots:5,
// etcd.db.svc is etcd.db.svc.cluster.local. A trailing dot makes a name fully
// qualified. If the URI names a server, the search list is not used.
func (ns *nameservers) client(name string) (*dnsClient, []string, error) {
	c := &dnsClient{timeout: ns.timeout, network: "udp", first: &ns.first, exchange: ns.exchange, hosts: ns.hosts}
	if ns.server != "" {
		c.servers = []string{ns.server}
		return c, []string{dns.Fqdn(name)}, nil
	}
	text, err := os.ReadFile(ns.resolvConf)
	if err != nil {
		return nil, nil, fmt.Errorf("no DNS server is known: %w; name one in the URI, as in dns://server/name", err)
	}
	conf, err := dns.ClientConfigFromReader(bytes.NewReader(text))
	if err != nil {
		return nil, nil, err
	}
	if tcpAlone.Match(text) {
		c.network = "tcp"
	}
	c.timeout = min(c.timeout, time.Duration(conf.Timeout)*time.Second)
	for _, s := range conf.Servers {
		if server, ok := serverOf(s); ok && len(c.servers) < maxServers {
			c.servers = append(c.servers, server)
		}
	}
	if len(c.servers) == 0 {
		// "If no nameserver entries are present, the default is to use the name
		// server on the local machine." resolv.conf(5)
		c.servers = []string{hostPort("127.0.0.1", dnsPort)}
	}
	return c, candidates(name, conf.Search, conf.Ndots-ns.serviceLabels), nil
}

// tcpAlone matches the option that forbids UDP, by its names in resolv.conf(5) of
// Linux, FreeBSD and OpenBSD.
var tcpAlone = regexp.MustCompile(`(?m)^options[ \t](.*[ \t])?(use-vc|usevc|tcp)([ \t]|$)`)

// serverOf parses the value of a nameserver line: an IP address, or
// [address]:port as in OpenBSD's resolv.conf(5).
func serverOf(s string) (string, bool) {
	host, port := s, strconv.Itoa(dnsPort)
	if strings.HasPrefix(s, "[") {
		var err error
		if host, port, err = net.SplitHostPort(s); err != nil {
			return "", false
		}
		if _, err := parsePort(port); err != nil {
			return "", false
		}
	}
	_, err := parseIP(host)
	return net.JoinHostPort(host, port), err == nil
}

// candidates returns name below each domain of the search list, and name itself:
// first if it has ndots dots or more, otherwise last.
func candidates(name string, search []string, ndots int) []string {
	if strings.HasSuffix(name, ".") {
		return []string{name}
	}
	var names []string
	for _, domain := range search {
		domain = strings.Trim(domain, ".")
		full := name + "." + domain
		if domain != "" && validateName(full) == nil {
			names = append(names, full+".")
		}
	}
	if strings.Count(name, ".") >= ndots {
		return append([]string{name + "."}, names...)
	}
	return append(names, name+".")
}

// nameOf returns the name to look up of a URI with the scheme dns or dns+srv.
func nameOf(u *url.URL) (string, error) {
	if err := noExtras(u); err != nil {
		return "", err
	}
	name := u.Opaque
	if name == "" {
		name = strings.TrimPrefix(u.Path, "/")
	}
	switch {
	case name == "" && u.Host != "":
		return "", fmt.Errorf("%s after the two slashes is the DNS server, and the name to look up is empty; write %s:///%s for a name, or %s://%s/name",
			quote(u.Host), u.Scheme, u.Host, u.Scheme, u.Host)
	case name == "":
		return "", fmt.Errorf("the name is empty; write %s:///name", u.Scheme)
	case strings.Contains(name, "/"):
		return "", fmt.Errorf("the path %s has more than a name; write %s://[server]/name", quote(name), u.Scheme)
	}
	return name, nil
}

// each calls resolve with the candidates of name in turn. It stops when a
// candidate is found, or at a failure other than its absence: a lost packet must
// not make a later candidate win. Servers answer SERVFAIL for a search domain
// that they do not serve. So each ignores SERVFAIL, as libc does (glibc,
// res_search), except for the candidate that was found last time.
func (ns *nameservers) each(name string, resolve func(c *dnsClient, candidate string) (Result, error)) (Result, error) {
	c, names, err := ns.client(name)
	if err != nil {
		return Result{}, err
	}
	var failed []error
	for _, candidate := range names {
		res, err := resolve(c, candidate)
		if err == nil || len(res.Addresses) > 0 {
			ns.answered = candidate
			return res, err
		}
		failed = append(failed, err)
		// A candidate with SRV records is found, whatever its targets are.
		found := errors.Is(err, ErrNoService) || errors.Is(err, errTarget)
		if found || !definitive(err) && (!serverFailed(err) || candidate == ns.answered) {
			break
		}
	}
	// Next time the first server is asked first: the one that answered may have
	// stood in for it after a lost packet, and may not know the name at all.
	ns.first.Store(0)
	return Result{}, joined(failed)
}
