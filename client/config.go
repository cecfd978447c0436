package client

import (
	"context"
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
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/resolver"
	"github.com/getcd/getcd/wire"
)

// Config says how to reach a cluster. Only Endpoints must be set. Fields that
// clientv3 has, and that mean the same, have clientv3's names.
type Config struct {
	// Endpoints are the URIs by which the members are found: "host:port",
	// "http://host:port", "https://host:port", "unix:///path", "unixs:///path",
	// "dns://[server[:port]]/host[:port]", "dns+srv://[server[:port]]/name", or
	// of a scheme in Resolver.Registry. Package resolver has the details. An empty host
	// means this machine, and empty endpoints are skipped. One endpoint that stands for
	// all members, such as "dns+srv:///example.com", is enough; several are merged. One
	// string may have several addresses: "a:2379,b:2379", "ip:///a:2379,b:2379".
	//
	// "gateway+http://host:port[/path]" and "gateway+https://…" are etcd's JSON gateway,
	// for networks where only HTTP passes (package gateway). They can't be mixed with
	// other endpoints. New returns an error if DialOptions, Routing, ClusterID or
	// HeartbeatInterval is set with them, since those are gRPC's.
	Endpoints []string

	// AutoSyncInterval is how often the endpoints are replaced by the members' own client
	// URLs (Sync), beginning when the client has connected. While the members can't be
	// asked, the client uses Endpoints and the last URLs in turns. 0 means never. With "dns+srv" endpoints the
	// zone says who the members are, and there is no need for it.
	AutoSyncInterval time.Duration

	// TLS is the configuration of the connections. nil means the system's defaults for
	// endpoints that require TLS ("https", or SRV records of _etcd-client-ssl), and plain
	// connections for the others. If TLS is set, no connection is plain, unless
	// InsecureDiscovery allows it. With Certificates or GetClientCertificate, TLS is
	// mutual. ServerName, if set, is the name in every member's certificate; otherwise
	// each endpoint has its own. TLS must not be changed after New.
	TLS *tls.Config

	// TLSFiles are files with certificates, which are read again for each new connection.
	// They complete TLS. If TLS is nil they switch TLS on.
	TLSFiles TLSFiles

	certificates *certificates // of TLSFiles; New's

	// Username and Password authenticate the client, again whenever its token expires.
	// Empty means no authentication. While authentication is disabled in the cluster, they
	// are not used. When the server refuses them, calls fail; Credentials is for a password
	// that changes.
	Username string
	Password string
	// Credentials returns the user and the password, instead of Username and Password. It
	// is asked at each login: before the first call, when the server no longer takes the
	// token, which it does not after the password was changed, and once more when the
	// server refuses the pair. There is one login at a time for all calls of the client,
	// and one for each call of Maintenance that names an endpoint, so it must be safe for
	// concurrent use.
	//
	// Until a login has succeeded, an error of Credentials, or a pair that the server
	// refuses, fails the calls that wait for the login. After that the client takes it for
	// a pair that is being changed: it logs the error, and asks again after pauses that grow
	// from 0.1 s to 5 s, while calls wait. Their errors, when their contexts end, have the
	// login's. So a watch or a kept lease outlives a rotation, whichever side is first.
	//
	// ctx ends with the client, and after DialTimeout, which the login shares. Close waits
	// for Credentials to return. It must not use the client.
	Credentials func(ctx context.Context) (user, password string, err error)

	// Token is a JWT that is sent instead of a user and password, and that somebody else
	// renews. When the server refuses it, calls fail; TokenSource is for one that changes.
	Token string
	// TokenSource returns the JWT, instead of Token. It is asked before the first call, and
	// when the server has refused the last token, up to three times for one call. The rest
	// is as with Credentials.
	TokenSource func(ctx context.Context) (token string, err error)

	// InsecureDiscovery allows Username, Password, Token and Headers to be sent on plain
	// connections that only DNS chose: "dns+srv:///example.com" without TLS, where
	// DNS, which nobody authenticates, has no records of _etcd-client-ssl. Without
	// it such connections are refused when there is a user, a token or Headers. It also allows
	// DNS to choose plain connections when TLS is set, as etcdctl does. A plain
	// connection that the configuration asks for ("http://", "host:port",
	// "dns:///name", "dns+srv:///_etcd-client._tcp.example.com") needs no permission.
	InsecureDiscovery bool

	// NoProxy connects to the members directly. Without it they are reached as gRPC
	// reaches them: through the proxy that the environment's HTTPS_PROXY names
	// (CONNECT; http:// or https://), with TLS and without, except for the hosts in
	// NO_PROXY and this machine itself. HTTP_PROXY is ignored. The proxy gets names as
	// they are, except those that are looked up with the DNS server that an endpoint
	// names. A dialer in DialOptions, or grpc.WithNoProxy there, also means no proxy. New
	// reads the environment. For gateway+http:// the proxy is HTTP_PROXY's, which then sees
	// the requests, as with any HTTP.
	NoProxy bool

	// Headers are added to every request of the client: calls, watches, lease renewals and
	// its own probes. They are for what lies between the client and the members, such as a
	// proxy that routes by a header. Names are not case-sensitive. Values are printable
	// ASCII. New returns an error for headers that are gRPC's or the client's own. To send a
	// header with some calls only, use metadata.AppendToOutgoingContext.
	Headers map[string]string

	// Namespace is put before all keys: the client sees only the keys that begin with it,
	// without it. It is the same as namespace.Of(Namespace) at the end of Middleware, so the
	// rest of the middleware sees keys without it. Empty means all keys.
	Namespace string

	// CallTimeout limits each call whose context has no deadline. When it is over, the call
	// returns an error for which errors.Is finds context.DeadlineExceeded; that of a write
	// that was sent is ambiguous. It does not limit streams (watches, renewals, Parts,
	// Snapshot), nor calls that may take long by their nature (Lock, Campaign, Compact,
	// Defragment, HashKV). 0 means no limit: such a call waits until a member serves it.
	CallTimeout time.Duration

	// FailFast makes calls return at once, with an error that names each endpoint, while no
	// endpoint can be reached: each was tried, and none is connected. Without it calls wait
	// for a member until their context ends. grpc.WaitForReady says the same of a single
	// call or service, such as kv.New(c.Conn(), grpc.WaitForReady(false)), and counts more.
	// A call that has found a connection is not affected. Watches and renewals always wait.
	FailFast bool

	// ConnectTimeout limits one attempt to connect: TCP, TLS and HTTP/2's settings. The
	// client tries another endpoint beside it after 250 ms while none is connected. 0 means
	// 5 s, which leaves time for a lost SYN to be sent again twice.
	ConnectTimeout time.Duration

	// DialTimeout is how long one authentication may take, over all members. 0 means
	// 10 s. It does not bound connecting: the client connects by itself, for as long as it is
	// open (ConnectTimeout limits one attempt). To wait for a connection, use WaitReady.
	DialTimeout time.Duration

	// DialKeepAliveTime is how long a connection with requests in flight may be silent
	// before it is pinged (HTTP/2 PING). Before that the client sends a health check, and
	// pings only if it is not answered, so that servers that allow fewer pings do not end
	// the connection. 0 means 10 s, which is also gRPC's minimum. A negative value means
	// never.
	DialKeepAliveTime time.Duration
	// DialKeepAliveTimeout is how long the answer to a ping may take before the
	// connection is given up; it is also how long data that was sent may stay
	// unacknowledged (TCP_USER_TIMEOUT), where the system can do that. 0 means
	// 3 s.
	DialKeepAliveTimeout time.Duration
	// PermitWithoutStream pings connections without requests too. Servers forbid that by
	// default: etcd ends such connections.
	PermitWithoutStream bool

	// MaxCallSendMsgSize is the largest request in bytes; 0 means 2 MiB. The
	// server's own limit is --max-request-bytes, 1.5 MiB unless set.
	MaxCallSendMsgSize int
	// MaxCallRecvMsgSize is the largest response in bytes; 0 means
	// math.MaxInt32. It must not be less than MaxCallSendMsgSize.
	MaxCallRecvMsgSize int

	// WritePatience is for how long the client waits for a write on a member that has
	// fallen silent or can't serve, while another one serves. The time counts from when
	// the write was sent or, if bytes have moved on the connection since, from the last of
	// them. Then the client gives the write up, and its error is ambiguous. 0 means 2 s.
	// It does not limit writes to members that serve, nor reads, which leave a member at
	// once.
	WritePatience time.Duration
	// HeartbeatInterval is for how long a connection with a watch, a lock or another long
	// call may carry nothing, before the client sends a small linearizable read on it. A
	// client that only waits notices about that long afterward that a member has fallen
	// silent or lost its peers. With Routing.WritesToLeader it is also how often an idle
	// client asks who leads. 0 means 1 s; a negative value means never.
	HeartbeatInterval time.Duration

	// ClusterID is the ID of the cluster that the client is for, as response headers
	// have it. Members of other clusters are not used; what is known of them
	// (Client.Endpoints, and errors) has a *ClusterError. 0 means the cluster of the
	// first member that answers.
	ClusterID uint64
	// AllowClusterChange lets the client use members of any cluster, for a cluster that
	// may be replaced by another one under the same name. It excludes ClusterID.
	AllowClusterChange bool

	// OneMember says that the endpoints lead to one address of one member. The client then
	// connects to it once, and does not ask who it is. Otherwise it connects to a single
	// address twice, since the address may lead to many members. With several endpoints New
	// returns an error, and without a gateway SetEndpoints and Sync do.
	OneMember bool

	// Routing decides which member gets which request. The zero value sends all requests
	// to one member until that fails, and then to the next.
	Routing balancer.Routing

	// Middleware lies between the services and the connection. The first function is
	// the outermost: it wraps what the others have made, and Client.Conn returns its
	// connection. All services of the client use that connection, and so does whatever
	// a program makes on Client.Conn. New calls each function once. A call of Maintenance
	// that names an endpoint makes a connection to that member, and calls each function
	// again for it. If a function is nil or returns nil, New returns an error. Nil means
	// no middleware.
	Middleware []Middleware

	// Observers are told of each call, and of each attempt that the client makes for it.
	// None may be nil. Nil means no observers, which costs nothing.
	Observers []Observer

	// Logger gets a record for each change of a connection, and none for calls. Nil means
	// no log. The handler runs on a goroutine of its own, for one record at a time. It may
	// block or call the client; that delays only the log. When 1,024 records wait for it,
	// further ones are dropped, and a record says how many. Close waits at most 1 s for
	// the last ones. A handler that blocks for longer keeps its goroutine.
	Logger *slog.Logger

	// Trace shows what the connections carry, byte by byte, with its meaning (wire.New).
	// Nil means no trace, which costs nothing.
	Trace *wire.Tracer

	// Resolver says how to find addresses, and has the Registry to which schemes can be
	// added. The zero value works.
	Resolver resolver.Options

	// DialOptions are passed to grpc.NewClient too. None may be nil. New returns an error
	// for transport credentials, and for a resolver for the client's own scheme. A service
	// config, with its timeouts and retries, and an idle timeout have no effect, since the
	// client has its own. A dialer, keepalive parameters and default call options replace
	// the client's.
	//
	// Interceptors must pass on their context, or one derived from it, and return errors
	// unchanged. They must not send a request twice. If one drops the context's values,
	// requests lack their token, and the client can't know whether a request that failed
	// was sent, so every failed write is ambiguous.
	DialOptions []grpc.DialOption
}

const (
	defaultConnectTimeout   = 5 * time.Second
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
	var bad mistakes
	if len(c.Endpoints) == 0 {
		bad.add(`Endpoints is empty: name at least one, such as "dns+srv:///example.com" or "127.0.0.1:2379"`)
	}
	var identities []string
	for _, id := range []struct {
		field string
		set   bool
	}{{"Username", c.Username != ""}, {"Credentials", c.Credentials != nil}, {"Token", c.Token != ""}, {"TokenSource", c.TokenSource != nil}} {
		if id.set {
			identities = append(identities, id.field)
		}
	}
	switch {
	case len(identities) > 1:
		bad.add("%s are set: a client has one of them", strings.Join(identities, " and Config."))
	case c.Password != "" && c.Username == "":
		bad.add("Password is set without Config.Username")
	case c.Username != "" && c.Password == "":
		bad.add("Username is %q without Config.Password: etcd refuses empty passwords; for a user without a password use a client certificate and leave Username empty", c.Username)
	}
	if i := unprintable(c.Token); i >= 0 {
		bad.add("Token has an unprintable character at index %d, a line break perhaps: it can't be sent", i)
	}
	if c.PermitWithoutStream && c.DialKeepAliveTime < 0 {
		bad.add("PermitWithoutStream is set while Config.DialKeepAliveTime is %v, which means never to ping", c.DialKeepAliveTime)
	}
	bad = append(bad, headers(c.Headers).validate(c.identified() && c.overGateway())...)
	if c.AutoSyncInterval < 0 {
		bad.add("AutoSyncInterval is %v: must be positive, or 0 for never", c.AutoSyncInterval)
	}
	if c.CallTimeout < 0 {
		bad.add("CallTimeout is %v: must be positive, or 0 for no limit", c.CallTimeout)
	}
	if c.ConnectTimeout < 0 {
		bad.add("ConnectTimeout is %v: must be positive, or 0 for %v", c.ConnectTimeout, defaultConnectTimeout)
	}
	if c.DialTimeout < 0 {
		bad.add("DialTimeout is %v: must be positive, or 0 for %v", c.DialTimeout, defaultDialTimeout)
	}
	if c.DialKeepAliveTime > 0 && c.DialKeepAliveTime < leastKeepAliveTime {
		bad.add("DialKeepAliveTime is %v: gRPC's least is %v; 0 means %v, a negative value means never", c.DialKeepAliveTime, leastKeepAliveTime, defaultKeepAliveTime)
	}
	if c.DialKeepAliveTimeout < 0 {
		bad.add("DialKeepAliveTimeout is %v: must be positive, or 0 for %v", c.DialKeepAliveTimeout, defaultKeepAliveTimeout)
	}
	if c.WritePatience < 0 {
		bad.add("WritePatience is %v: must be positive, or 0 for %v", c.WritePatience, policy.DefaultPatience)
	}
	if c.ClusterID != 0 && c.AllowClusterChange {
		bad.add("ClusterID is %x while Config.AllowClusterChange is set: one allows a single cluster, the other any", c.ClusterID)
	}
	if c.OneMember && len(c.Endpoints) > 1 {
		bad.add("OneMember is set with %d endpoints: there must be one", len(c.Endpoints))
	}
	if c.MaxCallSendMsgSize < 0 {
		bad.add("MaxCallSendMsgSize is %d: must be positive, or 0 for %d", c.MaxCallSendMsgSize, defaultMaxSend)
	}
	if c.MaxCallRecvMsgSize < 0 || c.MaxCallRecvMsgSize > math.MaxInt32 {
		bad.add("MaxCallRecvMsgSize is %d: must be from 1 to %d, or 0 for %d", c.MaxCallRecvMsgSize, math.MaxInt32, defaultMaxRecv)
	}
	if d := c.withDefaults(); len(bad) == 0 && d.MaxCallRecvMsgSize < d.MaxCallSendMsgSize {
		bad.add("MaxCallRecvMsgSize is %d, less than MaxCallSendMsgSize of %d: what can be put could not be got", d.MaxCallRecvMsgSize, d.MaxCallSendMsgSize)
	}
	for i, o := range c.DialOptions {
		if o == nil {
			bad.add("DialOptions[%d] is nil: leave it out", i)
		}
	}
	for i, m := range c.Middleware {
		if m == nil {
			bad.add("Middleware[%d] is nil: leave it out", i)
		}
	}
	for i, o := range c.Observers {
		if o == nil {
			bad.add("Observers[%d] is nil: leave it out", i)
		}
	}
	if (c.TLSFiles.Cert == "") != (c.TLSFiles.Key == "") {
		bad.add("TLSFiles has Cert %q and Key %q: give both, or none", c.TLSFiles.Cert, c.TLSFiles.Key)
	}
	if c.TLSFiles.Cert != "" && c.TLS != nil && (len(c.TLS.Certificates) > 0 || c.TLS.GetClientCertificate != nil) {
		bad.add("TLSFiles.Cert and Config.TLS both have a client's certificate: leave out one")
	}
	if c.TLSFiles.CA != "" && c.TLS != nil && c.TLS.RootCAs != nil {
		bad.add("TLSFiles.CA and Config.TLS.RootCAs are both set: leave out one")
	}
	if c.TLS != nil && len(c.TLS.NextProtos) > 0 {
		bad.add("TLS.NextProtos is %q: leave it empty, gRPC sets it", c.TLS.NextProtos)
	}
	return errors.Join(bad...)
}

// mistakes are those of a Config.
type mistakes []error

// add is not inlined, since each of its many calls would be some 200 bytes of machine code.
//
//go:noinline
func (m *mistakes) add(format string, args ...any) {
	*m = append(*m, fmt.Errorf("client: Config."+format, args...))
}

// withDefaults returns c with its zero values replaced by what they mean.
func (c Config) withDefaults() Config {
	setDefault(&c.ConnectTimeout, defaultConnectTimeout)
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

// parts returns the options of the client's kv.Streamer, whose own limit is not for more than
// the user's.
func (c Config) parts() []grpc.CallOption {
	if c.MaxCallRecvMsgSize < kv.MaxPartSize {
		return []grpc.CallOption{grpc.MaxCallRecvMsgSize(c.MaxCallRecvMsgSize)}
	}
	return nil
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
