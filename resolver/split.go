package resolver

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// split returns the endpoints that raw has, in the form of one address each: in one string
// as on etcdctl's command line, "a:2379,b:2379" or "https://a:2379,https://b:2379", or as jetcd
// and gRPC's other languages write them, "ip:///a:2379,b:2379". An address without a scheme has
// that of the one before. Endpoints of other schemes may contain commas.
func split(raw string, reg *Registry) []string {
	prefix, rest := cutPrefix(raw)
	switch strings.ToLower(strings.TrimRight(prefix, ":/")) {
	case "", "http", "https", ipScheme:
	default:
		return []string{raw}
	}
	scheme, opaque, _ := strings.Cut(raw, ":")
	if _, known := reg.lookup(scheme); known && prefix == "" && !isDecimal(opaque[:min(1, len(opaque))]) {
		return []string{raw} // "unix:path"
	}
	if !strings.Contains(rest, ",") {
		return []string{raw}
	}
	var out []string
	for part := range strings.SplitSeq(raw, ",") {
		p, address := cutPrefix(part)
		switch {
		case address == "": // a stray comma
			continue
		case p == "":
			part = prefix + address
		default:
			prefix = p
		}
		out = append(out, part)
	}
	return out
}

// cutPrefix cuts "scheme://", or "ip:///", off an endpoint. prefix is empty if there is none.
func cutPrefix(raw string) (prefix, rest string) {
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok || !validScheme(scheme) {
		return "", raw
	}
	if strings.EqualFold(scheme, ipScheme) {
		if r, ok := strings.CutPrefix(rest, "/"); ok {
			return scheme + ":///", r
		}
	}
	return scheme + "://", rest
}

// ipScheme is jetcd's scheme for a list of addresses.
const ipScheme = "ip"

// newIPSource is the factory of ip, for one address: split makes single ones of a list.
func newIPSource(u *url.URL, o SourceOptions) (Source, error) {
	if err := noExtras(u); err != nil {
		return nil, err
	}
	address := strings.TrimPrefix(u.Path, "/")
	if u.Host != "" || u.Opaque != "" || address == "" {
		return nil, errors.New("has no list of addresses; write ip:///host:port,host:port, with three slashes")
	}
	host, port, err := splitHostPort(address, DefaultPort)
	if err != nil {
		return nil, fmt.Errorf("%w; write ip:///host:port,host:port", err)
	}
	return newHostSource(host, port, o), nil
}
