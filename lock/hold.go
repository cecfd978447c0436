package lock

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/getcd/getcd/internal/queue"
	"github.com/getcd/getcd/lease"
	"github.com/getcd/getcd/watch"
)

// hold is one try to hold a Mutex's lock, from its lease to its end. A Mutex
// makes a new one for each.
type hold struct {
	grip
	ttl    time.Duration
	leases lease.Lease
	own    bool // leases is this hold's alone, to be closed with it
	id     lease.ID
	keeper *lease.Keeper
	wg     sync.WaitGroup
}

// newHold returns a hold whose life ends with ctx until it is detached.
func (m *Mutex) newHold(ctx context.Context) (h *hold, detach func() bool) {
	h = &hold{ttl: m.ttl, leases: m.leases, id: lease.NewID()}
	if h.leases == nil {
		h.leases, h.own = lease.New(m.cc), true
	}
	h.grip = newGrip(ctx, m.name, queue.Place{
		KV: m.kv, Watcher: watch.New(m.cc), Leases: h.leases, TTL: m.ttl,
		Prefix: m.prefix, Key: queue.Key(m.prefix, h.id),
	})
	return h, context.AfterFunc(ctx, func() { h.end(ctx.Err()) })
}

// acquire gets the lease, queues and, with wait, waits until the lock is held.
// Whatever it returns but nil, drop must be called.
func (h *hold) acquire(wait bool) error {
	if _, err := h.leases.GrantID(h.life, h.id, int64(h.ttl/time.Second)); err != nil {
		return err
	}
	keeper, err := h.leases.Keep(h.life, h.id)
	if err != nil {
		return err
	}
	h.keeper = keeper
	h.wg.Go(func() {
		select {
		case <-keeper.Done():
			h.end(lost(h.name, keeper.Err()))
		case <-h.life.Done():
		}
	})

	if _, err := h.place.Take(h.life, "", h.id); err != nil {
		return err
	}
	if wait {
		return h.place.Wait(h.life)
	}
	first, err := h.place.First(h.life)
	if err == nil && !first {
		err = ErrLocked
	}
	return err
}

// guard watches over the key of a lock that is held.
func (h *hold) guard() {
	h.wg.Go(func() {
		err := h.place.Hold(h.life)
		if errors.Is(err, queue.ErrDeleted) {
			h.end(lost(h.name, err))
		}
		// Anything else leaves it to the lease: who may renew it holds the lock.
	})
}

// err is why the hold is over, or nil.
func (h *hold) err() error {
	if err := h.keeper.Err(); err != nil {
		h.end(lost(h.name, err)) // unless it has ended already
	}
	return context.Cause(h.life)
}

// drop ends the hold for the given reason and frees what it has on the cluster,
// within 3 s. It waits for every goroutine.
func (h *hold) drop(ctx context.Context, cause error) error {
	h.end(cause)
	err := revoke(ctx, h.leases, h.id)
	h.wg.Wait()
	_ = h.place.Watcher.Close()
	if h.own {
		_ = h.leases.Close()
	}
	return err
}
