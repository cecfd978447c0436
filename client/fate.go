package client

import (
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/internal/etcderr"
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
	// overloaded: as refused, by a server that has too much to do.
	overloaded
	// unauthenticated: as refused, but for its token.
	unauthenticated
	// outdated: as unauthenticated, but the same token may do in a moment.
	outdated
	// late: as unauthenticated, but an earlier step of the request may have been
	// applied.
	late
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
		answered: {
			// Those that rpctypes knows when it makes them, and not when they arrive
			// (rpctypes.Error): the first is the interceptors', the second that of a
			// permission without one (auth/store.go, RoleGrantPermission).
			rpctypes.ErrGRPCInvalidClientAPIVersion,
			rpctypes.ErrGRPCPermissionNotGiven,
		},
		refused: {
			// The server's interceptors refuse these before the request's handler
			// runs (api/v3rpc/interceptor.go).
			rpctypes.ErrGRPCNoLeader,
			rpctypes.ErrGRPCNotSupportedForLearner,
			rpctypes.ErrGRPCNotCapable,
		},
		overloaded: {
			// Before it is proposed (etcdserver/v3_server.go,
			// processInternalRaftRequestOnce).
			rpctypes.ErrGRPCRequestTooManyRequests,
		},
		unauthenticated: {
			rpctypes.ErrGRPCInvalidAuthToken,
			// Sent without a token while authentication was off; it is on now.
			rpctypes.ErrGRPCUserEmpty,
		},
		outdated: {
			// Users or roles have changed since the user was known: since the
			// request came, for certificates and simple tokens, since the token was
			// made, for a JWT. It is said instead of applying (etcdserver/apply,
			// auth/store.go, isOpPermitted) or of answering a read.
			rpctypes.ErrGRPCAuthOldRevision,
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
	// auth.ErrAuthOldRevision as servers pass it on whose table of errors misses it:
	// 3.4 and most of 3.5.
	m["auth: revision in header is old"] = outdated
	// concurrency.ErrElectionNotLeader, the answer to a Proclaim: its transaction
	// found that the candidate's key is gone, and put nothing.
	m["election: not leader"] = answered
	// grpc's own, of a stream that was not sent any more or is beyond the last one
	// that a GOAWAY takes (RFC 9113, section 6.8: it was not processed): errStreamDrain
	// and statusGoAway of grpc's transport.go.
	m["the connection is draining"] = refused
	m["the stream is rejected because server is draining the connection"] = refused
	return m
}()

// fateOf says what became of a request of kind c. sent tells whether it may have
// left this process, heard whether the server said anything.
func (c call) fateOf(err error, sent, heard bool) fate {
	f := fateOf(err, sent, heard)
	if c.late != nil && heard {
		return c.late(status.Convert(err).Message(), f)
	}
	return f
}

// lateWait is for Lock and Campaign, which put a key and then wait for their turn.
// When a later step fails, for a token that has expired meanwhile or a permission
// that was taken away, they answer with its error, and often can't delete the key
// (concurrency.Mutex.Lock and Election.Campaign delete it without a token, or not at
// all).
func lateWait(text string, f fate) fate {
	switch text {
	case rpctypes.ErrorDesc(rpctypes.ErrGRPCNoLeader), rpctypes.ErrorDesc(rpctypes.ErrGRPCNotCapable),
		rpctypes.ErrorDesc(rpctypes.ErrGRPCNotSupportedForLearner), rpctypes.ErrorDesc(rpctypes.ErrGRPCInvalidClientAPIVersion):
		return f // by the interceptors alone: the service asks its member without them
	case rpctypes.ErrorDesc(rpctypes.ErrGRPCLeaseNotFound):
		return f // there is no key without its lease
	}
	if _, proxy := httpStatus(text); proxy || strings.HasPrefix(text, "unknown service ") {
		return f // by something before the service
	}
	switch f {
	case answered:
		return doubtful
	case refused, overloaded:
		return unknown
	case unauthenticated, outdated:
		return late
	default:
		return f
	}
}

// latePromotion is for MemberPromote on a follower. It asks the leader over HTTP, and
// when that answer is lost, again (etcdserver/server.go, PromoteMember): then it can
// answer that the member is no learner any more, that it is gone, or not ready in the
// eyes of a new leader, or that there is no leader to ask.
func latePromotion(text string, f fate) fate {
	switch text {
	case rpctypes.ErrorDesc(rpctypes.ErrGRPCMemberNotLearner), rpctypes.ErrorDesc(rpctypes.ErrGRPCMemberNotFound),
		rpctypes.ErrorDesc(rpctypes.ErrGRPCLearnerNotReady):
		return doubtful
	case rpctypes.ErrorDesc(rpctypes.ErrGRPCNoLeader):
		return unknown // the interceptor's words, too
	}
	return f
}

// fateOf is for requests that the server takes up in one step: what it answers is
// about the whole.
func fateOf(err error, sent, heard bool) fate {
	s := status.Convert(err)
	if f, ok := fates[s.Message()]; ok {
		return f
	}
	if etcdsOwn(err) {
		return answered
	}
	if etcderr.NotEtcd(err) {
		return refused
	}
	if status, ok := httpStatus(s.Message()); ok {
		return statusFate(status)
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
	default:
		if etcderr.Refused(s.Code()) {
			return answered
		}
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
