package lease_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/lease"
)

// The first of a stream's unanswered renewals is the refused one, also when its lease was kept
// before, and that keeper's renewal was answered or was not.
func TestDeniedAfterAnEarlierKeeper(t *testing.T) {
	const twice, once = lease.ID(1), lease.ID(2)
	for name, denied := range map[string]lease.ID{"the lease": twice, "another one": once} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, c := service(t, 1)
				slow := true
				c.Member(0).Tap(keepAlive, etcdtest.Tap{Received: func(ctx context.Context, req any) error {
					id := lease.ID(req.(*pb.LeaseKeepAliveRequest).ID)
					if slow && id < 10 {
						_ = wait(ctx, time.Second)
					}
					if id == denied {
						slow = false
						return rpctypes.ErrGRPCPermissionDenied
					}
					return nil
				}})
				mustKeep(t, l, mustGrant(t, l, 3600)) // keeps the stream, and has it wait for long
				for _, id := range []lease.ID{twice, once} {
					if _, err := l.GrantID(t.Context(), id, 3600); err != nil {
						t.Fatal(err)
					}
				}
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
				defer cancel()
				if _, err := l.Keep(ctx, twice); !errors.Is(err, context.DeadlineExceeded) {
					t.Fatalf("got %v, want no answer", err)
				}
				results := map[lease.ID]chan error{}
				for _, id := range []lease.ID{once, twice} {
					result := make(chan error, 1)
					results[id] = result
					go func() {
						_, err := l.Keep(t.Context(), id)
						result <- err
					}()
					synctest.Wait() // in this order
				}
				for id, result := range results {
					err := <-result
					if got := errors.Is(rpctypes.Error(err), rpctypes.ErrPermissionDenied); got != (id == denied) {
						t.Errorf("lease %d: got %v, and lease %d is denied", id, err, denied)
					}
				}
			})
		})
	}
}
