package lock

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"

	"github.com/getcd/getcd/internal/backoff"
	"github.com/getcd/getcd/internal/clock"
	"github.com/getcd/getcd/internal/etcderr"
	"github.com/getcd/getcd/internal/misuse"
	"github.com/getcd/getcd/internal/queue"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lease"
)

// Locker gets and holds locks in five steps, with nothing but unary calls and
// one renewal per heartbeat:
//
//  1. LeaseGrant(ttl) → lease.
//  2. Lock(name, lease) → key, whose create revision is the fencing token.
//  3. A key means that the lock is held: go to 4. A timeout means that another
//     one holds it: go to 5.
//  4. While it is held, LeaseKeepAlive(lease) at every heartbeat. When that keeps
//     failing the lock is lost, at the time that Config.GiveUp computes.
//  5. LeaseRevoke(lease), so that no key is left in the queue, and after a while
//     again from 1.
//
// It is safe for concurrent use: each Lock has a lease of its own. Waiters are
// not served in order, and a key below NAME/ that is no waiter's blocks etcd's lock
// service; Mutex does better in both, and more.
type Locker struct {
	cfg    Config
	leases lease.Lease // its requests alone, which need no Close
	locks  Service
	kv     kv.KV
}

// NewLocker returns a Locker over cc. It starts nothing and has nothing to
// close. A Config with which two could hold the lock at once, or which is wrong
// otherwise, is an error (see Config.Validate).
func NewLocker(cc grpc.ClientConnInterface, cfg Config) (*Locker, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &Locker{
		cfg:    cfg.withDefaults(),
		leases: lease.New(cc),
		locks:  NewService(cc),
		kv:     kv.New(cc),
	}, nil
}

// Lock gets the lock called name, which must not be empty, and tries until it
// has it, ctx ends, or the server says something that will not change. The error
// has the context's and the last failure. After an error nothing is left on the
// cluster, or, when it cannot be reached for 3 s, nothing but a lease that ends
// by its TTL. The lock is held until Unlock, whatever becomes of ctx.
func (l *Locker) Lock(ctx context.Context, name string) (*Held, error) {
	if err := misuse.Context(ctx, "lock: Lock"); err != nil {
		return nil, err
	}
	if err := checkName(name); err != nil {
		return nil, err
	}
	for {
		held, err := l.try(ctx, name)
		if err == nil {
			return held, nil
		}
		if ctx.Err() != nil {
			return nil, kind.Ended(ctx, name, err)
		}
		if etcderr.FinalForCaller(err) {
			return nil, err
		}
		if !backoff.Sleep(ctx, backoff.Jitter(l.cfg.RetryInterval)) { // step 5
			return nil, kind.Ended(ctx, name, err)
		}
	}
}

// try is steps 1 to 3, and the revocation of step 5 when it fails.
func (l *Locker) try(ctx context.Context, name string) (*Held, error) {
	rctx, cancel := context.WithTimeout(ctx, l.cfg.RequestTimeout)
	defer cancel()
	// The grant is the first renewal: the server counts from when it handles it.
	id, sent := lease.NewID(), clock.Now()
	if _, err := l.leases.GrantID(rctx, id, int64(l.cfg.TTL/time.Second)); err != nil {
		_ = kind.Revoke(ctx, l.leases, id) // it may have been granted
		return nil, err
	}
	rctx, cancel = context.WithTimeout(ctx, l.cfg.RequestTimeout)
	defer cancel()
	place, err := l.queue(rctx, name, id)
	if err == nil && clock.Now().Sub(sent) >= l.cfg.GiveUp() {
		err = fmt.Errorf("lock: %q: got after %v, too late to be held", name, clock.Now().Sub(sent))
	}
	if err != nil {
		_ = kind.Revoke(ctx, l.leases, id) // failing that, its TTL ends it
		if ctx.Err() == nil && rctx.Err() != nil {
			err = fmt.Errorf("%w (no answer in %v): %w", ErrLocked, l.cfg.RequestTimeout, err)
		}
		return nil, err
	}
	return l.hold(ctx, name, place, id, sent), nil
}

// queue is step 2. The answer names the key and not its create revision, so that is
// read, and with it whether the key is there and first, now that this is known.
func (l *Locker) queue(ctx context.Context, name string, id lease.ID) (queue.Place, error) {
	resp, err := l.locks.Lock(ctx, name, id)
	if err != nil {
		return queue.Place{}, err
	}
	p := queue.Place{KV: l.kv, Leases: l.leases, Prefix: name + "/", TTL: l.cfg.TTL, Key: string(resp.Key)}
	if err := p.Find(ctx); err != nil {
		return p, fmt.Errorf("lock: %q: %w", name, err)
	}
	first, err := p.First(ctx)
	if err == nil && !first {
		err = ErrLocked
	}
	return p, err
}
