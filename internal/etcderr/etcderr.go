// Package etcderr answers what callers ask of a failed request: whether another try
// can do better, and whether the request may have been applied all the same. Nobody
// else keeps a list of codes for that.
package etcderr

import (
	"errors"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Code is the error's gRPC code. The text comes before it, since etcd's lock and
// election services send their member's errors on with the code Unknown.
func Code(err error) codes.Code {
	if etcd, ok := errors.AsType[rpctypes.EtcdError](err); ok {
		return etcd.Code()
	}
	if etcd, ok := errors.AsType[rpctypes.EtcdError](rpctypes.Error(err)); ok {
		return etcd.Code()
	}
	return status.Code(err)
}

// Final reports whether trying a request again, on whatever member, would end the
// same. The caller looks at its own context first. NotFound is no part of it: for some
// callers another lease will do.
func Final(err error) bool {
	switch Code(err) {
	case codes.Canceled: // the context is alive, so the connection was closed by its owner
		return true
	case codes.Unauthenticated: // a request that was refused for its token was repeated with a new one
		return true
	default:
		return FinalForStream(err)
	}
}

// FinalForStream reports whether opening a stream again, on whatever member, would end
// the same. Unauthenticated is no part of it: a stream keeps the token that it was
// opened with, so another one has a newer token. Nor is Canceled: a server can cancel
// a stream that is open. Only while a stream is being opened does it mean that the
// connection is closed, which the caller knows.
func FinalForStream(err error) bool {
	switch Code(err) {
	case codes.InvalidArgument: // the request is wrong
		return true
	case codes.PermissionDenied: // the user is
		return true
	case codes.Unimplemented: // the server is: it lacks the method
		return true
	default:
		return TooLarge(err) // a message
	}
}

// TooLarge reports whether err is gRPC's error for a message above a limit, be it the
// client's or the server's (rpc_util.go, stream.go).
func TooLarge(err error) bool {
	return status.Code(err) == codes.ResourceExhausted && strings.Contains(err.Error(), "larger than max")
}

// FinalForCaller is Final for those who have a caller that waits. An alarm is final for them,
// since it lasts until an operator has seen to it. What goes on in the background waits for that.
func FinalForCaller(err error) bool { return Final(err) || Alarmed(err) }

// Alarmed reports the answer of a cluster without space, or of a corrupt one, to a write.
func Alarmed(err error) bool {
	for _, alarm := range []error{rpctypes.ErrNoSpace, rpctypes.ErrCorrupt} {
		if errors.Is(err, alarm) || errors.Is(rpctypes.Error(err), alarm) {
			return true
		}
	}
	return false
}

// NotFound reports the server's answer to what needs a lease that has ended.
//
//go:noinline
func NotFound(err error) bool { return Code(err) == codes.NotFound }

// Closed reports that the connection was closed by its owner, when neither the caller's
// context nor a server can have canceled the request.
func Closed(err error) bool { return Code(err) == codes.Canceled }

// Refused reports whether a server that answers a request with this code has not
// applied it, and will not. The server's texts are more exact, where one is known
// (client/fate.go).
func Refused(code codes.Code) bool {
	switch code {
	case codes.InvalidArgument: // by the checks before the proposal, or as auth's old revision, instead of applying it
		return true
	case codes.PermissionDenied: // likewise: before the proposal, or instead of applying it
		return true
	case codes.Unauthenticated: // before the proposal: the token is unknown
		return true
	case codes.NotFound: // the lease or the member is gone: the proposal was applied as a failure
		return true
	case codes.FailedPrecondition: // likewise: what is to be made is there, or what it needs is not; or said by a learner
		return true
	case codes.AlreadyExists: // etcd says FailedPrecondition instead; a proxy need not
		return true
	case codes.OutOfRange: // the revision is compacted, or still to come: the transaction fails as a whole
		return true
	case codes.Unimplemented: // the server lacks the method, so nothing has looked at the request
		return true
	default:
		// Unavailable, DeadlineExceeded, Canceled, Internal, Unknown and Aborted say
		// nothing of the request. ResourceExhausted is said before the proposal and,
		// when this very request exceeds the quota, after it.
		return false
	}
}

// Ambiguous reports whether a write that ended in err may have been applied, or may
// yet be. A client's error says so itself. Of a plain connection's, only what the
// server has certainly refused has not.
func Ambiguous(err error) bool {
	if ambiguous, told := Told(err); told {
		return ambiguous
	}
	return !Refused(Code(err)) && !RefusedByText(err)
}

// RefusedByText reports whether err is the answer of a member that serves and has not applied the
// request, and is told by its text alone: it comes with the code Unknown, and package rpctypes does
// not know it.
func RefusedByText(err error) bool {
	switch status.Convert(err).Message() {
	case "auth: revision in header is old": // auth.ErrAuthOldRevision, of 3.4 and most of 3.5
		return true
	case "election: not leader": // concurrency.ErrElectionNotLeader
		return true
	default:
		return false
	}
}

// Told returns what the errors of a tree say themselves of the fate of their writes:
// one that may have been applied is enough. told is false when none says anything.
func Told(err error) (ambiguous, told bool) {
	if e, ok := err.(interface{ Ambiguous() bool }); ok {
		if e.Ambiguous() {
			return true, true
		}
		told = true
	}
	var inner []error
	switch e := err.(type) { //nolint:errorlint // each error of the tree is looked at
	case interface{ Unwrap() error }:
		inner = []error{e.Unwrap()}
	case interface{ Unwrap() []error }:
		inner = e.Unwrap()
	}
	for _, in := range inner {
		ambiguous, known := Told(in)
		if ambiguous {
			return true, true
		}
		told = told || known
	}
	return false, told
}

// Certain returns the first cause of err that leaves nothing in doubt.
func Certain(err error) error {
	for cause := err; cause != nil; cause = errors.Unwrap(cause) {
		if ambiguous, _ := Told(cause); !ambiguous {
			return cause
		}
	}
	return errors.New(err.Error())
}
