// Package etcderr sorts etcd's errors for those who try again.
package etcderr

import (
	"errors"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Code is the error's gRPC code. The text comes before it, since etcd's lock and
// election services send their member's errors on with the code Unknown.
func Code(err error) codes.Code {
	if etcd, ok := errors.AsType[rpctypes.EtcdError](err); ok {
		return etcd.Code()
	}
	if etcd, ok := errors.AsType[rpctypes.EtcdError](rpctypes.Error(err)); ok {
		return etcd.Code()
	}
	return status.Code(err)
}

// Final reports whether trying again, on whatever member, would end the same:
// the request or the user is wrong, or the connection has been closed by its
// owner (a cancellation that did not come from the call's context, which the
// caller asks first).
func Final(err error) bool {
	switch Code(err) {
	case codes.Canceled, codes.InvalidArgument, codes.PermissionDenied, codes.Unauthenticated, codes.Unimplemented:
		return true
	default:
		return false
	}
}

// NotFound reports the server's answer to what needs a lease that has ended.
func NotFound(err error) bool { return Code(err) == codes.NotFound }
