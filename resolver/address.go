package resolver

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"google.golang.org/grpc/attributes"
	grpcresolver "google.golang.org/grpc/resolver"
)

// DefaultPort is etcd's client port. It is used for an endpoint without a port.
const DefaultPort = 2379

// The networks of an Address.
const (
	NetworkTCP  = "tcp"
	NetworkUnix = "unix"
)

// Address is one address at which a member may be reached.
type Address struct {
	// Network is NetworkTCP or NetworkUnix.
	Network string
	// Host is an IP address (without brackets) or a host name. For a Unix domain
	// socket it is the path.
	Host string
	// Port is the TCP port, which is never 0. For a Unix domain socket it is 0.
	Port uint16
	// ServerName is the name that the certificate must be valid for when TLS
	// is used.
	ServerName string
	// TLS says whether the connection uses TLS.
	TLS bool
	// PlainByDNS says that TLS is false only because of a DNS answer, and not
	// because of the user's configuration. Do not send secrets to such an address
	// unless the user allows it.
	PlainByDNS bool
	// Priority and Weight are those of RFC 2782. Addresses with the lowest
	// priority are tried first. Within one priority, an address with a greater
	// weight is more likely to come first. Both are 0 for addresses that do not
	// come from an SRV record.
	Priority, Weight uint16
	// Target is the target of the SRV record, without its trailing dot. Host
	// comes from the target's A or AAAA record. Addresses with the same Target
	// and Port belong to one member. Target is empty for addresses that do not
	// come from an SRV record.
	Target string
}

// Authority returns the :authority of requests to a, as RFC 9113, section 8.3.1,
// defines it: the endpoint's host and port, with brackets around an IPv6 address.
// The host is the name that TLS verifies; for an address from an SRV record, that
// is the queried domain. A proxy refuses requests whose host differs from that of
// the TLS handshake (421, RFC 9110, section 15.5.20). For a Unix domain socket
// the authority is "localhost", as in gRPC.
func (a Address) Authority() string {
	switch {
	case a.Network == NetworkUnix:
		return localhost
	case a.ServerName != "":
		return authority(a.ServerName, a.Port)
	default:
		return authority(a.Host, a.Port)
	}
}

// String returns the address to dial, which errors also show: "host:port" with an
// IPv6 address in brackets, "unix:///path", or "unix:path" for a relative path,
// as in gRPC's naming document (github.com/grpc/grpc/blob/master/doc/naming.md).
func (a Address) String() string {
	if a.Network == NetworkUnix {
		if filepath.IsAbs(a.Host) || strings.HasPrefix(a.Host, "/") {
			return "unix://" + a.Host
		}
		return "unix:" + a.Host
	}
	return hostPort(a.Host, a.Port)
}

// validate reports why a cannot be dialed.
func (a Address) validate() error {
	switch {
	case a.Network == NetworkUnix && a.Host == "":
		return errors.New("an address has an empty socket path")
	case a.Network == NetworkUnix && a.Port != 0:
		return fmt.Errorf("address %q: a Unix domain socket has no port, got %d", a.Host, a.Port)
	case a.Network == NetworkUnix:
		return nil
	case a.Network != NetworkTCP:
		return fmt.Errorf("address %q: network %q is not %q or %q", a.Host, a.Network, NetworkTCP, NetworkUnix)
	case a.Host == "":
		return errors.New("an address has an empty host")
	case a.Port == 0:
		return fmt.Errorf("address %q: port 0 cannot be dialed", a.Host)
	}
	return nil
}

// addressKey holds an Address, without its priority and weight, in the Attributes
// of a gRPC address. gRPC passes the Attributes to the dialer and to the TLS
// handshake. Addresses with different Attributes are different addresses for
// gRPC, so the values that only affect the order are stored elsewhere.
type addressKey struct{}

// rankKey holds a rank in the BalancerAttributes of a gRPC address.
type rankKey struct{}

type rank struct{ priority, weight uint16 }

// toGRPC converts a to gRPC's form; FromGRPC is its inverse.
func (a Address) toGRPC() grpcresolver.Address {
	r := rank{priority: a.Priority, weight: a.Weight}
	a.Priority, a.Weight = 0, 0
	return grpcresolver.Address{
		Addr: a.String(),
		// The name is the :authority of requests. Without its port it is also the
		// name that grpc's TLS credentials verify.
		ServerName: a.Authority(),
		Attributes: attributes.New(addressKey{}, a),
		//nolint:staticcheck // SA1019: the one place of an address that does not tell connections apart.
		BalancerAttributes: attributes.New(rankKey{}, r),
	}
}

// FromGRPC returns the Address that a Resolver reported to gRPC as a. It returns
// false if no Resolver of this package made the address.
func FromGRPC(a grpcresolver.Address) (Address, bool) {
	out, ok := FromAttributes(a.Attributes)
	if !ok {
		return Address{}, false
	}
	//nolint:staticcheck // SA1019: see toGRPC.
	if r, ok := a.BalancerAttributes.Value(rankKey{}).(rank); ok {
		out.Priority, out.Weight = r.priority, r.weight
	}
	return out, true
}

// FromAttributes returns the Address that attrs carry, with Priority and Weight
// 0. Dialers and TransportCredentials get these attributes from
// credentials.ClientHandshakeInfoFromContext. It returns false if attrs carry no
// Address of this package.
func FromAttributes(attrs *attributes.Attributes) (Address, bool) {
	a, ok := attrs.Value(addressKey{}).(Address)
	return a, ok
}
