package client

import (
	"context"
	"crypto/tls"
	"slices"
	"strings"

	"google.golang.org/grpc"

	"github.com/getcd/getcd/balancer"
	"github.com/getcd/getcd/resolver"
)

// dialEndpoint returns a connection to one member, for the calls of package
// maintenance that name one. It has the client's configuration, its middleware too, and
// a token of its own.
func (c *Client) dialEndpoint(_ context.Context, endpoint string) (grpc.ClientConnInterface, func() error, error) {
	cfg := c.cfg
	cfg.OneMember, cfg.Routing = true, balancer.Routing{}
	if cfg.Endpoints = []string{endpoint}; c.cfg.overGateway() {
		cfg.Endpoints[0] = viaGateway(endpoint, cfg.TLS)
	}
	known := c.conn.resolver.Addresses()
	// An endpoint as Endpoints tells it does not say how it is secured.
	i := slices.IndexFunc(known, func(a resolver.Address) bool { return a.String() == endpoint })
	if i >= 0 && known[i].PlainByDNS && cfg.guardsSecret() {
		return nil, nil, errPlainByDNS
	}
	// Nor by which name NO_PROXY may know it.
	cfg.NoProxy = cfg.NoProxy || i >= 0 && c.conn.dialer.through(known[i]) == nil
	if i >= 0 && !known[i].TLS {
		cfg.TLS, cfg.TLSFiles, cfg.certificates = nil, TLSFiles{}, nil // DNS made it plain
	}
	if i >= 0 && known[i].TLS {
		if cfg.TLS == nil {
			cfg.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		if cfg.TLS.ServerName == "" {
			cfg.TLS = cfg.TLS.Clone()
			cfg.TLS.ServerName = known[i].ServerName
		}
		if !strings.Contains(endpoint, "://") {
			cfg.Endpoints = []string{"https://" + endpoint}
		}
	}
	if err := cfg.validate(); err != nil {
		return nil, nil, err
	}
	cfg = cfg.withDefaults()
	conn, err := newConn(cfg)
	if err != nil {
		return nil, nil, err
	}
	cc, err := cfg.wrap(conn)
	if err != nil {
		conn.close()
		return nil, nil, err
	}
	return cc, func() error { conn.close(); return nil }, nil
}
