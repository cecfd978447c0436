package client

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"slices"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/internal/attempt"
	"github.com/getcd/getcd/internal/census"
	"github.com/getcd/getcd/internal/policy"
	"github.com/getcd/getcd/resolver"
)

// Conn is the failover connection to a cluster. It implements
// grpc.ClientConnInterface, so that etcd's generated stubs work on it as the
// service packages do, and get the same treatment:
//
//   - a request goes to the active member, with the user's token, and with
//     etcd's "hasleader" metadata unless any member can serve it;
//   - a request that may be sent again is sent again, to another member if there is
//     one, with growing pauses, until it is answered or its context ends. Reads may
//     always be sent again, and so may requests of which a later copy does no harm.
//     A write may be sent again only if it is certain that no member has proposed it
//     (see IsAmbiguous for the others);
//   - a token that has expired is replaced, once for all requests;
//   - errors are *Error.
//
// With a context without a deadline, a request waits for as long as no member can
// serve it, unless Config.CallTimeout is set. With grpc.WaitForReady(false) it fails while no
// endpoint can be reached (Config.FailFast). Streams are opened in the same way, and break with their member: the
// reader must open a new one.
//
// A Conn belongs to a Client, which closes it. It is safe for concurrent use.
type Conn struct {
	// Read-only after New.
	cc        channel
	dialer    dialer
	resolver  addresses
	table     *policy.Table
	auth      *authenticator
	none      *credential // that of Authenticate: none
	hedges    hedges
	leashes   sync.Pool // of *leash that have not ended
	turns     *turns
	counters  counters
	census    census.Census
	observers []Observer // Config.Observers
	timeout   callTimeout
	failFast  bool // Config.FailFast

	// strays is set when an RPC has come to gRPC without its Attempt, because an
	// interceptor drops the values of contexts.
	strays atomic.Bool

	closed  atomic.Bool
	above   []io.Closer // middleware that is to be closed, the outermost first; wrap's
	closing sync.Once
}

var _ grpc.ClientConnInterface = (*Conn)(nil)

// channel carries the attempts: a *grpc.ClientConn or a *gateway.Conn.
type channel interface {
	grpc.ClientConnInterface
	Close() error
}

// addresses finds the members: a *resolver.Resolver, or gateways.
type addresses interface {
	SetEndpoints(endpoints []string) error
	Errors() []error
	Addresses() []resolver.Address
	Resolutions() uint64
}

func newConn(cfg Config) (*Conn, error) {
	c := &Conn{
		dialer: newDialer(cfg), table: policy.NewTable(), none: newCredential(""), turns: newTurns(),
		timeout: newCallTimeout(cfg.CallTimeout), failFast: cfg.FailFast, observers: cfg.Observers,
	}
	c.hedges.budget.fill()
	connect := c.newGRPC
	if cfg.overGateway() {
		connect = c.newGateway
	}
	c.auth = c.newAuthenticator(cfg)
	if err := connect(cfg); err != nil {
		c.auth.close()
		return nil, err
	}
	return c, nil
}

// newGRPC makes the gRPC connection of c.
func (c *Conn) newGRPC(cfg Config) error {
	r, err := resolver.New(cfg.Endpoints, resolver.Config{
		Options: cfg.Resolver, TLS: cfg.TLS != nil, InsecureDiscovery: cfg.InsecureDiscovery, OneEndpoint: cfg.OneMember,
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
	if err := checkCall(ctx, nil); err != nil {
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
	if _, err := t.login(); err != nil {
		return t.failed(err)
	}
	if !overGRPC {
		return c.answers(&t)
	}
	c.settle(ctx)
	return nil
}

// settle waits until the policy has found the leader, if Config.Routing asks for one, or has
// tried all members. The client is of use without it, so the end of ctx is no error.
func (c *Conn) settle(ctx context.Context) {
	for {
		changed := c.table.Changed()
		if c.table.Settled() {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// close ends all calls, and returns when the Conn's goroutines have ended. It may be called
// again, and then waits for the same.
func (c *Conn) close() {
	c.closed.Store(true)
	c.closing.Do(func() {
		for _, m := range c.above {
			_ = m.Close() // what it could not end, it has to have said how that ends by itself
		}
	})
	c.auth.cancel()
	c.turns.close()
	_ = c.cc.Close() // fails only if it is closed already
	c.auth.close()
}

// Invoke sends a unary request. It returns when the request is answered or ctx ends. For a
// write it also returns when its fate can't be learned. The error is an *Error.
func (c *Conn) Invoke(ctx context.Context, method string, req, reply any, opts ...grpc.CallOption) error {
	return c.ask(ctx, method, req, reply, opts, nil)
}

// ask is Invoke, for which an error that answers reports is an answer. Nil means that none is.
func (c *Conn) ask(ctx context.Context, method string, req, reply any, opts []grpc.CallOption, answers func(error) bool) error {
	t := &try{conn: c, ctx: ctx, method: method, number: c.counters.calls.Add(1)}
	if err := checkCall(ctx, opts); err != nil {
		return t.refused(err)
	}
	t.failFast = failsFast(opts, c.failFast)
	opts, finished := onFinish(opts)
	t.observe(false)
	err := c.invoke(t, req, reply, opts) //nolint:contextcheck // t has it
	if err != nil && answers != nil && answers(err) {
		err = nil
	}
	t.observed.end(err)
	if finished != nil {
		finished(err)
	}
	return err
}

func (c *Conn) invoke(t *try, req, reply any, opts []grpc.CallOption) (err error) {
	if a := attempt.FromContext(t.ctx); a != nil {
		t.avoid, t.final = a.Avoid, a.Final
		t.call = classify(t.method, req, a.OwnID).declared(a, req)
		if a.Guarded {
			a.Begin() // a middleware may send it twice
			defer func() { a.SetOnly(err == nil && !t.copied && a.BegunOnce()) }()
		}
	} else {
		t.call = classify(t.method, req, false)
	}
	defer c.timeout.begin(t)()
	if err := t.ctx.Err(); err != nil {
		return t.failed(err) // otherwise an answer might come before gRPC notices that the context has ended
	}
	if t.call.hedged && !t.final {
		if m, ok := hedgeable(reply, opts); ok {
			return c.invokeHedged(t, req, m, opts)
		}
	}
	return t.invoke(req, reply, opts)
}

// obstacles returns what is wrong with each endpoint, and with each name that can't be
// resolved.
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
	return append(out, c.unresolved()...)
}

// unresolved returns what is wrong with each name that can't be resolved.
func (c *Conn) unresolved() (out []AttemptError) {
	for _, err := range c.resolver.Errors() {
		if e, ok := errors.AsType[*resolver.EndpointError](err); ok {
			out = append(out, AttemptError{e.Endpoint, e.Err})
		} else {
			out = append(out, AttemptError{"resolver", err})
		}
	}
	return out
}

// onFinish takes the functions of grpc.OnFinish out of opts, since gRPC would call them for each
// attempt. finished calls them; nil if there are none.
func onFinish(opts []grpc.CallOption) (rest []grpc.CallOption, finished func(error)) {
	is := func(o grpc.CallOption) bool { _, ok := o.(grpc.OnFinishCallOption); return ok }
	if !slices.ContainsFunc(opts, is) {
		return opts, nil
	}
	return slices.DeleteFunc(slices.Clone(opts), is), func(err error) {
		for _, o := range opts {
			if f, ok := o.(grpc.OnFinishCallOption); ok {
				f.OnFinish(err)
			}
		}
	}
}

// checkCall returns the error of a call with a nil context or option.
func checkCall(ctx context.Context, opts []grpc.CallOption) error {
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
