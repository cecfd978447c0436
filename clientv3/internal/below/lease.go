package below

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/internal/clock"
	"github.com/getcd/getcd/lease"
)

// leases adds the other methods of getcd's lease service to any lease service. A
// session calls only Grant, KeepAlive and Revoke of the latter, as clientv3's does.
type leases struct {
	clientv3.Lease

	presumed int64 // see Presume

	mu   sync.Mutex // guards what follows
	last lease.ID   // the lease that was granted last
	from time.Time  // of clock.Now: when Grant was called
	ttl  int64      // what was granted then
}

// Presume has Keep take ttl, in seconds, for that of a lease that l has not granted itself, until the
// first answer. Otherwise Keep waits for that. It must be called before Keep, and does nothing if l
// is one of getcd's.
func Presume(l lease.Lease, ttl int64) {
	if l, ok := l.(*leases); ok {
		l.presumed = ttl
	}
}

// Grant remembers the lease, which Keep then knows to live.
func (l *leases) Grant(ctx context.Context, ttl int64) (*lease.GrantResponse, error) {
	begin := clock.Now()
	resp, err := l.Lease.Grant(ctx, ttl)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last, l.from, l.ttl = resp.ID, begin, cmp.Or(resp.TTL, ttl)
	return resp, nil
}

func (l *leases) GrantID(context.Context, lease.ID, int64) (*lease.GrantResponse, error) {
	return nil, fmt.Errorf("clientv3: a %T chooses the IDs of its leases itself: %w", l.Lease, errors.ErrUnsupported)
}

// Revoke does not bother the service with a lease that was not granted.
func (l *leases) Revoke(ctx context.Context, id lease.ID) (*lease.RevokeResponse, error) {
	if id == lease.NoLease {
		return nil, rpctypes.ErrLeaseNotFound
	}
	return l.Lease.Revoke(ctx, id)
}

// Keep returns a keeper that the service's KeepAlive supplies with what is known of
// the lease. It ends when the channel closes.
func (l *leases) Keep(ctx context.Context, id lease.ID) (*lease.Keeper, error) {
	ctx, end := context.WithCancel(ctx)
	begin := clock.Now()
	answers, err := l.KeepAlive(ctx, id)
	if err == nil && answers == nil {
		err = fmt.Errorf("clientv3: KeepAlive of a %T returned neither a channel nor an error", l.Lease)
	}
	if err != nil {
		end()
		return nil, err
	}
	t := &tidings{known: make(chan struct{})}
	l.mu.Lock()
	if id == l.last {
		t.learn(l.from, l.ttl)
	} else if l.presumed > 0 {
		t.presume(begin, l.presumed)
	}
	l.mu.Unlock()
	service := lease.New(t)
	go t.follow(ctx, answers, service, id) // ends with ctx
	keeper, err := service.Keep(ctx, id)
	if err != nil {
		end()
		return nil, err
	}
	go func() {
		<-keeper.Done()
		end()
	}()
	return keeper, nil
}
