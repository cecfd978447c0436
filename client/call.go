package client

import (
	"context"
	"errors"
	"slices"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/getcd/getcd/internal/attempt"
	"github.com/getcd/getcd/internal/backoff"
	"github.com/getcd/getcd/internal/etcderr"
	"github.com/getcd/getcd/internal/policy"
)

// try is one call, with all its attempts on the members.
type try struct {
	conn   *Conn
	ctx    context.Context //nolint:containedctx // a try lives within one call
	method string
	call   call
	final  bool   // Attempt.Final
	number uint64 // of the call

	failFast bool // ends when no endpoint can be reached; see failfast.go

	n        int            // failed tries
	renewed  int            // tokens given up
	outdated int            // refusals because users or roles have changed
	crowded  int            // pauses after refusals by overloaded servers
	overload bool           // the last attempt was refused by one
	avoid    []string       // the endpoint that failed last
	attempts []AttemptError // each endpoint's last failure
	applied  bool           // an earlier try may have been applied
	copied   bool           // what was answered may not be the only copy that a member has seen

	observed *observed   // nil when nobody is told of the call
	finished func(error) // of a stream: calls the functions of grpc.OnFinish; nil if there are none

	hedge  *hedge // sends a second copy when this is slow; nil for none
	second bool   // this is a hedge's second copy
	// elsewhere is set in a second copy that never goes to an endpoint in avoid, as long as
	// beside has a first copy there. alone is set when there was no other endpoint.
	elsewhere, alone bool
	beside           *hedge
}

// invoke sends the request until it is answered or must not be sent again.
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
				return errHedged // the second copy was answered during the pause
			}
			t.conn.release(leash) // used up by the last attempt
			leash = t.conn.newLeash(t.ctx)
		}
		under, told := t.observed.attempt(t.ctx, t.second)
		ctx := newAttempt(under, leash, cred, t.call.anyMember)
		a := &ctx.attempt
		a.Avoid, a.Elsewhere, a.FailFast = t.avoid, t.elsewhere, t.failFast
		a.Measure, a.AnyMember, a.Write = !t.call.waits, t.call.anyMember, t.call.proposes
		a.Once = t.call.class == write
		a.Large = a.Write && t.call.large(req)
		a.FromMemory, a.Call = !t.call.proves, t.number
		if t.hedge != nil {
			t.hedge.begin(ctx)
		}
		t.conn.counters.attempts.Add(1)
		err = t.conn.cc.Invoke(ctx, t.method, req, reply, opts...)
		if err == nil {
			t.copied = t.copied || t.applied || !a.BegunOnce()
			t.conn.turns.earn()
			if r, ok := reply.(interface{ GetHeader() *pb.ResponseHeader }); ok {
				h := r.GetHeader()
				a.Observe(h.GetMemberId(), h.GetRaftTerm())
			}
			told.end(a, nil)
			return nil
		}
		err = orGivenUp(err, a)
		told.end(a, err)
		if t.elsewhere && a.Endpoint() == "" {
			t.alone = true
			return err
		}
		done, err := t.judge(err, a, cred)
		if done {
			if t.appliedBefore(err, req, reply) {
				return nil
			}
			return err
		}
		rest := t.ctx
		if t.hedge != nil {
			if t.hedge.joined() {
				return errHedged
			}
			if leash.ctx.Err() == nil { // else the policy has used it up
				rest = leash.ctx // which ends when the second copy is answered
			}
		}
		if err := t.pause(rest); err != nil {
			return t.failed(err)
		}
	}
}

// credential returns the credential that the request carries: the caller's own, or that of a login.
func (t *try) credential() (*credential, error) {
	if t.method == pb.Auth_Authenticate_FullMethodName {
		return t.conn.none, t.reachable()
	}
	if theirs, ok := metadata.FromOutgoingContext(t.ctx); ok {
		if token := theirs.Get(rpctypes.TokenFieldNameGRPC); len(token) > 0 {
			cred := newCredential(token[0])
			cred.callers = true
			return cred, t.reachable()
		}
	}
	return t.login()
}

// login returns the client's credential. If a login fails that may succeed later, or times out, a
// call that has time left waits for another one.
func (t *try) login() (*credential, error) {
	var last error // of the logins that others may follow
	for {
		if err := t.reachable(); err != nil {
			return nil, err
		}
		cred, again, err := t.conn.auth.get(t.ctx)
		switch {
		case err == nil:
			return cred, nil
		case t.ctx.Err() != nil && last != nil:
			return nil, waitedError{t.ctx.Err(), last}
		case t.ctx.Err() != nil || !again && !errors.Is(err, context.DeadlineExceeded):
			return nil, err
		}
		if last = err; again {
			continue // the authenticator pauses, once for all calls
		}
		t.n++
		if err := t.pause(t.ctx); err != nil {
			return nil, waitedError{err, last}
		}
	}
}

// waitedError is the end of a context during which every login has failed. It is the
// context's error for those who decide about another try, though errors.Is finds both.
type waitedError struct{ end, login error }

func (e waitedError) Error() string { return e.end.Error() + ", waiting for a login: " + text(e.login) }

func (e waitedError) Unwrap() error { return e.end }

func (e waitedError) Is(target error) bool { return errors.Is(e.login, target) }

// maxRenewals is how many new tokens one call may ask for. A server that refuses them all
// has another reason, and each login costs it the check of a password.
const maxRenewals = 3

// maxOutdated is how often one call may be refused because users or roles changed while it
// was in flight.
const maxOutdated = 32

// renew replaces a credential that a server has refused, if that helps, and reports whether
// the call may go on.
func (t *try) renew(f fate, cred *credential) bool {
	if f == outdated {
		// The server looks up a user with a certificate or a simple token for each
		// request. A JWT names the revision that it was made at, and never another
		// (auth/store.go, AuthInfoFromTLS; jwt.go).
		t.outdated++
		if t.outdated > maxOutdated {
			return false
		}
		return !cred.signed || !cred.callers && t.conn.auth.reject(cred)
	}
	if cred.callers {
		return false
	}
	t.renewed++
	return t.renewed <= maxRenewals && t.conn.auth.reject(cred)
}

// judge decides what follows from a failed attempt: either the call is done and returns the
// error, or it is sent again.
func (t *try) judge(err error, a *attempt.Attempt, cred *credential) (done bool, _ error) {
	t.n++
	err = withoutBody(err)
	if e := a.Endpoint(); e != "" {
		t.record(a.Address(), err)
		lost := lostByElection(a)
		if t.elsewhere && (lost || t.beside.givenUp() || t.beside.waits()) {
			// The election has lost the older first copy as well, or that is given up. So this copy
			// is the only one, and may be sent where that was.
			t.elsewhere = false
		}
		switch {
		case t.elsewhere:
		case lost: // the policy knows who serves since
			t.avoid = nil
		default:
			t.avoid = []string{e}
		}
	}
	settleDeadline(t.ctx, err)
	// An RPC that never came to the policy counts as sent, unless an interceptor ended it.
	stray := !a.Begun() && t.conn.strays.Load()
	f := t.call.fateOf(err, stray || a.Sent(), stray || a.Heard())
	if f == refused && etcderr.LacksService(err) && a.Proven() {
		f = answered
	}
	t.overload = f == overloaded
	switch f {
	case unknown, doubtful, late:
		t.applied = t.applied || t.call.class != read
	default:
	}
	switch {
	case errors.Is(err, attempt.ErrUnreachable) || t.failFast && !a.Sent() && t.triedAll():
		return true, t.failed(err)
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

// lostByElection reports whether the policy has given the attempt up because an election has lost
// its write. That says nothing against the member.
func lostByElection(a *attempt.Attempt) bool {
	return errors.Is(a.GivenUp(), policy.ErrLostWrite) && !a.Large
}

// The pauses between attempts. There is none before the second, which goes to the standby.
var pauses = backoff.Exponential{First: 10 * time.Millisecond, Max: 250 * time.Millisecond}

// pause waits before the next attempt, or until rest ends. It returns the error of the call's context.
func (t *try) pause(rest context.Context) error {
	switch {
	case t.overload:
		t.overload = false
		var alive bool
		if t.crowded, alive = t.conn.turns.await(rest, t.crowded); !alive {
			return t.ctx.Err()
		}
	case t.n >= 2 && !backoff.Sleep(rest, pauses.Pause(t.n-2)):
		return t.ctx.Err()
	}
	return nil
}

// appliedBefore reports whether the server's refusal of a repeated request shows that an
// earlier attempt was applied. If so, it fills in the reply that was lost, with an empty
// header.
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

// failed makes the error of a call that was not answered. It names every endpoint.
func (t *try) failed(err error) error {
	err = t.conn.timeout.explain(t.ctx, err)
	e := t.refused(err)
	// The error of a failed login is an Error too, and has its own attempts.
	if _, login := errors.AsType[*Error](err); login {
		return e
	}
	for _, o := range t.conn.obstacles() {
		if slices.ContainsFunc(t.attempts, func(a AttemptError) bool { return a.Endpoint == o.Endpoint }) ||
			slices.ContainsFunc(e.Attempts, func(a AttemptError) bool { return a.Endpoint == o.Endpoint && text(a.Err) == text(o.Err) }) {
			continue // a single address has two connections, with the same to say
		}
		e.Attempts = append(slices.Clip(e.Attempts), o)
	}
	return e
}

// refused makes the error of a call that was answered. It names only the endpoints that were
// tried.
func (t *try) refused(err error) *Error {
	return &Error{Op: operation(t.method), Err: rpctypes.Error(err), Attempts: t.attempts, ambiguous: t.applied}
}

// etcdsOwn reports whether err is one of etcd's own errors.
func etcdsOwn(err error) bool {
	_, ok := errors.AsType[rpctypes.EtcdError](rpctypes.Error(err))
	return ok
}

// settleDeadline waits for ctx to end if the server has noticed their common deadline a
// moment earlier, so that the call returns the context's error.
func settleDeadline(ctx context.Context, err error) {
	const moment = 20 * time.Millisecond
	if status.Code(err) != codes.DeadlineExceeded {
		return
	}
	if d, ok := ctx.Deadline(); ok && time.Until(d) < moment {
		<-ctx.Done()
	}
}

// large reports whether a write is too large to leave at once on a slow network or, if it is
// repeatable, to be sent twice without need.
func (c call) large(req any) bool {
	least := 4 << 10
	if c.class == repeatable {
		least = 64 << 10
	}
	m, ok := req.(proto.Message)
	return ok && proto.Size(m) >= least
}
