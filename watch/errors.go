package watch

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/internal/closed"
	"github.com/getcd/getcd/internal/etcderr"
	"github.com/getcd/getcd/kv"
)

var (
	// ErrClosed is the cause of watches that Close has ended, and of those that
	// are begun after it.
	ErrClosed = closed.New("watch: closed")
	// ErrClusterChanged is what every *ClusterChangedError is.
	ErrClusterChanged = errors.New("watch: the endpoints belong to another cluster")
	// ErrRevisionRegressed is what every *RevisionRegressedError is.
	ErrRevisionRegressed = errors.New("watch: the cluster has lost revisions that were seen")
	// ErrTooLarge is what every *TooLargeError is.
	ErrTooLarge = errors.New("watch: a response is larger than the connection accepts")
	// ErrProtocol is what every *ProtocolError is.
	ErrProtocol = errors.New("watch: the server breaks the protocol")
)

// errMute is RequestProgress's on a server that does not answer: see progress.
var errMute = fmt.Errorf("watch: RequestProgress: this server leaves such requests unanswered, as etcd's grpc-proxy does: %w", errors.ErrUnsupported)

// errEarly is RequestProgress's on a server that answers too early, and over package
// gateway, which says as much: see progress.
var errEarly = fmt.Errorf("watch: RequestProgress needs etcd 3.4.25, 3.5.8 or later, and not its JSON gateway: answers overtake the events that they speak of (etcd issue 15220): %w", errors.ErrUnsupported)

// errNoContext is a call's without a context.
func errNoContext(call string) error {
	return &kv.UsageError{Package: "watch", Op: call, Option: "ctx", Reason: "it is nil; use context.Background() if there is none"}
}

// CompactedError ends a watch whose next revision has been compacted: there are
// changes that nobody can learn any more. errors.Is finds
// rpctypes.ErrCompacted. What remains is to read the present state and watch
// from there, as Follow does.
type CompactedError struct {
	// Revision is where the watch had to continue.
	Revision int64
	// CompactRevision is the first revision that can still be watched, or 0 if
	// the server did not say.
	CompactRevision int64

	header *pb.ResponseHeader // the server's
}

// Error implements error.
func (e *CompactedError) Error() string {
	if e.CompactRevision == 0 {
		return fmt.Sprintf("watch: revision %d is gone: %v", e.Revision, rpctypes.ErrCompacted)
	}
	return fmt.Sprintf("watch: revision %d is gone, revisions below %d were compacted: %v", e.Revision, e.CompactRevision, rpctypes.ErrCompacted)
}

// Unwrap returns rpctypes.ErrCompacted.
func (e *CompactedError) Unwrap() error { return rpctypes.ErrCompacted }

// ClusterChangedError ends a watch that was to be resumed in a cluster with
// another ID, whose revisions have nothing to do with those seen so far.
type ClusterChangedError struct {
	// Was and Is are the IDs of the two clusters.
	Was, Is uint64
}

// Error implements error.
func (e *ClusterChangedError) Error() string {
	return fmt.Sprintf("%v: it was %x and is %x", ErrClusterChanged, e.Was, e.Is)
}

// Unwrap returns ErrClusterChanged.
func (e *ClusterChangedError) Unwrap() error { return ErrClusterChanged }

// RevisionRegressedError ends a watch that has seen a revision, or a raft term,
// that the cluster has not reached, by the answer to a linearizable read: the
// cluster was restored from a backup, or has lost its data.
type RevisionRegressedError struct {
	// Seen and Now are revisions; SeenTerm and NowTerm raft terms.
	Seen, Now         int64
	SeenTerm, NowTerm uint64
}

// Error implements error.
func (e *RevisionRegressedError) Error() string {
	return fmt.Sprintf("%v: revision %d in raft term %d was seen, the cluster is at %d in term %d",
		ErrRevisionRegressed, e.Seen, e.SeenTerm, e.Now, e.NowTerm)
}

// Unwrap returns ErrRevisionRegressed.
func (e *RevisionRegressedError) Unwrap() error { return ErrRevisionRegressed }

// TooLargeError ends a watch whose next response is larger than the connection
// accepts, though it may come in fragments, or whose next revision has more in its
// fragments than is kept (WithBuffer). Of a grpc.ClientConn the limit is
// grpc.MaxCallRecvMsgSize, 4 MiB when it is not set, which WithCallOptions sets
// for the watches alone; of a client.Client it is Config.MaxCallRecvMsgSize.
//
// An event is never split: with WithPrevKV it has two values, of 1.5 MiB each
// at the server's default limit. History that the server sends before it has
// announced the watch is one message, of up to 1,000 revisions.
type TooLargeError struct {
	// Revision is where the watch had to continue.
	Revision int64
	// Size is the response's, and Limit the connection's, in bytes; 0 if gRPC
	// did not say. Without Err, Size is what the fragments took when they were
	// given up, and Limit is WithBuffer's.
	Size, Limit int
	// Err is gRPC's error; nil when it is the fragments that are too many.
	Err error
}

// Error implements error.
func (e *TooLargeError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("%v: the fragments of one revision, at or after %d, take more than %d bytes: raise WithBuffer's",
			ErrTooLarge, e.Revision, e.Limit)
	}
	var sizes string
	if e.Limit > 0 {
		sizes = fmt.Sprintf(" (%d bytes, and at most %d)", e.Size, e.Limit)
	}
	return fmt.Sprintf("%v%s, at or after revision %d: raise MaxCallRecvMsgSize; fragments, which WithFragment asks for, are in use already: %v",
		ErrTooLarge, sizes, e.Revision, e.Err)
}

// Unwrap returns ErrTooLarge and, if there is one, Err.
func (e *TooLargeError) Unwrap() []error {
	if e.Err == nil {
		return []error{ErrTooLarge}
	}
	return []error{ErrTooLarge, e.Err}
}

func newTooLargeError(w *watcher, err error) *TooLargeError {
	e := &TooLargeError{Revision: w.next, Err: err}
	if _, sizes, ok := strings.Cut(err.Error(), "larger than max ("); ok {
		if n, _ := fmt.Sscanf(sizes, "%d vs. %d)", &e.Size, &e.Limit); n != 2 {
			e.Size, e.Limit = 0, 0
		}
	}
	return e
}

// ProtocolError ends a watch whose server, in several tries, has sent what none may
// send: an event without a key or of another one than is watched, events out of
// order, answers for watches that were not asked for. What was wrong is not
// delivered. An event that comes when its revision is complete ends the watch at
// once, since changes may be missing from what was delivered. Members of etcd before
// 3.4.25, and from 3.5.0 to 3.5.7, send such events after they were sent a snapshot by
// their leader (etcd issue 15271).
type ProtocolError struct {
	// Endpoint is the server's, where the connection can tell.
	Endpoint string
	// Reason says what it has sent.
	Reason string

	late bool // an event has come when its revision was complete
}

// Error implements error.
func (e *ProtocolError) Error() string {
	if e.Endpoint == "" {
		return fmt.Sprintf("%v: %s", ErrProtocol, e.Reason)
	}
	return fmt.Sprintf("%v: %s: %s", ErrProtocol, e.Endpoint, e.Reason)
}

// Unwrap returns ErrProtocol.
func (e *ProtocolError) Unwrap() error { return ErrProtocol }

// CanceledError ends a watch that the server refused or canceled. errors.Is
// finds the rpctypes error that the reason stands for, such as
// rpctypes.ErrPermissionDenied, where there is one.
type CanceledError struct {
	// Reason is the server's text; servers before etcd 3.4 give none.
	Reason string
	// Err is the reason as an error.
	Err error
}

// Error implements error.
func (e *CanceledError) Error() string {
	return "watch: canceled by the server: " + e.Err.Error()
}

// Unwrap returns Err.
func (e *CanceledError) Unwrap() error { return e.Err }

// canceled makes an error of a cancel reason, which is the text of an error:
// etcd's alone or, from some places, behind gRPC's "rpc error: code = … desc = ".
func canceled(reason string) *CanceledError {
	text := reason
	if _, desc, ok := strings.Cut(reason, " desc = "); ok {
		text = desc
	}
	if text == "" {
		return &CanceledError{Err: errors.New("it gave no reason")}
	}
	err := rpctypes.Error(status.Error(codes.Unknown, text))
	if _, ok := errors.AsType[rpctypes.EtcdError](err); !ok {
		err = errors.New(text)
	}
	return &CanceledError{Reason: reason, Err: err}
}

// ofProxy reports a refusal that is no member's: etcd's proxy refuses with the text of
// whatever error its own request has met, such as that a connection of its own broke or
// that its member has no leader (server/proxy/grpcproxy/watch.go, recvLoop). Members'
// texts have a prefix, and none of them refuses a watch because it is unavailable.
func ofProxy(err *CanceledError) bool {
	if e, ok := errors.AsType[rpctypes.EtcdError](err.Err); ok {
		return e.Code() == codes.Unavailable
	}
	return err.Reason != "" && !slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(err.Err.Error(), p) })
}

var prefixes = []string{"etcdserver: ", "auth: ", "mvcc: "}

// refusesToken reports an error that another token may cure, which a stream gets
// when it is opened and keeps for its life.
func refusesToken(err error) bool {
	switch rpctypes.ErrorDesc(rpctypesCause(err)) {
	case rpctypes.ErrorDesc(rpctypes.ErrGRPCInvalidAuthToken),
		rpctypes.ErrorDesc(rpctypes.ErrGRPCAuthOldRevision),
		rpctypes.ErrorDesc(rpctypes.ErrGRPCUserEmpty):
		return true
	}
	return false
}

// refusalsTaken is how many streams in a row may be refused like that. A user who is
// looked up with each request, by a certificate or a simple token, is refused for every
// change of users or roles that comes in between: the next one may do, as for requests.
func refusalsTaken(err error) int {
	if rpctypes.ErrorDesc(rpctypesCause(err)) == rpctypes.ErrorDesc(rpctypes.ErrGRPCAuthOldRevision) {
		return maxOutdated
	}
	return maxRefusals
}

// rpctypesCause is the etcd error in err, as the connection or canceled has
// wrapped it, or err.
func rpctypesCause(err error) error {
	if e, ok := errors.AsType[rpctypes.EtcdError](err); ok {
		return e
	}
	return err
}

// final reports whether no other try of the stream, on whatever member, can have
// another answer. opening tells that the stream did not come into being.
func final(err error, opening bool) bool {
	// While it is being opened no server has been asked: the connection is closed.
	return etcderr.FinalForStream(err) || opening && etcderr.Closed(err)
}
