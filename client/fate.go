package client

import (
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/internal/etcderr"
)

// fate says what has become of a request that ended in an error.
type fate uint8

const (
	// answered: the server has refused the request for a reason of its own. It was not
	// applied, and another member would say the same.
	answered fate = iota
	// refused: the request was certainly not proposed. Another member, or the same one
	// later, may serve it.
	refused
	// overloaded: like refused, by an overloaded server.
	overloaded
	// unauthenticated: like refused, because of its token.
	unauthenticated
	// outdated: like unauthenticated, but the same token may work in a moment.
	outdated
	// late: like unauthenticated, but an earlier step of the request may have been
	// applied.
	late
	// doubtful: like answered, but it may have been applied all the same.
	doubtful
	// unknown: it may have been applied, or may still be.
	unknown
	// undeliverable: it can't be sent to any member.
	undeliverable
)

// fates has the fate for each text of an etcd error. The codes are not reliable: some errors
// arrive with another code than the server gave them, because the server's mapping lacks
// them. fateOf looks at the code only when the text is not here.
var fates = func() map[string]fate {
	m := make(map[string]fate)
	for f, errs := range map[fate][]error{
		answered: {
			// rpctypes makes these, but rpctypes.Error does not recognize them. The first
			// is an interceptor's, the second that of an empty permission
			// (auth/store.go, RoleGrantPermission).
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
			// Refused before the proposal (etcdserver/v3_server.go,
			// processInternalRaftRequestOnce).
			rpctypes.ErrGRPCRequestTooManyRequests,
		},
		unauthenticated: {
			rpctypes.ErrGRPCInvalidAuthToken,
			// The request had no token, and authentication has been switched on since.
			rpctypes.ErrGRPCUserEmpty,
		},
		outdated: {
			// Users or roles have changed since the request came, or since the token was
			// made if it is a JWT. The server says so instead of applying the request
			// (etcdserver/apply; auth/store.go, isOpPermitted) or answering a read.
			rpctypes.ErrGRPCAuthOldRevision,
		},
		doubtful: {
			// Three places give this error: before the proposal; instead of applying the
			// request; and after applying it, if this very request exceeds the quota.
			rpctypes.ErrGRPCNoSpace,
		},
		unknown: {
			// The server has not learned the outcome of the request.
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
	// raft.ErrProposalDropped, passed on by the server: this member's raft had no leader
	// for the proposal, and did not keep it.
	m["raft proposal dropped"] = refused
	// auth.ErrAuthOldRevision, passed on by servers whose table of errors lacks it: 3.4
	// and most of 3.5.
	m["auth: revision in header is old"] = outdated
	// concurrency.ErrElectionNotLeader, the answer to a Proclaim whose transaction found
	// that the candidate's key is gone, and put nothing.
	m["election: not leader"] = answered
	// gRPC's own errors for a stream that was not sent, or that is beyond the last one
	// that a GOAWAY names and so was not processed (RFC 9113, section 6.8): errStreamDrain
	// and statusGoAway in gRPC's transport.go.
	m["the connection is draining"] = refused
	m["the stream is rejected because server is draining the connection"] = refused
	return m
}()

// fateOf returns the fate of a request of kind c. sent says that it may have left this
// process, heard that the server has answered something.
func (c call) fateOf(err error, sent, heard bool) fate {
	f := fateOf(err, sent, heard)
	if c.late != nil && heard {
		return c.late(status.Convert(err).Message(), f)
	}
	return f
}

// lateWait is for Lock and Campaign, which put a key and then wait for their turn. If a later
// step fails, because the token has expired or a permission was revoked, they return that
// step's error, and often can't delete the key (concurrency.Mutex.Lock and
// Election.Campaign delete it without a token, or not at all).
func lateWait(text string, f fate) fate {
	switch text {
	case rpctypes.ErrorDesc(rpctypes.ErrGRPCNoLeader), rpctypes.ErrorDesc(rpctypes.ErrGRPCNotCapable),
		rpctypes.ErrorDesc(rpctypes.ErrGRPCNotSupportedForLearner), rpctypes.ErrorDesc(rpctypes.ErrGRPCInvalidClientAPIVersion):
		return f // only from the interceptors, which the service's own requests bypass
	case rpctypes.ErrorDesc(rpctypes.ErrGRPCLeaseNotFound):
		return f // without the lease there is no key
	}
	if _, proxy := httpStatus(text); proxy || strings.HasPrefix(text, "unknown service ") {
		return f // from something in front of the service
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

// latePromotion is for MemberPromote on a follower. The follower asks the leader over HTTP,
// and asks again if the answer is lost (etcdserver/server.go, PromoteMember). The second
// answer can be that the member is no longer a learner, that it is gone, that a new leader
// finds it not ready, or that there is no leader.
func latePromotion(text string, f fate) fate {
	switch text {
	case rpctypes.ErrorDesc(rpctypes.ErrGRPCMemberNotLearner), rpctypes.ErrorDesc(rpctypes.ErrGRPCMemberNotFound),
		rpctypes.ErrorDesc(rpctypes.ErrGRPCLearnerNotReady):
		return doubtful
	case rpctypes.ErrorDesc(rpctypes.ErrGRPCNoLeader):
		return unknown // the interceptor uses the same words
	}
	return f
}

// fateOf is for requests with a single step, so that the answer is about the whole request.
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
		// gRPC's own limits: of messages to send, checked before a message leaves, and of
		// messages received, when the server has done its work. A server that can't send
		// its answer uses the same words.
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

// again reports whether a read that ended in err may succeed if it is sent again.
func again(err error) bool {
	switch s := status.Convert(err); s.Code() {
	case codes.Unavailable, codes.Canceled, codes.DeadlineExceeded:
		return true // made by the server, since the caller's context has not ended
	case codes.Internal:
		return reset(s.Message())
	default:
		return fates[s.Message()] == unknown
	}
}

// reset reports whether gRPC says in these words that the server's side, a proxy often, has broken
// off a stream.
func reset(text string) bool {
	return strings.HasPrefix(text, "stream terminated by RST_STREAM ") || text == "server closed the stream without sending trailers"
}
