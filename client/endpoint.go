package client

import (
	"context"
	"crypto/tls"
	"slices"
	"strings"
	"sync"

	"google.golang.org/grpc"

	"github.com/getcd/getcd/balancer"
	"github.com/getcd/getcd/resolver"
)

// dialEndpoint returns a connection to one member, for those calls of package maintenance
// that name an endpoint. It has the client's configuration and middleware, and a token of
// its own.
func (c *Client) dialEndpoint(_ context.Context, endpoint string) (grpc.ClientConnInterface, func() error, error) {
	cfg := c.cfg
	cfg.OneMember, cfg.Routing = true, balancer.Routing{}
	if cfg.Endpoints = []string{endpoint}; c.cfg.overGateway() {
		cfg.Endpoints[0] = viaGateway(endpoint, cfg.TLS)
	}
	known := c.conn.resolver.Addresses()
	// An address that Endpoints has returned does not say how it is secured.
	i := slices.IndexFunc(known, func(a resolver.Address) bool { return a.String() == endpoint })
	if i >= 0 && known[i].PlainByDNS && cfg.guardsSecret() {
		return nil, nil, errPlainByDNS
	}
	// Nor does it have the name by which NO_PROXY may know it.
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
		if known[i].Network == resolver.NetworkTCP && !strings.Contains(endpoint, "://") {
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
	if !c.single.add(conn) {
		conn.close()
		return nil, nil, ErrClosed
	}
	return cc, func() error { c.single.remove(conn); conn.close(); return nil }, nil
}

// endpointConns are a client's connections to single members. They end with the client.
type endpointConns struct {
	mu     sync.Mutex // a leaf
	closed bool
	conns  map[*Conn]struct{} // nil while there is none
}

// add adds a connection. It reports false if the client is closed.
func (e *endpointConns) add(c *Conn) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return false
	}
	if e.conns == nil {
		e.conns = make(map[*Conn]struct{})
	}
	e.conns[c] = struct{}{}
	return true
}

func (e *endpointConns) remove(c *Conn) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.conns, c)
}

// close closes them all.
func (e *endpointConns) close() {
	e.mu.Lock()
	conns := e.conns
	e.closed, e.conns = true, nil
	e.mu.Unlock()
	for c := range conns {
		c.close()
	}
}
