package lock

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/getcd/getcd/internal/backoff"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lease"
)

// hold is one try to hold a Mutex's lock, from its lease to its end. A Mutex
// makes a new one for each.
type hold struct {
	m      *Mutex
	leases lease.Lease
	own    bool // leases is this hold's alone, to be closed with it
	id     lease.ID
	key    string
	rev    int64 // the key's create revision: the token
	at     place // when it became the holder
	keeper *lease.Keeper

	// life ends when the lock can no longer be proven or is released, with the
	// reason as its cause. All that the hold does, it does in this context.
	life context.Context //nolint:containedctx // the hold's lifecycle
	end  context.CancelCauseFunc
	wg   sync.WaitGroup
}

// newHold returns a hold whose life ends with ctx until it is detached.
func (m *Mutex) newHold(ctx context.Context) (h *hold, detach func() bool) {
	h = &hold{m: m, leases: m.leases, id: lease.NewID()}
	if h.leases == nil {
		h.leases, h.own = lease.New(m.cc), true
	}
	h.key = fmt.Sprintf("%s%x", m.prefix, int64(h.id))
	h.life, h.end = context.WithCancelCause(context.WithoutCancel(ctx))
	return h, context.AfterFunc(ctx, func() { h.end(ctx.Err()) })
}

// acquire gets the lease, queues and, with wait, waits until the lock is held.
// Whatever it returns but nil, drop must be called.
func (h *hold) acquire(wait bool) error {
	if _, err := h.leases.GrantID(h.life, h.id, int64(h.m.ttl/time.Second)); err != nil {
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
			h.end(lost(h.m.name, keeper.Err()))
		case <-h.life.Done():
		}
	})

	if err := h.enqueue(); err != nil {
		return err
	}
	switch {
	case !h.at.mine:
		return errKeyDeleted
	case h.at.next != "" && !wait:
		return ErrLocked
	}
	h.at, err = h.follow(h.life, h.at, true)
	return err
}

// enqueue puts the own key and looks at its place. The transaction puts it once
// however often it is sent, so after a failure, which leaves open whether it was
// put, the key is read, and if it is not there the transaction is sent again. A
// straggler that the cluster still applies finds the key put, or, later, its
// lease revoked.
func (h *hold) enqueue() error {
	owner := kv.OpGet(h.m.prefix, append(kv.WithFirstCreate(), kv.WithKeysOnly())...)
	own := kv.OpGet(h.key, kv.WithKeysOnly())
	for failures := 0; ; failures++ {
		resp, err := h.m.kv.Txn(h.life).
			If(kv.Compare(kv.CreateRevision(h.key), "=", 0)).
			Then(kv.OpPut(h.key, "", kv.WithLease(h.id)), owner).
			Else(own, owner).
			Commit()
		if err == nil {
			h.rev = resp.Header.Revision
			if !resp.Succeeded {
				h.rev = resp.Responses[0].GetResponseRange().Kvs[0].CreateRevision
			}
			// Among the keys is the own one at least.
			if resp.Responses[1].GetResponseRange().Kvs[0].CreateRevision == h.rev {
				h.at = place{rev: resp.Header.Revision, mine: true}
				return nil
			}
			break
		}
		if h.life.Err() != nil || final(err) || isNotFound(err) {
			return err
		}
		if !backoff.Sleep(h.life, pauses.Pause(failures)) {
			return err
		}
		if got, err := h.m.kv.Get(h.life, h.key, kv.WithKeysOnly()); err == nil && len(got.Kvs) > 0 {
			h.rev = got.Kvs[0].CreateRevision
			break
		}
	}
	var err error
	h.at, err = h.lookUntil(h.life)
	return err
}

// guard watches over the key of a lock that is held.
func (h *hold) guard() {
	h.wg.Go(func() {
		_, err := h.follow(h.life, h.at, false)
		if errors.Is(err, errKeyDeleted) {
			h.end(lost(h.m.name, err))
		}
		// Anything else leaves it to the lease: who may renew it holds the lock.
	})
}

// cmp holds as long as the key that was put is there.
func (h *hold) cmp() kv.Cmp { return kv.Compare(kv.CreateRevision(h.key), "=", h.rev) }

// err is why the hold is over, or nil.
func (h *hold) err() error {
	if err := h.keeper.Err(); err != nil {
		h.end(lost(h.m.name, err)) // unless it has ended already
	}
	return context.Cause(h.life)
}

// drop ends the hold for the given reason and frees what it has on the cluster,
// within cleanupTime. It waits for every goroutine.
func (h *hold) drop(ctx context.Context, cause error) error {
	h.end(cause)
	err := revoke(ctx, h.leases, h.id)
	h.wg.Wait()
	if h.own {
		_ = h.leases.Close()
	}
	return err
}
