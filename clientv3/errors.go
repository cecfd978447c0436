package clientv3

import (
	"context"
	"errors"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/clientv3/internal/bare"
)

var (
	// ErrNoAvailableEndpoints is New's error without endpoints, and that of calls on
	// a client that was made without a connection.
	ErrNoAvailableEndpoints = errors.New("etcdclient: no available endpoints")
	// ErrOldCluster is New's error with RejectOldCluster when a member is too old.
	ErrOldCluster = errors.New("etcdclient: old cluster version")
	// ErrMutuallyExclusiveCfg is New's error with both a token and a user.
	ErrMutuallyExclusiveCfg = errors.New("Username/Password and Token configurations are mutually exclusive")
)

// ErrKeepAliveHalted is KeepAlive's error after the lease service was closed.
//
//nolint:errname // clientv3's name
type ErrKeepAliveHalted struct {
	Reason error
}

// Error implements error.
func (e ErrKeepAliveHalted) Error() string {
	s := "etcdclient: leases keep alive halted"
	if e.Reason != nil {
		s += ": " + e.Reason.Error()
	}
	return s
}

// Unwrap returns the reason.
func (e ErrKeepAliveHalted) Unwrap() error { return e.Reason }

// plain takes the error of a call with ctx as getcd's packages give it, and returns
// what clientv3 would.
func plain(ctx context.Context, err error) error { return ContextError(ctx, bare.Error(err)) }

// ContextError returns the rpctypes error that err stands for, or else the context's
// error if that is why err came to be, or else err.
func ContextError(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[rpctypes.EtcdError](rpctypes.Error(err)); ok {
		return e
	}
	if s, ok := status.FromError(err); ok && ctx != nil && ctx.Err() != nil { // nil: the error says so
		if s.Code() == codes.DeadlineExceeded || s.Code() == codes.Canceled {
			return ctx.Err()
		}
	}
	return err
}

// IsConnCanceled reports whether err says that the connection was closed, or the
// request cancelled.
func IsConnCanceled(err error) bool {
	if err == nil {
		return false
	}
	if s, ok := status.FromError(err); ok {
		return s.Code() == codes.Canceled || s.Message() == "transport is closing"
	}
	return errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "grpc: the client connection is closing")
}
