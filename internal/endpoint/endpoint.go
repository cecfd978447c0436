// Package endpoint makes of what clientv3 and etcdctl take for endpoints what package
// client takes, which wants all endpoints to agree on TLS.
package endpoint

import (
	"net/url"
	"strings"
)

// Adapt decides by the first endpoint whether the client uses TLS, as clientv3 does
// (client.go, dialWithBalancer; internal/endpoint): https and unixs do, http does not,
// and any other one leaves it at secure. It returns the endpoints in a form that agrees
// with that, without empty ones. White space around an endpoint is ignored: a list that was
// split at its commas has some.
func Adapt(endpoints []string, secure bool) (bool, []string) {
	out := make([]string, 0, len(endpoints))
	for _, e := range endpoints {
		if e = strings.TrimSpace(e); e != "" {
			out = append(out, e)
		}
	}
	if len(out) > 0 {
		switch scheme, _, _ := cut(out[0]); scheme {
		case "http":
			secure = false
		case "https", "unixs":
			secure = true
		}
	}
	for i, e := range out {
		out[i] = One(e, secure)
	}
	return secure, out
}

// One makes a single endpoint agree with what was decided.
func One(endpoint string, secure bool) string {
	endpoint = strings.TrimSpace(endpoint)
	scheme, rest, ok := cut(endpoint)
	switch {
	case !ok:
	case scheme == "unixs":
		return "unix:" + rest
	case scheme == "http" || scheme == "https":
		u, err := url.Parse(endpoint)
		if err != nil || u.Host == "" {
			return endpoint // package client says what is wrong
		}
		u.Scheme = "http"
		if secure {
			u.Scheme = "https"
		}
		return (&url.URL{Scheme: u.Scheme, Host: u.Host}).String() // a zone is escaped again
	}
	return endpoint
}

// cut returns the scheme in lower case and what follows its colon.
func cut(endpoint string) (scheme, rest string, ok bool) {
	scheme, rest, ok = strings.Cut(endpoint, ":")
	return strings.ToLower(scheme), rest, ok && (strings.HasPrefix(rest, "/") || scheme != "" && !isPort(rest))
}

// isPort reports whether what follows a colon is a port, and what precedes it a host.
func isPort(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}
