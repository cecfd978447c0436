package concurrency_test

import (
	"context"
	"errors"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/clientv3/concurrency"
)

// NewSession revokes no lease that was certainly not granted: that would take up to 3 s more.
func TestNewSessionRefused(t *testing.T) {
	for name, test := range map[string]struct {
		refuse func(r *rig)
		leader bool // required
		want   error
		within time.Duration
	}{
		"learner":   {func(r *rig) { r.member.SetLearner(true) }, false, rpctypes.ErrGRPCNotSupportedForLearner, 2 * time.Second},
		"no leader": {func(r *rig) { r.member.SetNoLeader(true) }, true, rpctypes.ErrGRPCNoLeader, 2 * time.Second},
		"no permission": {func(r *rig) {
			r.member.Intercept(func(_ context.Context, method string, _ any, next func() (any, error)) (any, error) {
				if method == pb.Lease_LeaseGrant_FullMethodName {
					return nil, rpctypes.ErrGRPCPermissionDenied
				}
				if method == pb.Lease_LeaseRevoke_FullMethodName {
					r.t.Error("a lease that was not granted is revoked")
				}
				return next()
			})
		}, false, rpctypes.ErrGRPCPermissionDenied, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(r *rig) {
				t := r.t
				test.refuse(r)
				ctx := t.Context()
				if test.leader {
					ctx = clientv3.WithRequireLeader(ctx)
				}
				begin := time.Now()
				_, err := concurrency.NewSession(r.Client, concurrency.WithContext(ctx))
				if want := rpctypes.Error(test.want); !errors.Is(err, want) {
					t.Errorf("NewSession: %v, want %v", err, want)
				}
				if took := time.Since(begin); took > test.within {
					t.Errorf("NewSession took %v, want at most %v", took, test.within)
				}
			})
		})
	}
}
