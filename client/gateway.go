package client

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/gateway"
	"github.com/getcd/getcd/internal/redact"
	"github.com/getcd/getcd/resolver"
)

// Endpoints of the JSON gateway take the place of gRPC's connection, resolver and policy:
// package gateway makes the attempts, Conn decides about them as ever.

// gateways adapts the addresses of package gateway, which are never resolved.
type gateways struct{ *gateway.Conn }

func (g gateways) SetEndpoints(endpoints []string) error {
	if err := allGateways(endpoints); err != nil {
		return err
	}
	return g.Conn.SetEndpoints(endpoints...)
}

func (gateways) Errors() []error               { return nil }
func (gateways) Addresses() []resolver.Address { return nil }
func (gateways) Resolutions() uint64           { return 0 }

// overGateway reports whether the endpoints ask for the JSON gateway.
func (c Config) overGateway() bool { return slices.ContainsFunc(c.Endpoints, gateway.IsEndpoint) }

func allGateways(endpoints []string) error {
	for _, e := range endpoints {
		if e != "" && !gateway.IsEndpoint(e) { // a stray comma leaves an empty one
			return fmt.Errorf("client: Config.Endpoints has gateways (gateway+http, gateway+https) and %q, which is spoken to over gRPC: a client uses one or the other", redact.Endpoint(e))
		}
	}
	return nil
}

// checkGateway returns what of c has no meaning over the JSON gateway.
func (c Config) checkGateway() error {
	bad := mistakes{allGateways(c.Endpoints)}
	for _, f := range []struct {
		name, instead string
		set           bool
	}{
		{"DialOptions", "they are gRPC's", len(c.DialOptions) > 0},
		{"Routing", "all requests go to one endpoint until that fails", c.Routing.SpreadReads || c.Routing.WritesToLeader || c.Routing.Prefer != nil},
		{"Trace", "it shows what gRPC's connections carry", c.Trace != nil},
		{"ClusterID", "who is behind it is told by the answer alone", c.ClusterID != 0},
		{"HeartbeatInterval", "there is no connection to be asked for a sign of life", c.HeartbeatInterval > 0},
	} {
		if f.set {
			bad.add("%s has no meaning with a gateway as the endpoint: %s", f.name, f.instead)
		}
	}
	if c.TLS != nil {
		for _, e := range c.Endpoints {
			if len(e) > len(plainGateway) && strings.EqualFold(e[:len(plainGateway)], plainGateway) {
				bad.add("TLS is set, and the endpoint %q is plain: write gateway+https", redact.Endpoint(e))
			}
		}
	}
	return errors.Join(bad...)
}

const plainGateway = "gateway+http://"

// newGateway makes the transport of c, for a Config that asks for it.
func (c *Conn) newGateway(cfg Config) error {
	if err := cfg.checkGateway(); err != nil {
		return err
	}
	secure, renew := cfg.TLS, (func(*tls.Config) *tls.Config)(nil)
	if cfg.certificates != nil {
		secure, renew = cfg.certificates.renewer(secure)
	}
	g, err := gateway.New(cfg.Endpoints, gateway.Options{
		TLS:                secure,
		RenewTLS:           renew,
		MaxCallSendMsgSize: cfg.MaxCallSendMsgSize,
		MaxCallRecvMsgSize: cfg.MaxCallRecvMsgSize,
		PingInterval:       cfg.DialKeepAliveTime,
		PingTimeout:        cfg.DialKeepAliveTimeout,
		Patience:           cfg.WritePatience,
		ConnectTimeout:     cfg.ConnectTimeout,
		NoProxy:            cfg.NoProxy,
		Headers:            cfg.Headers,
		KeepOrder:          cfg.Resolver.KeepOrder,
		Changed:            c.table.Report,
	})
	if err != nil {
		return err
	}
	c.cc, c.resolver = g, gateways{g}
	return nil
}

// answers waits until a gateway answers, whatever it is: there is no connection to wait for.
func (c *Conn) answers(t *try) error {
	err := c.Invoke(t.ctx, pb.Maintenance_Status_FullMethodName, &pb.StatusRequest{}, &pb.StatusResponse{})
	if err == nil || etcdsOwn(err) {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		t.attempts, err = e.Attempts, e.Err
	}
	return t.refused(err)
}

// viaGateway is the URI of a member that is known by one for gRPC, such as the URL that a
// member list has.
func viaGateway(endpoint string, secure *tls.Config) string {
	switch {
	case gateway.IsEndpoint(endpoint):
		return endpoint
	case strings.Contains(endpoint, "://"):
		return "gateway+" + endpoint
	case secure != nil:
		return "gateway+https://" + endpoint
	}
	return plainGateway + endpoint
}
