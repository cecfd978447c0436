package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	grpcbackoff "google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	grpcresolver "google.golang.org/grpc/resolver"

	"github.com/getcd/getcd/internal/attempt"
	"github.com/getcd/getcd/internal/policy"
	"github.com/getcd/getcd/resolver"
)

// dialOptions are grpc's options: the user's in the midst of the client's own, of
// which those that others can't replace come where they count. grpc takes the first
// resolver of a scheme, and the last value of anything else.
func (c *Conn) dialOptions(cfg Config, r *resolver.Resolver, secure credentials.TransportCredentials) []grpc.DialOption {
	opts := []grpc.DialOption{
		grpc.WithResolvers(builder{r, cfg.policy(c.table)}),
		grpc.WithContextDialer(c.dialer.dial),
		grpc.WithConnectParams(grpc.ConnectParams{
			// When to dial again is the balancer's business; it uses each of
			// grpc's connections once.
			Backoff:           grpcbackoff.Config{BaseDelay: time.Second, Multiplier: 1, MaxDelay: time.Second},
			MinConnectTimeout: connectTimeout,
		}),
		grpc.WithDefaultCallOptions(
			grpc.MaxCallSendMsgSize(cfg.MaxCallSendMsgSize),
			grpc.MaxCallRecvMsgSize(cfg.MaxCallRecvMsgSize),
		),
	}
	if cfg.DialKeepAliveTime > 0 {
		opts = append(opts, grpc.WithKeepaliveParams(keepalive.ClientParameters{
			Time:                cfg.DialKeepAliveTime,
			Timeout:             cfg.DialKeepAliveTimeout,
			PermitWithoutStream: cfg.PermitWithoutStream,
		}))
	}
	opts = append(opts, cfg.DialOptions...)
	if cfg.Trace != nil {
		opts = append(opts, cfg.Trace.DialOptions(secure)...)
	} else {
		opts = append(opts, grpc.WithTransportCredentials(secure))
	}
	return append(opts,
		// The policy is in use because nobody else's service config is, whoever
		// gives it; and with a service config go its retries and hedges.
		grpc.WithDefaultServiceConfig(policy.ServiceConfig),
		grpc.WithDisableServiceConfig(),
		grpc.WithDisableRetry(), // what may be sent again is decided in Conn
		// grpc sends a request again when its stream was refused (REFUSED_STREAM), also
		// with WithDisableRetry. HAProxy says so of requests that were applied. What is
		// not buffered is not sent again.
		grpc.WithDefaultCallOptions(grpc.MaxRetryRPCBufferSize(0)),
		grpc.WithIdleTimeout(0),                 // the standby is to stay connected
		grpc.WithChainUnaryInterceptor(c.begin), // the innermost
	)
}

// begin notes that an RPC has come through all the user's interceptors, with its
// Attempt or without.
func (c *Conn) begin(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	if a := attempt.FromContext(ctx); a != nil {
		a.Begin()
	} else {
		c.strays.Store(true)
	}
	return invoke(ctx, method, req, reply, cc, opts...)
}

// checkDialOptions looks for user's options that can't have their way. What they set
// can be seen in what grpc makes of them alone: without credentials it makes nothing,
// and a scheme that nobody has registered becomes a name for its own resolver.
// Nothing is connected by it.
func checkDialOptions(opts []grpc.DialOption) error {
	if len(opts) == 0 {
		return nil
	}
	if cc, err := grpc.NewClient(resolver.Target, opts...); err == nil {
		_ = cc.Close() // nothing that could fail
		return errors.New("client: Config.DialOptions has transport credentials (grpc.WithTransportCredentials, grpc.WithCredentialsBundle): set Config.TLS instead, since each endpoint says whether it is secured, and for which name")
	}
	opts = append(slices.Clip(opts), grpc.WithTransportCredentials(credentials.NewTLS(nil)))
	cc, err := grpc.NewClient(resolver.Target, opts...)
	if err != nil {
		return fmt.Errorf("client: Config.DialOptions: %w", err)
	}
	target := cc.CanonicalTarget()
	_ = cc.Close()
	if strings.HasPrefix(target, resolver.Scheme+":") {
		return fmt.Errorf("client: Config.DialOptions has a resolver (grpc.WithResolvers) for the scheme %q, which is the client's own: add schemes to Config.Resolver.Registry", resolver.Scheme)
	}
	return nil
}

// connectTimeout bounds one connection attempt: TCP and TLS handshakes and
// HTTP/2 settings. It leaves room for a lost SYN to be sent again twice.
const connectTimeout = 5 * time.Second

// isOwn reports whether f is a dialer's dial, and not the user's of
// Config.DialOptions, which gets host names as they are: it may know names that this
// machine does not, and knows nothing of proxies.
func isOwn(f func(context.Context, string) (net.Conn, error)) bool {
	return reflect.ValueOf(f).Pointer() == reflect.ValueOf(dialer{}.dial).Pointer()
}

// disablesProxy reports whether grpc.WithNoProxy is among opts. An option does not tell
// what it is, but for the name of the function in it.
func disablesProxy(opts []grpc.DialOption) bool {
	return slices.ContainsFunc(opts, func(o grpc.DialOption) bool {
		v := reflect.ValueOf(o)
		if v.Kind() == reflect.Pointer {
			v = v.Elem()
		}
		if v.Kind() != reflect.Struct || v.NumField() != 1 || v.Field(0).Kind() != reflect.Func || v.Field(0).IsNil() {
			return false
		}
		f := runtime.FuncForPC(v.Field(0).Pointer())
		// Where the call is inlined, its caller is the first part of the name.
		return f != nil && strings.Contains(f.Name(), ".WithNoProxy.func")
	})
}

// builder is the resolver, telling the balancer whose it is.
type builder struct {
	*resolver.Resolver

	opts policy.Options
}

func (b builder) Build(t grpcresolver.Target, cc grpcresolver.ClientConn, o grpcresolver.BuildOptions) (grpcresolver.Resolver, error) {
	if isOwn(o.Dialer) {
		o.Dialer = nil // the resolver asks whether it is the user's
	}
	return b.Resolver.Build(t, attaching{cc, b.opts}, o)
}

type attaching struct {
	grpcresolver.ClientConn

	opts policy.Options
}

func (a attaching) UpdateState(s grpcresolver.State) error {
	return a.ClientConn.UpdateState(policy.Attach(s, a.opts))
}
