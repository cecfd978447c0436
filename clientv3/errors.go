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
	// ErrNoAvailableEndpoints is returned by New if there are no endpoints, and
	// by calls of a client without a connection.
	ErrNoAvailableEndpoints = errors.New("etcdclient: no available endpoints")
	// ErrOldCluster is returned by New with RejectOldCluster if a member is too
	// old.
	ErrOldCluster = errors.New("etcdclient: old cluster version")
	// ErrMutuallyExclusiveCfg is returned by New if both a token and a user are
	// set.
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

// plain converts the error of a call with ctx from getcd's packages to the one
// that clientv3 would return.
func plain(ctx context.Context, err error) error { return ContextError(ctx, bare.Error(err)) }

// ContextError returns the rpctypes error that err stands for, or the context's
// error if that caused err, or err itself.
func ContextError(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[rpctypes.EtcdError](rpctypes.Error(err)); ok {
		return e
	}
	if s, ok := status.FromError(err); ok && ctx != nil && ctx.Err() != nil { // if nil, err says so
		if s.Code() == codes.DeadlineExceeded || s.Code() == codes.Canceled {
			return ctx.Err()
		}
	}
	return err
}

// IsConnCanceled reports whether err means that the connection was closed or the
// request was canceled.
func IsConnCanceled(err error) bool {
	if err == nil {
		return false
	}
	if s, ok := status.FromError(err); ok {
		return s.Code() == codes.Canceled || s.Message() == "transport is closing"
	}
	return errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "grpc: the client connection is closing")
}
