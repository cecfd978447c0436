package once

import (
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/internal/closed"
	"github.com/getcd/getcd/internal/etcderr"
)

var errClosed = closed.New("once: closed")

// AppliedError is the error of a write that was applied, once, but whose answer was lost and
// can't be told from the store any more. errors.Is finds why: rpctypes.ErrCompacted when the
// revisions that it takes were compacted meanwhile, rpctypes.ErrPermissionDenied when the user
// may write but not read, or the context's error.
//
// Ambiguous is true of it, so that whoever asks only for that does not take it for a write that
// was not applied.
type AppliedError struct {
	// Revision is the store's at which the write was applied.
	Revision int64
	// Succeeded is the transaction's. It is true of a Put and a DeleteRange.
	Succeeded bool
	// Err is why the rest of the answer is not known.
	Err error
}

// Error implements error.
func (e *AppliedError) Error() string {
	return fmt.Sprintf("once: the write was applied at revision %d, but its answer was lost, and can't be read from the store: %v", e.Revision, e.Err)
}

// Unwrap returns Err.
func (e *AppliedError) Unwrap() error { return e.Err }

// Ambiguous is true.
func (e *AppliedError) Ambiguous() bool { return true }

// GRPCStatus has Err's code.
func (e *AppliedError) GRPCStatus() *status.Status { return status.New(code(e.Err), e.Error()) }

// notAppliedError is the error of a write that was certainly not applied, and will not be, for a
// cause that can be another request's, or one copy's, and as such in doubt.
type notAppliedError struct {
	what  string
	cause error
}

func newNotApplied(what string, err error) error { return &notAppliedError{what, etcderr.Certain(err)} }

func (e *notAppliedError) Error() string              { return "once: " + e.what + ": " + e.cause.Error() }
func (e *notAppliedError) Unwrap() error              { return e.cause }
func (e *notAppliedError) Ambiguous() bool            { return false }
func (e *notAppliedError) GRPCStatus() *status.Status { return status.New(code(e.cause), e.Error()) }

// inDoubtError is the error of a write that may have been applied, or may yet be.
type inDoubtError struct{ cause error }

func (e *inDoubtError) Error() string {
	return "once: whether the write was applied is not known: " + e.cause.Error()
}
func (e *inDoubtError) Unwrap() error              { return e.cause }
func (e *inDoubtError) Ambiguous() bool            { return true }
func (e *inDoubtError) GRPCStatus() *status.Status { return status.New(code(e.cause), e.Error()) }

// named returns the error of the transaction that a write was sent as, as that of the write, if
// it names its operation, as a client's does.
func named(err error, write string) error {
	e, ok := err.(interface{ Renamed(op string) error }) // not errors.As: what is around one stays
	if !ok {
		return err
	}
	return e.Renamed(write)
}

// doubted returns err, which says that the write is in doubt.
func doubted(err error) error {
	if ambiguous, _ := etcderr.Told(err); ambiguous {
		return err
	}
	return &inDoubtError{err}
}

// code is the gRPC code of an error, a context's included.
func code(err error) codes.Code {
	if c := etcderr.Code(err); c != codes.Unknown {
		return c
	}
	return status.FromContextError(err).Code()
}

// passes reports whether a copy that ended in err, while its context lives, may be answered when
// it is sent again. Nothing else is repeated, since the slot tells more.
func passes(err error) bool {
	switch etcderr.Code(err) {
	case codes.Unavailable, codes.DeadlineExceeded:
		return true
	default:
		return false
	}
}
