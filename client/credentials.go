package client

import (
	"context"
	"crypto/tls"
	"errors"
	"net"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/getcd/getcd/internal/handshake"
	"github.com/getcd/getcd/internal/policy"
	"github.com/getcd/getcd/resolver"
)

// transport secures each connection as its address requires. Whether to use TLS, and for
// which server name, is known only when the endpoint is resolved.
type transport struct {
	tls, plain credentials.TransportCredentials
	base       *tls.Config
	files      *certificates // nil means that tls is complete
	serverName string        // for all addresses; empty means that each has its own
	identity   *handshake.Identity
	secret     bool // a password or token is sent, so DNS alone must not choose plain
}

// errPlainByDNS is why a connection is refused that is plain only because of a DNS answer,
// which may be forged.
var errPlainByDNS = errors.New("client: the user's password or token, or Config.Headers, would be sent in the clear, because DNS has no records of _etcd-client-ssl; " +
	"set Config.TLS, or name the plain endpoints in Config.Endpoints, or allow it with Config.InsecureDiscovery")

func newTransport(tlsConfig *tls.Config, cfg Config) credentials.TransportCredentials {
	own := &handshake.Identity{}
	return transport{
		tls: credentials.NewTLS(own.Watch(tlsConfig)), plain: insecure.NewCredentials(),
		base: tlsConfig, files: cfg.certificates,
		serverName: tlsConfig.ServerName, identity: own, secret: cfg.guardsSecret(),
	}
}

// guardsSecret reports whether the client sends a secret that must not go over a plain
// connection that only DNS chose.
func (c Config) guardsSecret() bool {
	return !c.InsecureDiscovery && (c.identified() || len(c.Headers) > 0)
}

// identified reports whether the client sends a user's token.
func (c Config) identified() bool {
	return c.Username != "" || c.Token != "" || c.Credentials != nil || c.TokenSource != nil
}

func (t transport) ClientHandshake(ctx context.Context, authority string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	// Only an address that the resolver made can be plain.
	attrs := credentials.ClientHandshakeInfoFromContext(ctx).Attributes
	conn = policy.Tap(attrs, conn)
	a, ok := resolver.FromAttributes(attrs)
	if ok && a.PlainByDNS && t.secret {
		return nil, nil, errPlainByDNS
	}
	if ok && !a.TLS {
		return t.plain.ClientHandshake(ctx, authority, &plainConn{Conn: conn})
	}
	if ok && a.Network == resolver.NetworkUnix && authority == a.Authority() {
		authority = a.ServerName // that of requests is the same for all sockets
	}
	if t.serverName != "" {
		authority = t.serverName // grpc prefers the address's
	}
	creds := t.tls
	if t.files != nil {
		now, _ := t.files.config(t.base)
		creds = credentials.NewTLS(t.identity.Watch(now))
	}
	secure, info, err := creds.ClientHandshake(ctx, authority, conn)
	if err != nil {
		if handshake.IsAlert(err) { // TLS 1.2, or the client's first message
			return nil, nil, t.identity.Explain(err)
		}
		return nil, nil, handshake.WithoutTLS(err)
	}
	return &newborn{Conn: secure, identity: t.identity}, info, nil
}

func (t transport) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return t.tls.ServerHandshake(conn)
}

func (t transport) Info() credentials.ProtocolInfo { return t.tls.Info() }

func (t transport) Clone() credentials.TransportCredentials {
	t.tls, t.plain = t.tls.Clone(), t.plain.Clone()
	return t
}

// OverrideServerName is deprecated. gRPC does not call it.
func (t transport) OverrideServerName(name string) error {
	return t.tls.OverrideServerName(name) //nolint:staticcheck // SA1019: the interface asks for it
}
