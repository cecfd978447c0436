package client

import (
	"context"
	"maps"
	"slices"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

// headers are Config.Headers. gRPC takes them for credentials, since it adds those to every
// stream of a connection, also to those of the policy and of health checks.
type headers map[string]string

// GetRequestMetadata implements credentials.PerRPCCredentials.
func (h headers) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return h, nil
}

// RequireTransportSecurity implements credentials.PerRPCCredentials. Config.guardsSecret
// protects headers on connections that DNS made plain.
func (headers) RequireTransportSecurity() bool { return false }

// reserved says where to set what a header would contradict.
var reserved = map[string]string{
	rpctypes.TokenFieldNameGRPC:       "set Config.Token, or a user",
	rpctypes.MetadataRequireLeaderKey: "the client sets it for each request",
	"content-type":                    "it is gRPC's",
	"te":                              "it is gRPC's",
	"host":                            "use grpc.WithAuthority in Config.DialOptions",
	"user-agent":                      "use grpc.WithUserAgent in Config.DialOptions",
	"connection":                      "HTTP/2 has none",
	"transfer-encoding":               "HTTP/2 has none",
}

// validate returns what is wrong with the headers. tokens says that a gateway gets a user's token,
// too. validate does not show values, which may be secret.
func (h headers) validate(tokens bool) (bad mistakes) {
	seen := make(map[string]string, len(h))
	for _, name := range slices.Sorted(maps.Keys(h)) {
		lower := strings.ToLower(name)
		switch {
		case name == "" || strings.Trim(lower, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != "":
			bad.add("Headers: the header %q can't be sent: a name has letters, digits, '-', '_' and '.'", name) // gRPC over HTTP2, Custom-Metadata
		case seen[lower] != "":
			bad.add("Headers: the header %q is there twice, also as %q", name, seen[lower])
		case lower == "authorization" && tokens:
			bad.add("Headers: the header %q can't be set here: a gateway takes the user's token in it", name)
		case reserved[lower] != "":
			bad.add("Headers: the header %q can't be set here: %s", name, reserved[lower])
		case strings.HasPrefix(lower, "grpc-"):
			bad.add("Headers: the header %q can't be set here: names that begin with grpc- are gRPC's", name)
		case strings.HasSuffix(lower, "-bin"):
			bad.add("Headers: the header %q can't be set here: values of names that end with -bin are binary", name)
		}
		seen[lower] = name
		if i := strings.IndexFunc(h[name], func(r rune) bool { return r < ' ' || r > '~' }); i >= 0 {
			bad.add("Headers: the header %q has a value with an unprintable character at index %d: it can't be sent", name, i)
		}
	}
	return bad
}
