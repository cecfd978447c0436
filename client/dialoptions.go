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
	"github.com/getcd/getcd/internal/rangecodec"
	"github.com/getcd/getcd/resolver"
)

// dialOptions returns gRPC's options. gRPC uses the first resolver of a scheme, and the last
// value of everything else. So the client's options that the user must not replace come
// first or last, and those that the user may replace come before the user's.
func (c *Conn) dialOptions(cfg Config, r *resolver.Resolver, secure credentials.TransportCredentials) []grpc.DialOption {
	options := cfg.policy(c.table)
	options.Sign = c.auth.sign
	opts := []grpc.DialOption{
		grpc.WithResolvers(builder{r, options}),
		grpc.WithContextDialer(c.dialer.dial),
		grpc.WithConnectParams(grpc.ConnectParams{
			// The policy decides when to dial again, and uses each of gRPC's
			// SubConns once.
			Backoff:           grpcbackoff.Config{BaseDelay: time.Millisecond, Multiplier: 1, MaxDelay: time.Millisecond},
			MinConnectTimeout: cfg.ConnectTimeout, // the limit, since it is not less than the backoff
		}),
		grpc.WithDefaultCallOptions(
			rangecodec.Option(),
			grpc.MaxCallSendMsgSize(cfg.MaxCallSendMsgSize),
			grpc.MaxCallRecvMsgSize(cfg.MaxCallRecvMsgSize),
		),
	}
	if len(cfg.Headers) > 0 {
		opts = append(opts, grpc.WithPerRPCCredentials(headers(cfg.Headers)))
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
		// No other service config has an effect, so the policy is always in use. Without
		// a service config there are none of its retries and hedges.
		grpc.WithDefaultServiceConfig(policy.ServiceConfig),
		grpc.WithDisableServiceConfig(),
		grpc.WithDisableRetry(), // Conn decides what may be sent again
		// Even with WithDisableRetry, gRPC sends a request again if its stream was refused
		// (REFUSED_STREAM). HAProxy refuses streams whose requests were applied. A
		// request that is not buffered is not sent again.
		grpc.WithDefaultCallOptions(grpc.MaxRetryRPCBufferSize(0)),
		grpc.WithIdleTimeout(0),                 // so that the standby stays connected
		grpc.WithChainUnaryInterceptor(c.begin), // must be the innermost
		grpc.WithChainStreamInterceptor(beginStream),
	)
}

// begin is the innermost interceptor. It notes whether an RPC still has its Attempt after the
// user's interceptors. gRPC gives interceptors all call options, also those of the connection.
func (c *Conn) begin(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	if a := attempt.FromContext(ctx); a != nil {
		a.Begin()
	} else {
		c.strays.Store(true)
	}
	return invoke(ctx, method, req, reply, cc, rangecodec.Without(opts)...)
}

// beginStream is the innermost interceptor of streams.
func beginStream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	return open(ctx, desc, cc, method, rangecodec.Without(opts)...)
}

// checkDialOptions returns an error for user's options that can have no effect. It learns
// what the options set from what gRPC makes of them alone: without transport credentials
// gRPC makes no ClientConn, and it takes a target with an unknown scheme for a name. It
// connects to nothing.
func checkDialOptions(opts []grpc.DialOption) error {
	if len(opts) == 0 {
		return nil
	}
	if cc, err := grpc.NewClient(resolver.Target, opts...); err == nil {
		_ = cc.Close() // can't fail
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

// isOwn reports whether f is the client's dialer, and not one of the user's in
// Config.DialOptions. The user's gets host names unresolved, since it may know names that
// this machine does not, and it does not use proxies.
func isOwn(f func(context.Context, string) (net.Conn, error)) bool {
	return reflect.ValueOf(f).Pointer() == reflect.ValueOf(dialer{}.dial).Pointer()
}

// disablesProxy reports whether grpc.WithNoProxy is among opts. An option can be recognized
// only by the name of the function in it.
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
		// If the call is inlined, the name begins with its caller.
		return f != nil && strings.Contains(f.Name(), ".WithNoProxy.func")
	})
}

// builder is the resolver, which also passes the client's options to the policy.
type builder struct {
	*resolver.Resolver

	opts policy.Options
}

func (b builder) Build(t grpcresolver.Target, cc grpcresolver.ClientConn, o grpcresolver.BuildOptions) (grpcresolver.Resolver, error) {
	if isOwn(o.Dialer) {
		o.Dialer = nil // the resolver asks only whether there is a user's
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
