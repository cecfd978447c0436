// Package bare reduces errors to those that clientv3's callers compare with ==,
// or whose text they examine.
package bare

import (
	"context"
	"errors"
	"io"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/internal/etcderr"
)

// Error returns the first of these that exists: the context's error that caused
// err, rpctypes.ErrTimeout for a write that is in doubt although err wraps a
// refusal, the rpctypes error that err stands for, the gRPC status error that err
// wraps, or err itself.
func Error(err error) error {
	if err == nil {
		return nil
	}
	for _, end := range []error{context.DeadlineExceeded, context.Canceled} {
		if errors.Is(err, end) {
			return end
		}
	}
	if inDoubt(err) {
		return rpctypes.ErrTimeout // as in cause
	}
	if e, ok := errors.AsType[rpctypes.EtcdError](err); ok {
		return e
	}
	if e, ok := errors.AsType[*client.Error](err); ok {
		return cause(e)
	}
	return rpctypes.Error(err)
}

// Status is Error for a generated stub: it returns a gRPC status error or io.EOF.
func Status(err error) error {
	err = Error(err)
	if e, ok := errors.AsType[rpctypes.EtcdError](err); ok {
		return status.Error(e.Code(), e.Error())
	}
	if _, ok := status.FromError(err); ok || errors.Is(err, io.EOF) {
		return err
	}
	return status.FromContextError(err).Err()
}

// inDoubt reports whether an error around the client's says that a write may have been
// applied, while what it wraps says that it was not. Package once has such errors: a
// write was applied, and a read after it was refused. Programs would take the refusal
// for the write's.
func inDoubt(err error) bool {
	e, ok := errors.AsType[interface {
		error
		Ambiguous() bool
	}](err)
	if !ok || !e.Ambiguous() {
		return false
	}
	_, own := e.(*client.Error) // not errors.As: the client's own is left to cause
	return !own && !etcderr.Ambiguous(errors.Unwrap(e))
}

// cause returns the error that ended a client's call.
func cause(e *client.Error) error {
	for { // a failed login is an Error in an Error
		inner, ok := errors.AsType[*client.Error](e.Err)
		if !ok {
			break
		}
		e = inner
	}
	switch {
	case errors.Is(e.Err, client.ErrClosed):
		return grpc.ErrClientConnClosing //nolint:staticcheck // SA1019: it is what grpc returns, and programs compare with it
	case e.Ambiguous() && e.GivenUp():
		// The write was sent, but nobody waits for its response any longer. Among
		// etcd's errors, this is the one for that case: a server returns it after
		// waiting for a proposal in vain, so programs know that the outcome is
		// unknown. Similar errors blame the leader or a connection between
		// members, which is not known here, and not all programs check for those.
		return rpctypes.ErrTimeout
	}
	return rpctypes.Error(e.Err)
}
