package stm

import (
	"context"
	"errors"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/kv"
)

// CommitError is a commit that failed for another reason than a conflict. It
// unwraps to the connection's error.
type CommitError struct {
	Err error

	ambiguous bool
}

// Ambiguous reports whether the writes may have been applied, or may yet be, all
// of them or none. Then read what the function has read before running it again.
// When false it is certain that nothing was applied. client.IsAmbiguous finds it.
func (e *CommitError) Ambiguous() bool { return e.ambiguous }

// Error implements error.
func (e *CommitError) Error() string {
	if !e.ambiguous {
		return "stm: not committed: " + e.Err.Error()
	}
	return "stm: the commit may have been applied, and was not repeated: " + e.Err.Error()
}

// Unwrap returns Err.
func (e *CommitError) Unwrap() error { return e.Err }

// ambiguous reports whether a write that ended in err may have been applied. A
// client's error says so itself; of a plain connection's, only what the server has
// certainly refused has not.
func ambiguous(err error) bool {
	if e, ok := errors.AsType[interface {
		error
		Ambiguous() bool
	}](err); ok {
		return e.Ambiguous()
	}
	if _, ok := errors.AsType[*kv.UsageError](err); ok {
		return false
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	code := status.Code(err)
	if e, ok := errors.AsType[rpctypes.EtcdError](err); ok {
		code = e.Code()
	}
	switch code {
	case codes.InvalidArgument, codes.FailedPrecondition, codes.PermissionDenied, codes.NotFound,
		codes.AlreadyExists, codes.OutOfRange, codes.Unimplemented, codes.Unauthenticated:
		return false
	default:
		return true
	}
}
