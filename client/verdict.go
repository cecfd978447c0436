package client

import (
	"errors"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/balancer"
)

// fate is what became of a request that ended in an error.
type fate uint8

const (
	// answered: the server looked at the request and said no. It was not
	// applied, and another member would say the same.
	answered fate = iota
	// refused: it is certain that the request was not proposed; another member,
	// or the same one later, may serve it.
	refused
	// unauthenticated: as refused, but for its token.
	unauthenticated
	// doubtful: as answered, but it may have been applied all the same.
	doubtful
	// unknown: it may have been applied, or may yet be.
	unknown
	// undeliverable: it can't be sent, by any client, to any member.
	undeliverable
)

// texts by which etcd's errors are told. Not by their codes: some errors have
// one code when the server makes them and another when they arrive, because the
// server's mapping misses them. The codes below decide only where no text does.
var fates = func() map[string]fate {
	m := make(map[string]fate)
	for f, errs := range map[fate][]error{
		refused: {
			// The server's interceptors refuse these before the request's handler
			// runs (or, for too many requests, before it proposes).
			rpctypes.ErrGRPCNoLeader,
			rpctypes.ErrGRPCNotSupportedForLearner,
			rpctypes.ErrGRPCNotCapable,
			rpctypes.ErrGRPCRequestTooManyRequests,
		},
		unauthenticated: {
			rpctypes.ErrGRPCInvalidAuthToken,
			// The permissions changed since the token was made: refused when
			// applied, by every member alike.
			rpctypes.ErrGRPCAuthOldRevision,
			// Sent without a token while authentication was off; it is on now.
			rpctypes.ErrGRPCUserEmpty,
		},
		doubtful: {
			// Three places say this: before the proposal, instead of applying it,
			// and, when the quota is passed by this very request, after it.
			rpctypes.ErrGRPCNoSpace,
		},
		unknown: {
			// The server waited for the request's outcome in vain.
			rpctypes.ErrGRPCTimeout,
			rpctypes.ErrGRPCTimeoutDueToLeaderFail,
			rpctypes.ErrGRPCTimeoutDueToConnectionLost,
			rpctypes.ErrGRPCTimeoutWaitAppliedIndex,
			rpctypes.ErrGRPCLeaderChanged,
			rpctypes.ErrGRPCStopped,
			rpctypes.ErrGRPCCanceled,
			rpctypes.ErrGRPCDeadlineExceeded,
		},
	} {
		for _, err := range errs {
			m[rpctypes.ErrorDesc(err)] = f
		}
	}
	// raft.ErrProposalDropped, as the server passes it on: this member's raft
	// had no leader to give the proposal to, and did not keep it.
	m["raft proposal dropped"] = refused
	return m
}()

// fateOf says what became of a request. sent tells whether it may have left
// this process, heard whether the server said anything.
func fateOf(err error, sent, heard bool) fate {
	s := status.Convert(err)
	if f, ok := fates[s.Message()]; ok {
		return f
	}
	if _, ok := errors.AsType[rpctypes.EtcdError](rpctypes.Error(err)); ok {
		return answered
	}
	if balancer.NotEtcd(err) {
		return refused
	}
	switch s.Code() {
	case codes.Unavailable:
		if !sent {
			return refused
		}
		return unknown
	case codes.ResourceExhausted:
		// grpc's own limits: of what it sends, checked before the message goes
		// out, and of what it receives, when the server has done its work. A
		// server that fails to send its answer uses the same words.
		if !heard && strings.HasPrefix(s.Message(), "trying to send message larger than max") {
			return undeliverable
		}
	case codes.Internal:
		if !heard && strings.HasPrefix(s.Message(), "grpc: error while marshaling") {
			return undeliverable
		}
	case codes.InvalidArgument, codes.FailedPrecondition, codes.PermissionDenied, codes.NotFound,
		codes.AlreadyExists, codes.OutOfRange, codes.Unimplemented, codes.Unauthenticated:
		return answered
	default:
	}
	if !sent {
		return undeliverable
	}
	return unknown
}

// again reports whether a read that ended in err may find better luck with
// another try; some failures would only repeat themselves.
func again(err error) bool {
	switch s := status.Convert(err); s.Code() {
	case codes.Unavailable, codes.Canceled, codes.DeadlineExceeded:
		return true // of the server's making: the caller's own context is alive
	default:
		return fates[s.Message()] == unknown
	}
}
