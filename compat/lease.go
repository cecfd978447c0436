package compat

import (
	"context"
	"errors"
	"sync"

	clientv3 "go.etcd.io/etcd/client/v3"

	getcd "github.com/getcd/getcd/clientv3"
)

// lease keeps leases alive with getcd's keepers. The original sends all renewals
// on one stream. If its member leaves one renewal unanswered, as a follower does
// whose leader has stopped, that renewal delays all others until their leases are
// given up.
type lease struct {
	clientv3.Lease

	of      getcd.Lease
	closing context.Context //nolint:containedctx // it ends with the service
	cancel  context.CancelFunc

	mu      sync.Mutex // none is added to keepers after closing has ended
	keepers sync.WaitGroup
}

func newLease(original *clientv3.Client, of getcd.Lease) *lease {
	l := &lease{Lease: original.Lease, of: of}
	l.closing, l.cancel = context.WithCancel(original.Ctx())
	return l
}

func (l *lease) KeepAlive(ctx context.Context, id clientv3.LeaseID) (<-chan *clientv3.LeaseKeepAliveResponse, error) {
	out := make(chan *clientv3.LeaseKeepAliveResponse, clientv3.LeaseResponseChSize)
	l.mu.Lock()
	err := l.closing.Err()
	if err == nil {
		l.keepers.Add(1)
	}
	l.mu.Unlock()
	if err != nil {
		close(out)
		return out, clientv3.ErrKeepAliveHalted{Reason: err}
	}
	ctx, cancel := until(ctx, l.closing)
	in, err := l.of.KeepAlive(ctx, getcd.LeaseID(id))
	if err != nil {
		l.keepers.Done()
		cancel()
		close(out)
		if halted, ok := errors.AsType[getcd.ErrKeepAliveHalted](err); ok {
			err = clientv3.ErrKeepAliveHalted(halted)
		}
		return out, err
	}
	go func() { // ends with in, which ends with ctx
		defer l.keepers.Done()
		defer close(out)
		defer cancel()
		for r := range in {
			select {
			case out <- keptAlive(r):
			default: // clientv3 drops it, too
			}
		}
	}()
	return out, nil
}

func (l *lease) KeepAliveOnce(ctx context.Context, id clientv3.LeaseID) (*clientv3.LeaseKeepAliveResponse, error) {
	ctx, cancel := until(ctx, l.closing)
	defer cancel()
	r, err := l.of.KeepAliveOnce(ctx, getcd.LeaseID(id))
	return keptAlive(r), err
}

// keptAlive converts a response, or returns nil for nil.
func keptAlive(r *getcd.LeaseKeepAliveResponse) *clientv3.LeaseKeepAliveResponse {
	if r == nil {
		return nil
	}
	return &clientv3.LeaseKeepAliveResponse{ResponseHeader: r.ResponseHeader, ID: clientv3.LeaseID(r.ID), TTL: r.TTL}
}

func (l *lease) Close() error {
	l.mu.Lock()
	l.cancel()
	l.mu.Unlock()
	l.keepers.Wait()
	return l.Lease.Close()
}
