package resolver

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/getcd/getcd/internal/redact"
)

var errCredentials = errors.New("an endpoint takes no credentials; give user and password in the client's configuration")

// newSource parses one endpoint and makes its source. Its errors do not name
// the endpoint.
func newSource(raw string, reg *Registry, o SourceOptions) (Source, error) {
	scheme, rest, hasColon := strings.Cut(raw, ":")
	factory, known := reg.lookup(scheme)
	isURI := hasColon && (strings.HasPrefix(rest, "//") || known && !isDecimal(rest))
	if err := checkCharacters(raw); err != nil {
		return nil, err
	}
	if !isURI {
		return newBareSource(raw, hasColon, reg, o)
	}
	if !known {
		if !validScheme(scheme) {
			return nil, fmt.Errorf("%s before the colon is not a URI scheme; the known schemes are %s", quote(scheme), schemeList(reg))
		}
		return nil, fmt.Errorf("unknown scheme %s; the known schemes are %s, and host:port without a scheme", quote(scheme), schemeList(reg))
	}
	if path, ok := strings.CutPrefix(rest, "//"); ok && isSocket(scheme) && !strings.HasPrefix(path, "/") {
		// Members announce URLs with a relative socket path in etcd's own form:
		// unix://localhost:2379 is the socket "localhost:2379".
		raw = scheme + ":" + path
	}
	u, err := url.Parse(raw)
	if err != nil {
		if redact.Endpoint(raw) != raw {
			return nil, errCredentials // the parser's own error may contain the credentials
		}
		if after, ok := strings.CutPrefix(rest, "//"); ok {
			// Usually the host or the port is wrong; give a more specific error
			// then.
			after, _, _ = strings.Cut(after, "/")
			if _, _, err := splitHostPort(after, DefaultPort); err != nil && after != "" {
				return nil, err
			}
		}
		return nil, fmt.Errorf("is not a URI: %w", unwrapURLError(err))
	}
	s, err := factory(u, o)
	if err == nil && s == nil {
		err = fmt.Errorf("the factory of scheme %q returned neither a source nor an error", u.Scheme)
	}
	return s, err
}

func newBareSource(raw string, hasColon bool, reg *Registry, o SourceOptions) (Source, error) {
	if strings.Contains(raw, "@") {
		return nil, errCredentials
	}
	host, port, err := splitHostPort(raw, DefaultPort)
	if err != nil {
		scheme, rest, _ := strings.Cut(raw, ":")
		if hasColon && validScheme(scheme) && rest != "" && !strings.Contains(rest, ":") && !isDecimal(rest) {
			return nil, fmt.Errorf("%w; if %s is meant as a scheme: the known schemes are %s", err, quote(scheme), schemeList(reg))
		}
		return nil, err
	}
	return newHostSource(host, port, o), nil
}

func schemeList(reg *Registry) string { return strings.Join(reg.Schemes(), ", ") }

// unwrapURLError removes the URI from a *url.Error. The caller names the URI
// itself, shortened if necessary.
func unwrapURLError(err error) error {
	if ue, ok := errors.AsType[*url.Error](err); ok {
		return ue.Err
	}
	return err
}

// checkCharacters refuses characters that no endpoint may contain. Such a string
// was pasted, split or decoded incorrectly.
func checkCharacters(s string) error {
	for _, r := range s {
		switch {
		case r == ' ' || r == '\t' || r == '\n' || r == '\r':
			return errors.New("contains white space; give each endpoint as one list element, and write a space in a socket path as %20")
		case r < ' ' || r == 0x7f:
			return fmt.Errorf("contains the control character %#x", r)
		case r == '\uFFFD':
			return errors.New("is not valid UTF-8")
		}
	}
	return nil
}

// noExtras refuses the parts of a URI that have no meaning in an endpoint.
func noExtras(u *url.URL) error {
	switch {
	case u.User != nil:
		return errCredentials
	case u.RawQuery != "" || u.ForceQuery:
		return fmt.Errorf("the query %s has no meaning here; remove it", quote("?"+u.RawQuery))
	case u.Fragment != "":
		return fmt.Errorf("the fragment %s has no meaning here; remove it", quote("#"+u.Fragment))
	}
	return nil
}

// splitHostPort splits host, host:port, IPv6, [IPv6] or [IPv6]:port.
func splitHostPort(s string, defaultPort uint16) (host string, port uint16, err error) {
	switch {
	case s == "":
		return "", 0, errors.New("the host is empty; write host:port")
	case strings.HasPrefix(s, "["):
		end := strings.IndexByte(s, ']')
		if end < 0 {
			return "", 0, fmt.Errorf("%s lacks the closing bracket of an IPv6 address", quote(s))
		}
		host = s[1:end]
		if a, err := parseIP(host); err != nil || !a.Is6() {
			return "", 0, fmt.Errorf("%s is not an IPv6 address; only IPv6 addresses may be in brackets", quote(host))
		}
		switch rest := s[end+1:]; {
		case rest == "":
			return host, defaultPort, nil
		case rest[0] != ':':
			return "", 0, fmt.Errorf("%s after the IPv6 address is not a port; write [%s]:port", quote(rest), host)
		default:
			port, err = parsePort(rest[1:])
			return host, port, err
		}
	case strings.Count(s, ":") > 1:
		return splitBareIPv6(s, defaultPort)
	}
	host, p, hasPort := strings.Cut(s, ":")
	if host == "" {
		host = localhost // as in net.Dial and gRPC
	}
	if err := validateHost(host); err != nil {
		return "", 0, err
	}
	if !hasPort {
		return host, defaultPort, nil
	}
	port, err = parsePort(p)
	return host, port, err
}

// splitBareIPv6 accepts an IPv6 address without brackets if it cannot be mistaken
// for an address with a port.
func splitBareIPv6(s string, defaultPort uint16) (string, uint16, error) {
	if _, err := parseIP(s); err != nil {
		if strings.Contains(s, ",") {
			return "", 0, errors.New("contains a comma; give each endpoint as one list element")
		}
		return "", 0, fmt.Errorf("%s is neither host:port nor an IPv6 address; write an IPv6 address with a port as [address]:port", quote(s))
	}
	i := strings.LastIndexByte(s, ':')
	head, tail := s[:i], s[i+1:]
	if _, err := parseIP(head); err == nil && isDecimal(tail) {
		return "", 0, fmt.Errorf("%s can be read in two ways; write [%s]:%s or [%s]", quote(s), head, tail, s)
	}
	return s, defaultPort, nil
}

// parseIP accepts an IP address. A zone may contain only characters of interface
// names, so that the address can be put in brackets.
func parseIP(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return a, err
	}
	for _, c := range []byte(a.Zone()) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("-_.", rune(c)) {
			return netip.Addr{}, fmt.Errorf("the zone %s of the IPv6 address contains %q", quote(a.Zone()), c)
		}
	}
	return a, nil
}

func isDecimal(s string) bool {
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return s != ""
}

func parsePort(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 || !isDecimal(s) {
		hint := ""
		if digits := strings.TrimLeft(s, "0123456789"); digits != "" && digits != s && strings.ContainsRune("/?#", rune(digits[0])) {
			hint = "; without a scheme, write host:port and nothing else"
		}
		return 0, fmt.Errorf("port %s is not a number from 1 to 65535%s", quote(s), hint)
	}
	return uint16(n), nil
}

// validateHost accepts an IP address or a host name.
func validateHost(host string) error {
	if _, err := parseIP(host); err == nil {
		return nil
	}
	if err := validateName(host); err != nil {
		return err
	}
	name := strings.TrimSuffix(host, ".")
	// A top-level label never consists of digits alone (RFC 3696, section 2). So
	// this is a mistyped IPv4 address, or a port without its host.
	if last := name[strings.LastIndexByte(name, '.')+1:]; isDecimal(last) {
		return fmt.Errorf("%s is neither an IP address nor a host name", quote(host))
	}
	return nil
}

// These are the limits of RFC 1035, section 2.3.4. The length of a name is that
// of its text without the trailing dot.
const (
	maxLabel = 63
	maxName  = 253
)

// validateName accepts what RFC 1123 allows in host names, and underscores.
// Service names begin with an underscore, and some host names contain one.
func validateName(name string) error {
	if strings.Contains(name, ",") {
		return errors.New("contains a comma; give each endpoint as one list element")
	}
	trimmed := strings.TrimSuffix(name, ".")
	if trimmed == "" {
		return errors.New("the host name is empty")
	}
	if len(trimmed) > maxName {
		return fmt.Errorf("the host name %s is longer than %d bytes", quote(name), maxName)
	}
	for label := range strings.SplitSeq(trimmed, ".") {
		switch {
		case label == "":
			return fmt.Errorf("the host name %s has an empty label", quote(name))
		case len(label) > maxLabel:
			return fmt.Errorf("the host name %s has a label longer than %d bytes", quote(name), maxLabel)
		case label[0] == '-' || label[len(label)-1] == '-':
			return fmt.Errorf("the host name %s has a label that starts or ends with a hyphen", quote(name))
		}
		for _, r := range label {
			switch {
			case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '-', r == '_':
			case r > 0x7f:
				return fmt.Errorf("the host name %s is not ASCII; write its xn-- form (RFC 5890)", quote(name))
			default:
				return fmt.Errorf("the host name %s contains %q; allowed are letters, digits, '-', '_' and '.'", quote(name), r)
			}
		}
	}
	return nil
}

// tlsName returns host in the form that certificates are checked against: an IPv6
// address without its zone (RFC 6874), and a name without its trailing dot (RFC
// 6125, section 2.2).
func tlsName(host string) string {
	if a, err := parseIP(host); err == nil {
		return a.WithZone("").String()
	}
	return strings.TrimSuffix(host, ".")
}

// authority returns the :authority value for host and port.
func authority(host string, port uint16) string {
	return hostPort(tlsName(host), port)
}

// hostPort returns the two in one text, with brackets around an IPv6 address.
func hostPort(host string, port uint16) string {
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}
