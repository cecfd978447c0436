package lease_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.uber.org/goleak"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/internal/backoff"
	"github.com/getcd/getcd/lease"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const keepAlive = pb.Lease_LeaseKeepAlive_FullMethodName

// service is the lease service on the first member of a new cluster.
func service(t *testing.T, members int) (lease.Lease, *etcdtest.Cluster) {
	t.Helper()
	c := etcdtest.Start(t, members)
	return newService(t, c.Conn(t)), c
}

// newService is the lease service on a connection. The end of the test closes it.
func newService(t *testing.T, cc grpc.ClientConnInterface) lease.Lease {
	t.Helper()
	l := lease.New(cc)
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return l
}

func mustGrant(t *testing.T, l lease.Lease, ttl int64) lease.ID {
	t.Helper()
	g, err := l.Grant(t.Context(), ttl)
	if err != nil {
		t.Fatalf("Grant(%d): %v", ttl, err)
	}
	return g.ID
}

func mustKeep(t *testing.T, l lease.Lease, id lease.ID) *lease.Keeper {
	t.Helper()
	k, err := l.Keep(t.Context(), id)
	if err != nil {
		t.Fatalf("Keep: %v", err)
	}
	return k
}

// exists asks another member than the one under test whether a lease lives.
func exists(t *testing.T, cc grpc.ClientConnInterface, id lease.ID) bool {
	t.Helper()
	resp, err := pb.NewLeaseClient(cc).LeaseTimeToLive(t.Context(), &pb.LeaseTimeToLiveRequest{ID: int64(id)})
	if err != nil {
		t.Fatalf("LeaseTimeToLive: %v", err)
	}
	return resp.GrantedTTL > 0
}

func isDone(k *lease.Keeper) bool {
	select {
	case <-k.Done():
		return true
	default:
		return false
	}
}

// renewal is a keep-alive request as a server received it.
type renewal struct {
	id lease.ID
	at time.Time
}

// record notes when each renewal arrives at m, and lets delay, if given, say how
// long to wait with the n-th one, counted from 1.
func record(m *etcdtest.Member, delay func(n int) time.Duration) func() []renewal {
	var (
		mu  sync.Mutex
		all []renewal
	)
	m.Tap(keepAlive, etcdtest.Tap{Received: func(ctx context.Context, req any) error {
		mu.Lock()
		all = append(all, renewal{lease.ID(req.(*pb.LeaseKeepAliveRequest).ID), time.Now()})
		n := len(all)
		mu.Unlock()
		if delay == nil {
			return nil
		}
		return wait(ctx, delay(n))
	}})
	return func() []renewal {
		mu.Lock()
		defer mu.Unlock()
		return append([]renewal(nil), all...)
	}
}

func wait(ctx context.Context, d time.Duration) error {
	backoff.Sleep(ctx, d)
	return ctx.Err()
}

func wantIs(t *testing.T, what string, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("%s: got error %v, want one that is %v", what, err, target)
	}
}
