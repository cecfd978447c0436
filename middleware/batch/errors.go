package batch

import (
	"context"
	"errors"
	"path"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/internal/etcderr"
)

// refused reports whether the server has refused a batch, so that each of its calls can be
// sent alone: none of them was applied, and only some of them may be wrong.
func (b *batch) refused(err error) bool {
	code := etcderr.Code(err)
	switch {
	case ended(err):
		return false
	case b.writes():
		if etcderr.Ambiguous(err) {
			return false
		}
		// The second is the client's own: the request is too large to be sent.
		return etcderr.Refused(code) || code == codes.ResourceExhausted && !is(err, rpctypes.ErrTooManyRequests)
	default:
		// A read has done nothing. Whether others do better with less of them was tried
		// below already, so only that is left which the read itself may be the cause of:
		// the sum of the answers, for instance, may be larger than the connection takes.
		return len(b.questions) > 1 && !is(err, rpctypes.ErrTooManyRequests) &&
			// A learner answers serializable reads, but no transaction.
			(code != codes.Unavailable || is(err, rpctypes.Error(rpctypes.ErrGRPCNotSupportedForLearner)))
	}
}

// ended reports the end of the batch's context, or of the connection.
func ended(err error) bool {
	switch etcderr.Code(err) {
	case codes.Canceled, codes.DeadlineExceeded:
		return true
	default:
		return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
	}
}

func tooManyOps(err error) bool { return is(err, rpctypes.ErrTooManyOps) }
func tooLarge(err error) bool   { return is(err, rpctypes.ErrRequestTooLarge) }

// is reports whether err is one of etcd's, of a client or of a plain connection.
func is(err, etcds error) bool {
	return errors.Is(err, etcds) || errors.Is(rpctypes.Error(err), etcds)
}

// named returns the error of a batch as that of one of its calls, if it names its operation, as
// a client's does. An error around one stays: middleware below says by it what became of the
// batch.
func named(err error, method string) error {
	e, ok := err.(interface{ Renamed(op string) error }) // not errors.As
	if !ok {
		return err
	}
	return e.Renamed(operation(method))
}

// operation is the name of a method in errors: "Put" for "/etcdserverpb.KV/Put".
func operation(method string) string { return path.Base(method) }

// unfitError says that an answer does not fit its request, which is nothing that etcd does. A
// server that answers has carried the request out.
type unfitError struct {
	what  string
	write bool
}

// Error implements error.
func (e *unfitError) Error() string { return "batch: the server has answered " + e.what }

// Ambiguous is true of writes, which must not be taken for ones that were not applied.
func (e *unfitError) Ambiguous() bool { return e.write }

// GRPCStatus has codes.Internal.
func (e *unfitError) GRPCStatus() *status.Status { return status.New(codes.Internal, e.Error()) }

// endedError is the end of a call by its own context.
type endedError struct {
	op        string
	err       error // the context's
	ambiguous bool
}

// Error implements error. The text is like that of a client's error.
func (e *endedError) Error() string {
	text := "etcd " + e.op + ": " + e.err.Error()
	if e.ambiguous {
		text += " (it may have been applied)"
	}
	return text
}

// Unwrap returns the context's error.
func (e *endedError) Unwrap() error { return e.err }

// Ambiguous reports whether the call was under way, and may be applied.
func (e *endedError) Ambiguous() bool { return e.ambiguous }

// GRPCStatus has the code that gRPC gives to the context's error.
func (e *endedError) GRPCStatus() *status.Status {
	return status.New(status.FromContextError(e.err).Code(), e.Error())
}
