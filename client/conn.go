package client

import (
	"context"
	"crypto/tls"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/internal/attempt"
	"github.com/getcd/getcd/internal/policy"
	"github.com/getcd/getcd/resolver"
)

// Conn is the failover connection to a cluster. It implements
// grpc.ClientConnInterface, so that etcd's generated stubs work on it as the
// service packages do, and get the same treatment:
//
//   - a request goes to the active member, with the user's token, and with
//     etcd's "hasleader" metadata unless any member can serve it;
//   - a request that may be sent again is, to another member if there is one,
//     with a growing pause between tries, until it is answered or its context
//     ends. Reads may always be sent again, and so may requests of which a copy
//     can do no harm at any later time; writes only when it is certain that none
//     of the members has proposed them (see IsAmbiguous for the rest);
//   - a token that has expired is replaced, once for all requests;
//   - its errors are *Error.
//
// A context without a deadline lets a request wait for as long as no member can
// serve it. Streams are opened in the same way, and break with their member: who
// reads a stream opens it again.
//
// A Conn comes from a Client, which also closes it. It is safe for concurrent
// use.
type Conn struct {
	// Read-only after New.
	cc       channel
	dialer   dialer
	resolver addresses
	table    *policy.Table
	auth     *authenticator
	none     *credential // for Authenticate itself
	hedges   hedges
	leashes  sync.Pool // of *leash that were not used
	turns    *turns
	counters counters

	// strays is set once an RPC has come to gRPC without its Attempt: an interceptor
	// drops the values of contexts.
	strays atomic.Bool

	closed atomic.Bool
}

var _ grpc.ClientConnInterface = (*Conn)(nil)

// channel is what carries the attempts: a *grpc.ClientConn or a *gateway.Conn.
type channel interface {
	grpc.ClientConnInterface
	Close() error
}

// addresses is where they lead to.
type addresses interface {
	SetEndpoints(endpoints []string) error
	Errors() []error
	Addresses() []resolver.Address
	Resolutions() uint64
}

func newConn(cfg Config) (*Conn, error) {
	c := &Conn{dialer: newDialer(cfg), table: policy.NewTable(), none: newCredential(""), turns: newTurns()}
	c.hedges.budget.fill()
	connect := c.newGRPC
	if cfg.overGateway() {
		connect = c.newGateway
	}
	if err := connect(cfg); err != nil {
		return nil, err
	}
	if cfg.Username != "" {
		c.auth = newAuthenticator("", c.login(cfg.Username, cfg.Password, cfg.DialTimeout))
	} else {
		c.auth = newAuthenticator(cfg.Token, nil)
	}
	return c, nil
}

// newGRPC makes the gRPC connection of c.
func (c *Conn) newGRPC(cfg Config) error {
	r, err := resolver.New(cfg.Endpoints, resolver.Config{
		Options: cfg.Resolver, TLS: cfg.TLS != nil, InsecureDiscovery: cfg.InsecureDiscovery,
		Proxied: c.dialer.proxied, Logger: cfg.Logger,
	})
	if err != nil {
		return err
	}
	if err := checkDialOptions(cfg.DialOptions); err != nil {
		return err
	}
	secure := cfg.TLS
	if secure == nil {
		secure = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	cc, err := grpc.NewClient(resolver.Target, c.dialOptions(cfg, r, newTransport(secure, cfg))...)
	if err != nil {
		return err
	}
	c.cc, c.resolver = cc, r
	cc.Connect()
	return nil
}

// WaitReady is as Client.WaitReady.
func (c *Conn) WaitReady(ctx context.Context) error {
	if err := misuse(ctx, nil); err != nil {
		return (&try{conn: c, method: "WaitReady"}).refused(err)
	}
	cc, overGRPC := c.cc.(*grpc.ClientConn)
	for overGRPC {
		s := cc.GetState()
		if s == connectivity.Ready {
			break
		}
		t := try{conn: c, ctx: ctx, method: "WaitReady"}
		if c.closed.Load() || s == connectivity.Shutdown {
			return t.failed(ErrClosed)
		}
		if !cc.WaitForStateChange(ctx, s) {
			return t.failed(ctx.Err())
		}
	}
	t := try{conn: c, ctx: ctx, method: "WaitReady"}
	if _, err := t.credential(); err != nil {
		return t.failed(err)
	}
	if !overGRPC {
		return c.answers(&t)
	}
	return nil
}

// close ends all calls, and returns when its goroutines have ended. Closing again waits for
// the same.
func (c *Conn) close() {
	c.closed.Store(true)
	c.auth.cancel()
	_ = c.cc.Close() // fails only when closed already
	c.auth.close()
}

// Invoke sends a unary request. It returns when the request is answered, when
// ctx ends, or, for a write, when its fate can't be learned. The error is an
// *Error.
func (c *Conn) Invoke(ctx context.Context, method string, req, reply any, opts ...grpc.CallOption) error {
	t := &try{conn: c, ctx: ctx, method: method, number: c.counters.calls.Add(1)}
	if err := misuse(ctx, opts); err != nil {
		return t.refused(err)
	}
	ownID := false
	if a := attempt.FromContext(ctx); a != nil {
		t.avoid, t.final, ownID = a.Avoid, a.Final, a.OwnID
	}
	t.call = classify(method, req, ownID)
	if err := ctx.Err(); err != nil {
		return t.failed(err) // an answer might be quicker to come than the context's end to be noticed
	}
	if t.call.class == read && !t.call.waits && !t.final && method != pb.Auth_Authenticate_FullMethodName { // a login costs the server the check of a password
		if m, ok := hedgeable(reply, opts); ok {
			return c.invokeHedged(t, req, m, opts) //nolint:contextcheck // t has it
		}
	}
	return t.invoke(req, reply, opts) //nolint:contextcheck // t has it
}

// login is how the authenticator gets its tokens.
func (c *Conn) login(user, password string, timeout time.Duration) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		c.counters.logins.Add(1)
		r, err := pb.NewAuthClient(c).Authenticate(ctx, &pb.AuthenticateRequest{Name: user, Password: password})
		return r.GetToken(), err
	}
}

// obstacles tells for each endpoint, and each name, what is wrong with it.
func (c *Conn) obstacles() []AttemptError {
	var out []AttemptError
	for _, s := range c.table.Snapshot() {
		err := s.LastError
		switch {
		case s.State == connectivity.Ready:
			err = errors.New("connected, but not asked yet")
		case err == nil:
			err = errors.New("not connected: " + s.State.String())
		}
		out = append(out, AttemptError{s.Address, err})
	}
	for _, err := range c.resolver.Errors() {
		if e, ok := errors.AsType[*resolver.EndpointError](err); ok {
			out = append(out, AttemptError{e.Endpoint, e.Err})
		} else {
			out = append(out, AttemptError{"resolver", err})
		}
	}
	return out
}

// misuse says what no call can be made with.
func misuse(ctx context.Context, opts []grpc.CallOption) error {
	if ctx == nil {
		return status.Error(codes.InvalidArgument, "the context is nil; context.Background() is one without an end")
	}
	for i, o := range opts {
		if o == nil {
			return status.Errorf(codes.InvalidArgument, "call option %d of %d is nil", i+1, len(opts))
		}
	}
	return nil
}
