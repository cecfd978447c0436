package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"math"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"golang.org/x/net/http/httpproxy"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/getcd/getcd/balancer"
	"github.com/getcd/getcd/internal/backoff"
	"github.com/getcd/getcd/internal/handshake"
)

// Options configure a Conn. The zero value works.
type Options struct {
	// TLS is the configuration of connections to https endpoints. Nil means the system's
	// defaults. It must not be changed afterward.
	TLS *tls.Config
	// RenewTLS, if not nil, is asked before each new connection, for one at a time, and gets
	// the configuration that is in use. It returns that if it is still right, and otherwise
	// another one, which connections have from then on. It must not block.
	RenewTLS func(have *tls.Config) *tls.Config
	// MaxCallSendMsgSize is the largest request, in bytes of its protobuf encoding. 0 means
	// 2 MiB.
	MaxCallSendMsgSize int
	// MaxCallRecvMsgSize is the largest response, in bytes of its protobuf encoding. 0 means
	// math.MaxInt32.
	MaxCallRecvMsgSize int
	// PingInterval is for how long an HTTP/2 connection may be silent before it is pinged.
	// PingTimeout is how long the answer may take before the connection is given up. 0
	// means 10 s and 3 s. A negative interval means never. HTTP/1.1 has no pings.
	PingInterval, PingTimeout time.Duration
	// ConnectTimeout limits connecting, and the TLS handshake after it. 0 means 5 s.
	ConnectTimeout time.Duration
	// NoProxy connects to the endpoints directly. Without it they are reached through the
	// proxy that the environment names for their schemes, in HTTPS_PROXY or HTTP_PROXY,
	// except for the hosts in NO_PROXY and this machine itself.
	NoProxy bool
	// Headers are added to every HTTP request, as they are. Nil means none.
	Headers map[string]string
	// Patience is for how long an endpoint may be silent, while a call waits on it, before it
	// is asked for a sign of life. If there is none within the same time, and a linearizable
	// read is served elsewhere, the call is given up. 0 means 2 s. It holds for calls of a
	// client.Client that should be answered soon.
	Patience time.Duration
	// KeepOrder tries the endpoints in their order. Without it the order is random, so that
	// many clients spread over the endpoints.
	KeepOrder bool
	// Changed, if not nil, is called whenever the state of the endpoints changes. It gets
	// their states in the order in which the endpoints are tried, and may keep the slice. It
	// must neither block nor call the Conn.
	Changed func([]balancer.Status)
}

// Conn carries RPCs over etcd's JSON gateway. It implements grpc.ClientConnInterface.
// It is safe for concurrent use.
type Conn struct {
	// Read-only after New.
	opts      Options
	transport *transports
	ctx       context.Context //nolint:containedctx // the lifecycle, from New to Close
	cancel    context.CancelFunc

	routes sync.Map // of *route, by method

	mu        sync.Mutex  // a leaf
	endpoints []*endpoint // guarded by mu; in the order in which to try them
	calls     sync.WaitGroup
}

var _ grpc.ClientConnInterface = (*Conn)(nil)

// New returns a connection to the gateways at endpoints, such as
// "gateway+https://10.0.0.1:2379" or "https://example.com/etcd"; the port is HTTP's when
// there is none. All must be gateways of one cluster. New connects to nobody. An error
// says what is wrong with the endpoints or options. Close must be called.
func New(endpoints []string, o Options) (*Conn, error) {
	switch {
	case o.MaxCallSendMsgSize < 0 || o.MaxCallRecvMsgSize < 0:
		return nil, errors.New("gateway: Options.MaxCallSendMsgSize and MaxCallRecvMsgSize must be positive, or 0")
	case o.PingTimeout < 0 || o.Patience < 0 || o.ConnectTimeout < 0:
		return nil, errors.New("gateway: Options.PingTimeout, Patience and ConnectTimeout must be positive, or 0 for 3 s, 2 s and 5 s")
	case o.TLS != nil && len(o.TLS.NextProtos) > 0:
		return nil, errors.New("gateway: Options.TLS.NextProtos must be empty: HTTP sets it")
	}
	setDefault(&o.MaxCallSendMsgSize, 2<<20)
	setDefault(&o.MaxCallRecvMsgSize, math.MaxInt32)
	setDefault(&o.PingInterval, 10*time.Second)
	setDefault(&o.PingTimeout, 3*time.Second)
	setDefault(&o.Patience, defaultPatience)
	setDefault(&o.ConnectTimeout, 5*time.Second)
	c := &Conn{opts: o, transport: newTransports(o)}
	if err := c.SetEndpoints(endpoints...); err != nil {
		return nil, err
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c, nil
}

// defaultPatience is that of a client (client.Config.WritePatience).
const defaultPatience = 2 * time.Second

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// newTransport speaks HTTP. It is used without http.Client, which would follow
// redirects: a request goes where it is told to or nowhere.
func newTransport(o Options, own *handshake.Identity) *http.Transport {
	dialer := net.Dialer{Timeout: o.ConnectTimeout, KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: 5 * time.Second, Interval: 2 * time.Second, Count: 3,
	}}
	secure := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.TLS != nil {
		secure = o.TLS.Clone()
	}
	one := &http.Transport{
		DialContext:         dialer.DialContext,
		TLSClientConfig:     own.Watch(secure),
		TLSHandshakeTimeout: o.ConnectTimeout,
		ForceAttemptHTTP2:   true,
		DisableCompression:  true, // a small answer must not become a large one
		MaxIdleConnsPerHost: 2 * maxSlots,
		IdleConnTimeout:     time.Minute,
		HTTP2:               &http.HTTP2Config{SendPingTimeout: max(o.PingInterval, 0), PingTimeout: o.PingTimeout},
	}
	if !o.NoProxy {
		proxy := httpproxy.FromEnvironment().ProxyFunc() // http.ProxyFromEnvironment reads it once in a process
		one.Proxy = func(r *http.Request) (*url.URL, error) { return proxy(r.URL) }
	}
	return one
}

// Close ends all calls and streams, which return grpc.ErrClientConnClosing, and returns
// when all goroutines of the streams have ended. Its error is always nil.
func (c *Conn) Close() error {
	c.mu.Lock() // no stream begins a goroutine after this
	c.cancel()
	c.mu.Unlock()
	c.calls.Wait()
	c.transport.close()
	return nil
}

// begin returns a context that ends with the Conn, too. It must be released.
func (c *Conn) begin(ctx context.Context) (context.Context, context.CancelCauseFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(c.ctx, func() { cancel(grpc.ErrClientConnClosing) }) //nolint:staticcheck // SA1019: it is what grpc returns
	context.AfterFunc(ctx, func() { stop() })
	if c.ctx.Err() != nil {
		cancel(grpc.ErrClientConnClosing) //nolint:staticcheck // SA1019: likewise
	}
	return ctx, cancel
}

// spawn starts a goroutine that Close waits for, unless that has begun.
func (c *Conn) spawn(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx.Err() != nil {
		return false
	}
	c.calls.Go(f)
	return true
}

// Invoke sends a unary request to one endpoint, once. Its error is a gRPC status: the
// server's own, or Unavailable, Canceled and so on for what became of the HTTP request.
// With grpc.WaitForReady an endpoint that can't be connected to is not an error until
// ctx ends.
func (c *Conn) Invoke(ctx context.Context, method string, req, reply any, opts ...grpc.CallOption) error {
	if ctx == nil {
		return errNoContext
	}
	o, err := c.callOptions(opts)
	if err != nil {
		return err
	}
	if err := checkMetadata(ctx); err != nil {
		return err
	}
	r, err := c.route(method)
	if err != nil {
		return err
	}
	body, err := encode(req, o.maxSend)
	if err != nil {
		return err
	}
	ctx, release := c.begin(ctx)
	defer release(nil)
	for n := 0; ; n++ {
		x := c.newExchange(ctx, r, body, o)
		err := x.unary(reply, release) //nolint:contextcheck // x has it
		if err == nil || !o.wait || x.sent.Load() || !backoff.Sleep(ctx, pauses.Pause(n)) {
			return err
		}
	}
}

var pauses = backoff.Exponential{First: 10 * time.Millisecond, Max: 250 * time.Millisecond}

var errNoContext = status.Error(codes.InvalidArgument, "gateway: the context is nil; context.Background() is one without an end")

// encode makes the JSON of a request.
func encode(req any, limit int) ([]byte, error) {
	m, ok := req.(proto.Message)
	if !ok {
		return nil, status.Errorf(codes.Internal, "grpc: error while marshaling: %T is no protobuf message", req)
	}
	if n := proto.Size(m); n > limit {
		return nil, status.Errorf(codes.ResourceExhausted, "trying to send message larger than max (%d vs. %d)", n, limit)
	}
	body, err := marshal.Marshal(m)
	if err != nil {
		return nil, status.Errorf(codes.Internal, "grpc: error while marshaling: %v", err)
	}
	return body, nil
}
