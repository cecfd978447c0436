package resolver

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"

	"google.golang.org/grpc/attributes"
	grpcresolver "google.golang.org/grpc/resolver"
)

// DefaultPort is the port of an endpoint that names none: etcd's client port.
const DefaultPort = 2379

// The networks of an Address.
const (
	NetworkTCP  = "tcp"
	NetworkUnix = "unix"
)

// Address is one place where a member may be reached, and how.
type Address struct {
	// Network is NetworkTCP or NetworkUnix.
	Network string
	// Host is an IP address (without brackets) or a host name; for a Unix
	// domain socket it is the path.
	Host string
	// Port is the TCP port, never 0; for a Unix domain socket it is 0.
	Port uint16
	// ServerName is the name that the certificate must be valid for when TLS
	// is used.
	ServerName string
	// TLS tells whether the connection uses TLS.
	TLS bool
	// PlainByDNS tells that TLS is false because an answer of DNS said so, and
	// nothing that the user wrote: no secret should be sent there unasked.
	PlainByDNS bool
	// Priority and Weight are those of RFC 2782: the lowest priority is tried
	// first, and within one priority a greater weight is likelier to come
	// first. They are 0 for addresses that do not come from an SRV record.
	Priority, Weight uint16
	// Target is the target of the SRV record, without its trailing dot, whose A
	// or AAAA record gave Host. Addresses with the same Target and Port belong
	// to one member. It is empty for addresses that do not come from an SRV
	// record.
	Target string
}

// Authority returns the :authority of requests that are sent to a, as RFC 9113,
// section 8.3.1, wants it: the host and port of the endpoint, with brackets around
// an IPv6 address. The host is the name that TLS is checked for, which an address
// of an SRV record has from the queried domain: a proxy refuses requests for
// another host than the handshake was for (421, RFC 9110, section 15.5.20).
// For a Unix domain socket it is "localhost", as gRPC has it.
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

// String returns what is dialled and shown in errors: "host:port" with an IPv6
// address in brackets, "unix:///path", or "unix:path" for a relative path, as
// in gRPC's naming document (github.com/grpc/grpc/blob/master/doc/naming.md).
func (a Address) String() string {
	if a.Network == NetworkUnix {
		if filepath.IsAbs(a.Host) || strings.HasPrefix(a.Host, "/") {
			return "unix://" + a.Host
		}
		return "unix:" + a.Host
	}
	return net.JoinHostPort(a.Host, strconv.Itoa(int(a.Port)))
}

// validate reports what makes a useless for dialling.
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
		return fmt.Errorf("address %q: port 0 cannot be dialled", a.Host)
	}
	return nil
}

// addressKey holds an Address without its priority and weight in the Attributes
// of a gRPC address. gRPC passes the Attributes to the dialer and to the TLS
// handshake, and takes a difference in them for another address, which is why
// that which only matters for the order is kept elsewhere.
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
		// The name is the requests' :authority, and without its port it is the
		// name that grpc's TLS credentials check.
		ServerName: a.Authority(),
		Attributes: attributes.New(addressKey{}, a),
		//nolint:staticcheck // SA1019: the one place of an address that does not tell connections apart.
		BalancerAttributes: attributes.New(rankKey{}, r),
	}
}

// FromGRPC returns the Address that a Resolver reported to gRPC as a. It
// returns false for an address that no Resolver of this package made.
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
// left 0. Dialers and TransportCredentials get the attributes of the address
// that they serve from credentials.ClientHandshakeInfoFromContext. It returns
// false when attrs carry no Address of this package.
func FromAttributes(attrs *attributes.Attributes) (Address, bool) {
	a, ok := attrs.Value(addressKey{}).(Address)
	return a, ok
}
