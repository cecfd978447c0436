package session

import (
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/lease"
)

var (
	// ErrLost is the cause when the lease can no longer be proven to live: it was
	// not renewed in time, or is gone. errors.Is finds the lease's cause besides:
	// lease.ErrExpired, lease.ErrRevoked, rpctypes.ErrLeaseNotFound and so on.
	ErrLost = errors.New("session: lost")
	// ErrClosed is the cause after Close.
	ErrClosed = errors.New("session: closed")
	// ErrOrphaned is the cause after Orphan.
	ErrOrphaned = errors.New("session: orphaned")
)

func lost(cause error) error { return fmt.Errorf("%w: %w", ErrLost, cause) }

// code is the error's gRPC code, by etcd's own error where there is one.
func code(err error) codes.Code {
	if etcd, ok := errors.AsType[rpctypes.EtcdError](err); ok {
		return etcd.Code()
	}
	return status.Code(err)
}

// final reports whether revoking again would end the same.
func final(err error) bool {
	switch code(err) {
	case codes.Canceled, codes.InvalidArgument, codes.PermissionDenied, codes.Unauthenticated, codes.Unimplemented:
		return true
	default:
		return false
	}
}

func leaseGone(err error) bool {
	return code(err) == codes.NotFound || errors.Is(err, lease.ErrRevoked)
}
