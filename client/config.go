package client

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"time"

	"google.golang.org/grpc"

	"github.com/getcd/getcd/balancer"
	"github.com/getcd/getcd/internal/policy"
	"github.com/getcd/getcd/resolver"
	"github.com/getcd/getcd/wire"
)

// Config says how to reach a cluster. Only Endpoints must be set. Fields that
// clientv3 has, and that mean the same, have clientv3's names.
type Config struct {
	// Endpoints are the URIs by which the members are found: "host:port",
	// "http://host:port", "https://host:port", "unix:///path", "unixs:///path",
	// "dns://[server[:port]]/host[:port]", "dns+srv://[server[:port]]/name", or
	// of a scheme that Resolver.Registry has; package resolver has the details. Without
	// a host it is this one; empty endpoints are passed over. One that stands for all members,
	// such as "dns+srv:///example.com", is enough; several are merged.
	//
	// "gateway+http://host:port[/path]" and "gateway+https://…" are etcd's JSON gateway,
	// for where only HTTP passes (package gateway). They can't be mixed with others, and
	// DialOptions, Routing, ClusterID and HeartbeatInterval are gRPC's: to set one with them
	// is an error of New.
	Endpoints []string

	// TLS is how to secure the connections; nil means system defaults for
	// endpoints that ask for TLS by themselves ("https", or SRV records of
	// _etcd-client-ssl), and plain connections otherwise. When set, no
	// connection is plain, unless InsecureDiscovery says so. With Certificates or GetClientCertificate set, TLS is
	// mutual. ServerName, when set, is expected of every member; otherwise each
	// endpoint has its own. It must not be changed after New.
	TLS *tls.Config

	// TLSFiles are files to take certificates from, again for each new connection. They
	// complete TLS, and mean TLS when that is nil.
	TLSFiles TLSFiles

	certificates *certificates // of TLSFiles; New's

	// Username and Password authenticate the client, anew whenever its token
	// expires. Empty means without. When the server has authentication switched
	// off, they are not used until it is switched on.
	Username string
	Password string
	// Token is sent in place of a user and password: a JWT that somebody else
	// renews. Once refused it fails the calls that it comes with.
	Token string

	// InsecureDiscovery allows Username, Password and Token to be sent on plain
	// connections that only DNS chose: "dns+srv:///example.com" without TLS, where
	// DNS, which nobody authenticates, has no records of _etcd-client-ssl. Without
	// it such connections are refused when there is a user or a token. It also allows
	// DNS to choose plain connections when TLS is set, as etcdctl does. A plain
	// connection that the configuration asks for ("http://", "host:port",
	// "dns:///name", "dns+srv:///_etcd-client._tcp.example.com") needs no leave.
	InsecureDiscovery bool

	// NoProxy connects to the members directly. Without it they are reached as gRPC
	// reaches them: through the proxy that the environment's HTTPS_PROXY names
	// (CONNECT; http:// or https://), with TLS and without, but for what NO_PROXY names
	// and for this machine itself; HTTP_PROXY alone is of no account. Names are told to
	// the proxy, and not looked up, but for the DNS server that an endpoint names. A
	// dialer in DialOptions, or grpc.WithNoProxy there, means no proxy either. The
	// environment is read by New.
	NoProxy bool

	// DialTimeout is how long one authentication may take, all members taken
	// together. 0 means 10 s. Connections are made by the client itself, within
	// limits of its own, for as long as it is open; to wait for one, use
	// WaitReady.
	DialTimeout time.Duration

	// DialKeepAliveTime is how long a connection with requests under way may be
	// silent before it is pinged (HTTP/2 PING). So that servers that allow fewer pings
	// have no reason to end it, a connection is asked for its health before, and a ping
	// goes to those alone that do not answer. 0 means 10 s, which is also gRPC's least;
	// a negative value means never.
	DialKeepAliveTime time.Duration
	// DialKeepAliveTimeout is how long the answer to a ping may take before the
	// connection is given up; it is also how long data that was sent may stay
	// unacknowledged (TCP_USER_TIMEOUT), where the system can do that. 0 means
	// 3 s.
	DialKeepAliveTimeout time.Duration
	// PermitWithoutStream pings connections without requests as well. Servers
	// refuse it unless they are told otherwise: etcd ends such connections.
	PermitWithoutStream bool

	// MaxCallSendMsgSize is the largest request in bytes; 0 means 2 MiB. The
	// server's own limit is --max-request-bytes, 1.5 MiB unless set.
	MaxCallSendMsgSize int
	// MaxCallRecvMsgSize is the largest response in bytes; 0 means
	// math.MaxInt32. It must not be less than MaxCallSendMsgSize.
	MaxCallRecvMsgSize int

	// WritePatience is for how long a write is waited for on a member that has fallen
	// silent, or can't serve, while another one serves. It is counted from when the
	// write was sent or, while bytes move on the connection, from the last of them.
	// Then the write is given up, and its error is ambiguous. 0 means 2 s. It is no
	// limit for writes to members that serve, nor for reads, which leave a member at
	// once.
	WritePatience time.Duration
	// HeartbeatInterval is for how long a connection may carry nothing, while a watch, a
	// lock or something else waits on it, before its member is asked for a small
	// linearizable read. A client that only waits notices a member that has fallen
	// silent, or lost its peers, about that long afterwards. 0 means 1 s; a negative
	// value means never.
	HeartbeatInterval time.Duration

	// ClusterID is the ID of the cluster that the client is for, as response headers
	// have it. Members of other clusters are not used; what is known of them
	// (Client.Endpoints, and errors) has a *ClusterError. 0 means the cluster of the
	// first member that answers.
	ClusterID uint64
	// AllowClusterChange lets the client use members of any cluster, as when all of it
	// is replaced by another under the same name. It excludes ClusterID.
	AllowClusterChange bool

	// OneMember says that the endpoints lead to one address, and that it is one
	// member's: it is connected to once, and not asked who it is. Otherwise a single
	// address is connected to twice, since it may be that of many members. With several
	// addresses it must not be set.
	OneMember bool

	// Routing says which member gets which request. The zero value sends all to
	// one member until that fails, and then to the next.
	Routing balancer.Routing

	// Middleware lies between the services and the connection. The first function is
	// the outermost: it wraps what the others have made, and Client.Conn returns its
	// connection. All services of the client use that connection, and so does whatever
	// a program makes on Client.Conn. New calls each function once. A call of Maintenance
	// that names an endpoint makes a connection to that member, and calls each function
	// again for it. If a function is nil or returns nil, New returns an error. Nil means
	// no middleware.
	Middleware []Middleware

	// Logger gets a record for each change of the connections: none for a call.
	// Nil means silence. The handler runs on a goroutine of its own, one record
	// after the other: it may block, or call the client, and holds up nothing but
	// the log. When 1,024 records wait for it, further ones are dropped, and
	// counted in a record. Close waits at most 1 s for the last ones; a handler
	// that blocks for longer keeps its goroutine.
	Logger *slog.Logger

	// Trace shows what the connections carry, byte by byte, with its meaning
	// (wire.New). Nil means that nothing is looked at, and costs nothing.
	Trace *wire.Tracer

	// Resolver has the finer points of finding addresses, and the Registry to
	// which schemes can be added. The zero value is good.
	Resolver resolver.Options

	// DialOptions are given to grpc.NewClient, too. None may be nil. Transport
	// credentials, and a resolver for the client's own scheme, are errors of New. A
	// service config, with the timeouts and retries in it, and an idle timeout have
	// no effect: the client has its own. A dialer, keepalive parameters and default
	// call options replace the client's.
	//
	// Interceptors must pass their context on, or one made of it, and the errors as
	// they are, and must not send a request twice. When one drops the context's
	// values, requests lack their token, and it can't be known whether a request
	// that failed was sent: every failed write is ambiguous.
	DialOptions []grpc.DialOption
}

const (
	defaultDialTimeout      = 10 * time.Second
	defaultKeepAliveTime    = 10 * time.Second
	defaultKeepAliveTimeout = 3 * time.Second
	defaultMaxSend          = 2 << 20
	defaultMaxRecv          = math.MaxInt32
	// leastKeepAliveTime is gRPC's: it raises what is less.
	leastKeepAliveTime = 10 * time.Second
)

// validate returns all that is wrong with c, each error naming the field, its
// value and what would be right.
func (c Config) validate() error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("client: Config."+format, args...))
	}
	if len(c.Endpoints) == 0 {
		bad(`Endpoints is empty: name at least one, such as "dns+srv:///example.com" or "127.0.0.1:2379"`)
	}
	switch {
	case c.Token != "" && c.Username != "":
		bad("Token and Config.Username are both set: a client has one or the other")
	case c.Password != "" && c.Username == "":
		bad("Password is set without Config.Username")
	case c.Username != "" && c.Password == "":
		bad("Username is %q without Config.Password: etcd refuses empty passwords; for a user without a password use a client certificate and leave Username empty", c.Username)
	}
	if i := strings.IndexFunc(c.Token, func(r rune) bool { return r < ' ' || r > '~' }); i >= 0 {
		bad("Token has an unprintable character at index %d, a line break perhaps: it can't be sent", i)
	}
	if c.PermitWithoutStream && c.DialKeepAliveTime < 0 {
		bad("PermitWithoutStream is set while Config.DialKeepAliveTime is %v, which means never to ping", c.DialKeepAliveTime)
	}
	if c.DialTimeout < 0 {
		bad("DialTimeout is %v: must be positive, or 0 for %v", c.DialTimeout, defaultDialTimeout)
	}
	if c.DialKeepAliveTime > 0 && c.DialKeepAliveTime < leastKeepAliveTime {
		bad("DialKeepAliveTime is %v: gRPC's least is %v; 0 means %v, a negative value means never", c.DialKeepAliveTime, leastKeepAliveTime, defaultKeepAliveTime)
	}
	if c.DialKeepAliveTimeout < 0 {
		bad("DialKeepAliveTimeout is %v: must be positive, or 0 for %v", c.DialKeepAliveTimeout, defaultKeepAliveTimeout)
	}
	if c.WritePatience < 0 {
		bad("WritePatience is %v: must be positive, or 0 for %v", c.WritePatience, policy.DefaultPatience)
	}
	if c.ClusterID != 0 && c.AllowClusterChange {
		bad("ClusterID is %x while Config.AllowClusterChange is set: one allows a single cluster, the other any", c.ClusterID)
	}
	if c.OneMember && len(c.Endpoints) > 1 {
		bad("OneMember is set with %d endpoints: there must be one", len(c.Endpoints))
	}
	if c.MaxCallSendMsgSize < 0 {
		bad("MaxCallSendMsgSize is %d: must be positive, or 0 for %d", c.MaxCallSendMsgSize, defaultMaxSend)
	}
	if c.MaxCallRecvMsgSize < 0 || c.MaxCallRecvMsgSize > math.MaxInt32 {
		bad("MaxCallRecvMsgSize is %d: must be from 1 to %d, or 0 for %d", c.MaxCallRecvMsgSize, math.MaxInt32, defaultMaxRecv)
	}
	if d := c.withDefaults(); len(errs) == 0 && d.MaxCallRecvMsgSize < d.MaxCallSendMsgSize {
		bad("MaxCallRecvMsgSize is %d, less than MaxCallSendMsgSize of %d: what can be put could not be got", d.MaxCallRecvMsgSize, d.MaxCallSendMsgSize)
	}
	for i, o := range c.DialOptions {
		if o == nil {
			bad("DialOptions[%d] is nil: leave it out", i)
		}
	}
	for i, m := range c.Middleware {
		if m == nil {
			bad("Middleware[%d] is nil: leave it out", i)
		}
	}
	if (c.TLSFiles.Cert == "") != (c.TLSFiles.Key == "") {
		bad("TLSFiles has Cert %q and Key %q: give both, or none", c.TLSFiles.Cert, c.TLSFiles.Key)
	}
	if c.TLSFiles.Cert != "" && c.TLS != nil && (len(c.TLS.Certificates) > 0 || c.TLS.GetClientCertificate != nil) {
		bad("TLSFiles.Cert and Config.TLS both have a client's certificate: leave out one")
	}
	if c.TLSFiles.CA != "" && c.TLS != nil && c.TLS.RootCAs != nil {
		bad("TLSFiles.CA and Config.TLS.RootCAs are both set: leave out one")
	}
	if c.TLS != nil && len(c.TLS.NextProtos) > 0 {
		bad("TLS.NextProtos is %q: leave it empty, gRPC sets it", c.TLS.NextProtos)
	}
	return errors.Join(errs...)
}

// withDefaults returns c with its zero values replaced by what they mean.
func (c Config) withDefaults() Config {
	setDefault(&c.DialTimeout, defaultDialTimeout)
	setDefault(&c.DialKeepAliveTime, defaultKeepAliveTime)
	setDefault(&c.DialKeepAliveTimeout, defaultKeepAliveTimeout)
	setDefault(&c.MaxCallSendMsgSize, defaultMaxSend)
	setDefault(&c.MaxCallRecvMsgSize, defaultMaxRecv)
	c.Logger = handOver(c.Logger)
	if c.TLS == nil && c.TLSFiles != (TLSFiles{}) {
		c.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return c
}

// policy returns what of c the policy has to know, which publishes to t.
func (c Config) policy(t *policy.Table) policy.Options {
	return policy.Options{
		Table: t, Logger: c.Logger, Routing: c.Routing, Pings: max(c.DialKeepAliveTime, 0),
		Patience: c.WritePatience, Pulse: c.HeartbeatInterval, Cluster: c.ClusterID, AnyCluster: c.AllowClusterChange, OneMember: c.OneMember,
	}
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
