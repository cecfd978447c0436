package concurrency_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/clientv3/concurrency"
)

// A cluster that has no space, or is corrupt, says so to those who lock or campaign, as to
// clientv3's, who may wait for a lock with a context that never ends.
func TestAlarms(t *testing.T) {
	for name, tc := range map[string]struct {
		alarm   error
		applied bool
		want    error
	}{
		"no space":               {rpctypes.ErrGRPCNoSpace, false, rpctypes.ErrNoSpace},
		"no space, and applied":  {rpctypes.ErrGRPCNoSpace, true, rpctypes.ErrNoSpace},
		"the cluster is corrupt": {rpctypes.ErrGRPCCorrupt, false, rpctypes.ErrCorrupt},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(r *rig) {
				t := r.t
				m, e := r.mutex(), concurrency.NewElection(r.session(), "lock")
				for what, call := range map[string]func(context.Context) error{
					"Lock": m.Lock, "TryLock": m.TryLock, "Campaign": func(ctx context.Context) error { return e.Campaign(ctx, "v") },
				} {
					var last atomic.Bool
					last.Store(tc.applied)
					r.member.Intercept(func(_ context.Context, _ string, req any, next func() (any, error)) (any, error) {
						if txn, ok := req.(*pb.TxnRequest); !ok || len(txn.Success) == 0 || txn.Success[0].GetRequestPut() == nil {
							return next()
						}
						if last.Swap(false) {
							_, _ = next()
						}
						return nil, tc.alarm
					})
					began := time.Now()
					if err := call(t.Context()); err != tc.want { //nolint:errorlint // as callers do
						t.Errorf("%s: %v, want %v", what, err, tc.want)
					}
					if took := time.Since(began); took > time.Second {
						t.Errorf("%s took %v", what, took)
					}
					r.wantKeys(0)
				}
				r.member.Intercept(nil)
				r.lock(m)
				r.unlock(m)
			})
		})
	}
}

// A value that is too large is refused at once.
func TestCampaignWithALargeValue(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		e := concurrency.NewElection(r.session(), "lock")
		began := time.Now()
		if err := e.Campaign(t.Context(), strings.Repeat("x", 3<<20)); status.Code(err) != codes.ResourceExhausted || time.Since(began) > time.Second {
			t.Errorf("Campaign: %v after %v, want gRPC's refusal at once", err, time.Since(began))
		}
		r.wantKeys(0)
		if err := e.Campaign(t.Context(), "x"); err != nil {
			t.Errorf("Campaign: %v", err)
		}
	})
}
