package client

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/getcd/getcd/internal/attempt"
	"github.com/getcd/getcd/internal/backoff"
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
			return t.invokeHedged(req, m, opts) //nolint:contextcheck // t has it
		}
	}
	return t.invoke(req, reply, opts) //nolint:contextcheck // t has it
}

// invoke sends the request until it is answered, or may not be sent again.
func (t *try) invoke(req, reply any, opts []grpc.CallOption) error {
	leash := t.conn.newLeash(t.ctx)
	defer func() {
		if t.hedge != nil {
			t.hedge.detach()
		}
		t.conn.release(leash)
	}()
	for {
		cred, err := t.credential()
		if err != nil {
			return t.failed(err)
		}
		if leash.ctx.Err() != nil && t.ctx.Err() == nil {
			if t.hedge != nil && t.hedge.joined() {
				return errHedged // it was quicker than a pause
			}
			t.conn.release(leash) // used up by the last attempt
			leash = t.conn.newLeash(t.ctx)
		}
		ctx := newAttempt(t.ctx, leash, cred, t.call.anyMember)
		a := &ctx.attempt
		a.Avoid, a.Elsewhere = t.avoid, t.elsewhere
		a.Measure, a.AnyMember, a.Write = !t.call.waits, t.call.anyMember, t.call.proposes
		a.Once = t.call.class == write
		a.Large = a.Once && large(req)
		a.FromMemory, a.Call = !t.call.proves, t.number
		if t.hedge != nil {
			t.hedge.begin(ctx)
		}
		t.conn.counters.attempts.Add(1)
		err = t.conn.cc.Invoke(ctx, t.method, req, reply, opts...)
		if err == nil {
			t.conn.turns.earn()
			if r, ok := reply.(interface{ GetHeader() *pb.ResponseHeader }); ok {
				h := r.GetHeader()
				a.Observe(h.GetMemberId(), h.GetRaftTerm())
			}
			return nil
		}
		if t.elsewhere && a.Endpoint() == "" {
			t.alone = true
			return err
		}
		if cause := a.GivenUp(); cause != nil && status.Code(err) == codes.Canceled {
			err = givenUpError{cause}
		}
		done, err := t.judge(err, a, cred)
		if done {
			if t.appliedBefore(err, req, reply) {
				return nil
			}
			return err
		}
		if t.hedge != nil && t.hedge.joined() {
			return errHedged
		}
		if err := t.pause(); err != nil {
			return t.failed(err)
		}
	}
}

func (c *Conn) newLeash(caller context.Context) *leash {
	l, ok := c.leashes.Get().(*leash)
	if !ok {
		l = newLeash()
	}
	l.hold(caller)
	return l
}

func (c *Conn) release(l *leash) {
	if l.release() {
		c.leashes.Put(l)
	} else {
		l.cancel()
	}
}

// NewStream opens a stream on a member. Its methods' errors are *Error, or io.EOF
// at the stream's regular end.
func (c *Conn) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	t := try{conn: c, ctx: ctx, method: method, call: classify(method, nil, false), number: c.counters.calls.Add(1)}
	if err := misuse(ctx, opts); err != nil {
		return nil, t.refused(err)
	}
	// A stream's opener may want to know where it went: its own Attempt is used.
	own := attempt.FromContext(ctx)
	if own != nil {
		t.avoid = own.Avoid
	}
	for {
		cred, err := t.credential()
		if err != nil {
			return nil, t.failed(err)
		}
		anyMember := t.call.anyMember || own != nil && own.AnyMember
		sctx, a := cred.outgoing(ctx, anyMember), own
		if a == nil {
			a = &attempt.Attempt{Avoid: t.avoid}
			sctx = attempt.NewContext(sctx, a)
		} else {
			a.Reset()
		}
		// How a stream ends says nothing of leader or quorum.
		a.AnyMember, a.FromMemory, a.Flow = anyMember, true, flows(method) && !a.Stay
		a.Once, a.Call = t.call.class == write, t.number
		sctx, cancel := context.WithCancelCause(sctx)
		a.Cancel = nil
		if !a.Stay {
			a.Cancel = func() { cancel(errMoved) }
		}
		c.counters.attempts.Add(1)
		s, err := c.cc.NewStream(sctx, desc, method, opts...)
		if err == nil {
			return newStream(sctx, cancel, s, t, a, cred), nil
		}
		cancel(nil)
		if done, err := t.judge(err, a, cred); done {
			return nil, err
		}
		if err := t.pause(); err != nil {
			return nil, t.failed(err)
		}
	}
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

// large reports whether a request is more than what leaves at once on any line.
func large(req any) bool {
	m, ok := req.(proto.Message)
	return ok && proto.Size(m) >= 4<<10
}

// try is one call's way over the members.
type try struct {
	conn   *Conn
	ctx    context.Context //nolint:containedctx // a try lives within one call
	method string
	call   call
	final  bool   // Attempt.Final
	number uint64 // of the call

	n        int            // failed tries
	renewed  int            // tokens given up
	outdated int            // refusals of a user who was known to an older revision
	crowded  int            // pauses made for servers with too much to do
	overload bool           // the last try was refused by one
	avoid    []string       // the endpoint that failed last
	attempts []AttemptError // each endpoint's last failure
	applied  bool           // an earlier try may have been applied

	hedge *hedge // sends a second copy when this is slow; nil for none
	// A second copy goes to none of avoid, which stays as it is; alone is set when
	// there was nobody else.
	elsewhere, alone bool
}

// credential returns what the request is to carry. A login whose time is up does
// not end a call that has time left.
func (t *try) credential() (*credential, error) {
	if t.method == pb.Auth_Authenticate_FullMethodName {
		return t.conn.none, nil
	}
	for {
		cred, err := t.conn.auth.get(t.ctx)
		if !errors.Is(err, context.DeadlineExceeded) || t.ctx.Err() != nil {
			return cred, err
		}
		t.n++
		if err := t.pause(); err != nil {
			return nil, err
		}
	}
}

// maxRenewals is how many new tokens one call may ask for. A server that refuses
// them all has another reason; each login costs it the check of a password.
const maxRenewals = 3

// maxOutdated is how often one call may be refused for the changes of users and
// roles that were made while it was under way.
const maxOutdated = 32

// renew does something about a credential that a server has refused, and reports
// whether the call may go on.
func (t *try) renew(f fate, cred *credential) bool {
	if f == outdated {
		// Who is known by a certificate or a simple token is looked up anew with each
		// request; a JWT stays what it is (auth/store.go, AuthInfoFromTLS; jwt.go).
		t.outdated++
		if t.outdated > maxOutdated {
			return false
		}
		return !cred.signed || t.conn.auth.reject(cred)
	}
	t.renewed++
	return t.renewed <= maxRenewals && t.conn.auth.reject(cred)
}

// judge says what follows from a failed attempt: the call is done, with the
// error that it returns, or is tried again.
func (t *try) judge(err error, a *attempt.Attempt, cred *credential) (done bool, _ error) {
	t.n++
	err = withoutBody(err)
	if e := a.Endpoint(); e != "" {
		t.record(a.Address(), err)
		if !t.elsewhere {
			t.avoid = []string{e}
		}
	}
	settleDeadline(t.ctx, err)
	// What the policy never saw was sent, unless it was an interceptor that ended it.
	stray := !a.Begun() && t.conn.strays.Load()
	f := t.call.fateOf(err, stray || a.Sent(), stray || a.Heard())
	t.overload = f == overloaded
	switch f {
	case unknown, doubtful, late:
		t.applied = t.applied || t.call.class != read
	default:
	}
	switch {
	case f == answered || f == doubtful:
		return true, t.refused(err)
	case t.conn.closed.Load():
		return true, t.failed(ErrClosed)
	case f == unauthenticated || f == outdated:
		if !t.renew(f, cred) {
			return true, t.refused(err)
		}
	case f == late:
		if !t.renew(fateOf(err, true, true), cred) || !t.call.rejoins {
			return true, t.refused(err)
		}
	}
	switch {
	case t.ctx.Err() != nil:
		return true, t.failed(t.ctx.Err())
	case t.final && f == unknown && a.Heard() && etcdsOwn(err):
		return true, t.refused(err)
	case f == undeliverable:
		return true, t.refused(err)
	case f == unknown && (t.call.class == write || !again(err)):
		if etcdsOwn(err) {
			return true, t.refused(err)
		}
		return true, t.failed(err)
	}
	return false, nil
}

// The pauses between tries: none before the second, which goes to the standby.
var pauses = backoff.Exponential{First: 10 * time.Millisecond, Max: 250 * time.Millisecond}

// pause waits before the next try, or until the context ends.
func (t *try) pause() error {
	if t.overload {
		t.overload = false
		var alive bool
		if t.crowded, alive = t.conn.turns.await(t.ctx, t.crowded); !alive {
			return t.ctx.Err()
		}
		return nil
	}
	if t.n < 2 {
		return nil
	}
	if !backoff.Sleep(t.ctx, pauses.Pause(t.n-2)) {
		return t.ctx.Err()
	}
	return nil
}

// appliedBefore reports whether the server's refusal of a repeated request shows
// that an earlier try was applied, and fills in the reply that was lost. Its
// header is empty.
func (t *try) appliedBefore(err error, req, reply any) bool {
	if !t.applied || t.call.class != repeatable {
		return false
	}
	switch r := reply.(type) {
	case *pb.LeaseGrantResponse:
		q, ok := req.(*pb.LeaseGrantRequest)
		if !ok || !errors.Is(err, rpctypes.ErrLeaseExist) {
			return false
		}
		r.Header, r.ID, r.TTL = &pb.ResponseHeader{}, q.GetID(), q.GetTTL()
	case *pb.LeaseRevokeResponse:
		if !errors.Is(err, rpctypes.ErrLeaseNotFound) {
			return false
		}
		r.Header = &pb.ResponseHeader{}
	case *pb.CompactionResponse:
		if !errors.Is(err, rpctypes.ErrCompacted) {
			return false
		}
		r.Header = &pb.ResponseHeader{}
	default:
		return false
	}
	return true
}

func (t *try) record(endpoint string, err error) {
	for i := range t.attempts {
		if t.attempts[i].Endpoint == endpoint {
			t.attempts[i].Err = err
			return
		}
	}
	t.attempts = append(t.attempts, AttemptError{endpoint, err})
}

// failed makes the error that the call returns when it could not be served: it
// names every endpoint.
func (t *try) failed(err error) error {
	e := t.refused(err)
	// A login that failed, which is an Error too, tells its own attempts.
	if _, login := errors.AsType[*Error](err); login {
		return e
	}
	for _, o := range t.conn.obstacles() {
		if !slices.ContainsFunc(t.attempts, func(a AttemptError) bool { return a.Endpoint == o.Endpoint }) {
			e.Attempts = append(slices.Clip(e.Attempts), o)
		}
	}
	return e
}

// refused makes the error of a call that was answered: what other endpoints are
// like does not matter.
func (t *try) refused(err error) *Error {
	return &Error{Op: operation(t.method), Err: rpctypes.Error(err), Attempts: t.attempts, ambiguous: t.applied}
}

// etcdsOwn reports whether err is one of etcd's own errors.
func etcdsOwn(err error) bool {
	_, ok := errors.AsType[rpctypes.EtcdError](rpctypes.Error(err))
	return ok
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

// settleDeadline waits for ctx to end when a server was a moment ahead of it in
// noticing the deadline that they share, so that the error is the context's.
func settleDeadline(ctx context.Context, err error) {
	const moment = 20 * time.Millisecond
	if status.Code(err) != codes.DeadlineExceeded {
		return
	}
	if d, ok := ctx.Deadline(); ok && time.Until(d) < moment {
		<-ctx.Done()
	}
}
