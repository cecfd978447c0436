package client

import (
	"context"
	"crypto/tls"
	"errors"
	"net"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/getcd/getcd/balancer"
	"github.com/getcd/getcd/resolver"
)

// transport secures each connection as its address asks for: whether with TLS
// and for which server name is known only when the endpoint is resolved.
type transport struct {
	tls, plain credentials.TransportCredentials
	serverName string // for all addresses; empty: each has its own
	identity   *identity
	secret     bool // a password or token is sent, which DNS alone can't make plain
}

// errPlainByDNS is why a connection is refused that a forged answer of DNS may have
// made plain.
var errPlainByDNS = errors.New("client: the user's password or token would be sent in the clear, because DNS has no records of _etcd-client-ssl; " +
	"set Config.TLS, or name the plain endpoints in Config.Endpoints, or allow it with Config.InsecureDiscovery")

func newTransport(tlsConfig *tls.Config, cfg Config) credentials.TransportCredentials {
	own := &identity{}
	return transport{
		tls: credentials.NewTLS(own.watch(tlsConfig)), plain: insecure.NewCredentials(),
		serverName: tlsConfig.ServerName, identity: own, secret: cfg.guardsSecret(),
	}
}

// guardsSecret reports whether there is something to send that must not be sent on a
// plain connection that only DNS chose.
func (c Config) guardsSecret() bool {
	return !c.InsecureDiscovery && (c.Username != "" || c.Token != "")
}

func (t transport) ClientHandshake(ctx context.Context, authority string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	// An address that is not of the resolver's making is not trusted to be
	// plain.
	attrs := credentials.ClientHandshakeInfoFromContext(ctx).Attributes
	conn = balancer.Tap(attrs, conn)
	a, ok := resolver.FromAttributes(attrs)
	if ok && a.PlainByDNS && t.secret {
		return nil, nil, errPlainByDNS
	}
	if ok && !a.TLS {
		return t.plain.ClientHandshake(ctx, authority, conn)
	}
	if t.serverName != "" {
		authority = t.serverName // grpc prefers the address's
	}
	secure, info, err := t.tls.ClientHandshake(ctx, authority, conn)
	if err != nil {
		if isAlert(err) { // TLS 1.2, or the client's first message
			err = t.identity.explain(err)
		}
		return nil, nil, err
	}
	return &newborn{Conn: secure, identity: t.identity}, info, nil
}

func (t transport) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return t.tls.ServerHandshake(conn)
}

func (t transport) Info() credentials.ProtocolInfo { return t.tls.Info() }

func (t transport) Clone() credentials.TransportCredentials {
	return transport{tls: t.tls.Clone(), plain: t.plain.Clone(), serverName: t.serverName, identity: t.identity, secret: t.secret}
}

// OverrideServerName is deprecated in grpc, which does not call it.
func (t transport) OverrideServerName(name string) error {
	return t.tls.OverrideServerName(name) //nolint:staticcheck // SA1019: the interface asks for it
}
