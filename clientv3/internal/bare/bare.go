// Package bare strips errors down to what clientv3's callers compare with ==, and
// whose text they look at.
package bare

import (
	"context"
	"errors"
	"io"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/client"
)

// Error returns the context's error that err is because of, or the rpctypes error
// that it stands for, or the gRPC status error below it, or else err.
func Error(err error) error {
	if err == nil {
		return nil
	}
	for _, end := range []error{context.DeadlineExceeded, context.Canceled} {
		if errors.Is(err, end) {
			return end
		}
	}
	if e, ok := errors.AsType[rpctypes.EtcdError](err); ok {
		return e
	}
	if e, ok := errors.AsType[*client.Error](err); ok {
		return cause(e)
	}
	return rpctypes.Error(err)
}

// Status is Error as a generated stub has it: a gRPC status error, or io.EOF.
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

// cause is what a call of a client has ended with.
func cause(e *client.Error) error {
	for { // a login that has failed is an Error in an Error
		inner, ok := errors.AsType[*client.Error](e.Err)
		if !ok {
			break
		}
		e = inner
	}
	switch {
	case errors.Is(e.Err, client.ErrClosed):
		return ErrClosing
	case e.Ambiguous() && e.GivenUp():
		// The write was sent, and is not waited for any longer. Of etcd's errors this
		// is the one for that: a server returns it when it has waited for the outcome of
		// a proposal in vain, so programs know that it leaves the outcome open. Its
		// relatives blame the leader or a connection between members, which is not known
		// here, and not all programs look for those.
		return rpctypes.ErrTimeout
	}
	return rpctypes.Error(e.Err)
}

// ErrClosing is gRPC's error of a closed connection.
var ErrClosing = status.Error(codes.Canceled, "grpc: the client connection is closing")
