package client

import (
	"errors"
	"fmt"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/balancer"
	"github.com/getcd/getcd/internal/attempt"
	"github.com/getcd/getcd/internal/closed"
	"github.com/getcd/getcd/internal/etcderr"
	"github.com/getcd/getcd/internal/explain"
)

// ErrClosed is the cause of errors of calls made on a closed client, or under
// way when it was closed. errors.Is finds net.ErrClosed, as in each ErrClosed of getcd.
var ErrClosed = closed.New("client: closed")

// Error is a failed call. Its text names the operation, what became of it, and
// each endpoint that was tried with its last error.
//
// errors.Is finds etcd's errors of package rpctypes, the context's error when
// the context ended the call, and ErrClosed. status.FromError and status.Code
// find a gRPC status.
type Error struct {
	// Op is the operation, such as "Put".
	Op string
	// Err is the cause: an rpctypes.EtcdError where the server gave one, a gRPC
	// status error, or the context's error.
	Err error
	// Attempts has the last failure of each endpoint that was tried, in the
	// order of the first try. When the call ended without an answer, those that
	// were not tried follow, with what is known of their connections.
	Attempts []AttemptError

	ambiguous bool
}

// AttemptError is the failure of one endpoint.
type AttemptError struct {
	// Endpoint is the address, or for a name that could not be resolved the URI.
	Endpoint string
	// Err is the last failure there: a gRPC status error, one of etcd's (package rpctypes), or
	// why the endpoint was not tried.
	Err error
}

// Ambiguous reports whether the operation may have been applied, or may yet be.
// When false it is certain that it was not applied.
func (e *Error) Ambiguous() bool { return e.ambiguous }

// GivenUp reports whether it was the client that ended the request, after it had been
// sent, because its member was of no use any more.
func (e *Error) GivenUp() bool {
	_, ok := errors.AsType[givenUpError](e.Err)
	return ok
}

// IsAmbiguous reports whether err says that a write may have been applied: the
// request was sent, and its outcome was not learned. The caller must find out
// before it repeats the write. Reading alone may be too early, since a member that was
// stopped may apply the write later; kv.Marker makes transactions of which it can be
// found out, and with middleware/once all writes of a client are. All other errors of a write
// mean that it was not applied.
//
// Of errors that were joined one is enough.
func IsAmbiguous(err error) bool {
	ambiguous, _ := etcderr.Told(err)
	return ambiguous
}

// Error implements error.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "etcd %s: %s", e.Op, text(e.Err))
	if e.ambiguous {
		b.WriteString(" (it may have been applied)")
	}
	for i, a := range e.Attempts {
		sep := "; "
		if i == 0 {
			sep = " ["
		}
		b.WriteString(sep + a.Endpoint)
		if t := text(a.Err); a.Err != nil && (len(e.Attempts) > 1 || t != text(e.Err)) {
			b.WriteString(": " + t)
		}
	}
	if len(e.Attempts) > 0 {
		b.WriteString("]")
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Renamed returns the error as that of another operation. It is for middleware that has sent
// a caller's call as part of another one.
func (e *Error) Renamed(op string) error {
	renamed := *e
	renamed.Op = op
	return &renamed
}

// As finds a *ClusterError, which is never a call's cause but may be why an endpoint
// could not be used (errors.As).
func (e *Error) As(target any) bool {
	if t, ok := target.(**ClusterError); ok {
		for _, a := range e.Attempts {
			if errors.As(a.Err, t) {
				return true
			}
		}
	}
	return false
}

// ClusterError says that behind an endpoint there is a member of another cluster than
// the client's (Config.ClusterID).
type ClusterError = balancer.ClusterError

// GRPCStatus returns the cause as a gRPC status with the whole text.
func (e *Error) GRPCStatus() *status.Status {
	code := codes.Unknown
	if etcd, ok := errors.AsType[rpctypes.EtcdError](e.Err); ok {
		code = etcd.Code()
	} else if s, ok := status.FromError(e.Err); ok {
		code = s.Code()
	} else if s := status.FromContextError(e.Err); s.Code() != codes.Unknown {
		code = s.Code()
	} else if errors.Is(e.Err, ErrClosed) {
		code = codes.Canceled
	}
	return status.New(code, e.Error())
}

// givenUpError is the end of an attempt that the policy has canceled. It is not its
// cause, which may be what the member has answered to another request.
type givenUpError struct{ cause error }

func (e givenUpError) Error() string { return e.GRPCStatus().Err().Error() }

func (e givenUpError) GRPCStatus() *status.Status {
	return status.New(codes.Unavailable, "given up: "+text(e.cause))
}

// orGivenUp returns err, or why the policy has canceled the attempt if that is how it ended.
func orGivenUp(err error, a *attempt.Attempt) error {
	if cause := a.GivenUp(); cause != nil && status.Code(err) == codes.Canceled {
		return givenUpError{cause}
	}
	return err
}

// text is err without gRPC's "rpc error: code = … desc =", which names what the
// reader can't act on.
func text(err error) string {
	if err == nil {
		return "not tried"
	}
	if e, ok := errors.AsType[*Error](err); ok { // the only call within a call is the login
		return "login failed: " + strings.TrimPrefix(e.Error(), "etcd "+e.Op+": ")
	}
	if s, ok := err.(interface{ GRPCStatus() *status.Status }); ok {
		st := s.GRPCStatus()
		if strings.HasPrefix(st.Message(), "etcdserver: ") {
			return st.Message()
		}
		return st.Code().String() + ": " + st.Message()
	}
	return explain.Plain(err)
}
