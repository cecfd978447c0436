package below_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/clientv3/internal/below"
	"github.com/getcd/getcd/lease"
)

// silent is a lease service whose KeepAlive has no answers.
type silent struct {
	clientv3.Lease
	kept context.Context //nolint:containedctx // KeepAlive's
}

func (*silent) Grant(context.Context, int64) (*clientv3.LeaseGrantResponse, error) {
	return &clientv3.LeaseGrantResponse{ID: 7}, nil // it does not tell the TTL
}

func (s *silent) KeepAlive(ctx context.Context, _ clientv3.LeaseID) (<-chan *clientv3.LeaseKeepAliveResponse, error) {
	s.kept = ctx
	return make(chan *clientv3.LeaseKeepAliveResponse), nil
}

// A service keeps a lease until its keeper ends, and no longer.
func TestKeep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &silent{}
		if own := below.Lease(clientv3.FromLease(lease.New(nil))); below.Foreign(own) || !below.Foreign(s) {
			t.Error("getcd's services and others are mistaken for each other")
		}
		leases := below.Lease(s)
		granted, err := leases.Grant(t.Context(), 60)
		if err != nil {
			t.Fatal(err)
		}
		k, err := leases.Keep(t.Context(), granted.ID)
		if err != nil || k.Err() != nil {
			t.Fatalf("Keep: %v, then %v", err, k.Err())
		}
		_ = k.Close()
		synctest.Wait()
		if s.kept.Err() == nil {
			t.Error("the service keeps the lease after Close")
		}
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			synctest.Wait()
			cancel()
		}()
		if _, err := leases.Keep(ctx, 8); !errors.Is(err, context.Canceled) {
			t.Errorf("Keep of a lease that nothing is known of: %v, want %v", err, context.Canceled)
		}
		if s.kept.Err() == nil {
			t.Error("the service keeps the lease after an error")
		}
		if _, err := leases.Revoke(t.Context(), lease.NoLease); !errors.Is(err, rpctypes.ErrLeaseNotFound) {
			t.Errorf("Revoke of no lease: %v, want %v", err, rpctypes.ErrLeaseNotFound)
		}
		if _, err := leases.GrantID(t.Context(), 8, 60); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("GrantID: %v, want %v", err, errors.ErrUnsupported)
		}
	})
}
