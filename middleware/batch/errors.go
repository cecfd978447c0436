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
	case b.lane.key.kind == puts || b.lane.key.kind == deletes:
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

// named returns the error of a batch as that of one of its calls, where it names its
// operation.
func named(err error, method string) error {
	if e, ok := errors.AsType[interface {
		error
		Renamed(op string) error
	}](err); ok {
		return e.Renamed(operation(method))
	}
	return err
}

// operation is the name of a method in errors: "Put" for "/etcdserverpb.KV/Put".
func operation(method string) string { return path.Base(method) }

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
