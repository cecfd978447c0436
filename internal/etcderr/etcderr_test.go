package etcderr_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/internal/etcderr"
)

func TestSorts(t *testing.T) {
	for _, tc := range []struct {
		name            string
		err             error
		code            codes.Code
		final, notFound bool
	}{
		{"etcd's", rpctypes.ErrPermissionDenied, codes.PermissionDenied, true, false},
		{"etcd's, wrapped", fmt.Errorf("x: %w", rpctypes.ErrLeaseNotFound), codes.NotFound, false, true},
		{"etcd's on the wire", rpctypes.ErrGRPCLeaseNotFound, codes.NotFound, false, true},
		{"etcd's text, without its code", status.Error(codes.Unknown, "etcdserver: permission denied"), codes.PermissionDenied, true, false},
		{"another text without a code", status.Error(codes.Unknown, "no idea"), codes.Unknown, false, false},
		{"etcd's that passes", rpctypes.ErrNoLeader, codes.Unavailable, false, false},
		{"connection closed", status.Error(codes.Canceled, "grpc: the client connection is closing"), codes.Canceled, true, false},
		{"unreachable", status.Error(codes.Unavailable, "connection refused"), codes.Unavailable, false, false},
		{"timeout", status.Error(codes.DeadlineExceeded, "too slow"), codes.DeadlineExceeded, false, false},
		{"a context's", context.DeadlineExceeded, codes.Unknown, false, false},
		{"none of the server's", errors.New("x"), codes.Unknown, false, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := etcderr.Code(tc.err); got != tc.code {
				t.Errorf("Code is %v, want %v", got, tc.code)
			}
			if got := etcderr.Final(tc.err); got != tc.final {
				t.Errorf("Final is %v, want %v", got, tc.final)
			}
			if got := etcderr.NotFound(tc.err); got != tc.notFound {
				t.Errorf("NotFound is %v, want %v", got, tc.notFound)
			}
		})
	}
}
