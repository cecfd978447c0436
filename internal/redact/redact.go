// Package redact removes secrets from what errors and records show.
package redact

import "strings"

// Endpoint removes possible credentials from an endpoint: everything before the
// last "@" of its authority.
func Endpoint(endpoint string) string {
	if scheme, _, ok := strings.Cut(endpoint, ":"); ok && (strings.EqualFold(scheme, "unix") || strings.EqualFold(scheme, "unixs")) {
		return endpoint // in a socket path, "@" is an ordinary character
	}
	head, rest := "", endpoint
	if i := strings.Index(endpoint, "://"); i >= 0 {
		head, rest = endpoint[:i+3], endpoint[i+3:]
	}
	// A password may contain a "/", so search for the last "@" of the whole
	// string.
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		return head + "xxxxx" + rest[i:]
	}
	return endpoint
}
