package lock

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/getcd/getcd/internal/holder"
	"github.com/getcd/getcd/internal/queue"
)

// hold is one try to hold a Mutex's lock.
type hold struct {
	*holder.Holder
	sharing      // nil: it shares nothing
	wait    bool // for other holders
}

// sharing is how a hold shares a lease with others. It is an interface so that a program without a
// Pool links none.
type sharing interface {
	take(h *hold) error                       // as takeAlone
	begin(h *hold)                            // the lock is held
	leave(ctx context.Context, h *hold) error // as Drop, when the hold has ended; ctx is one for cleaning up
}

// Run implements holder.Try.
func (h *hold) Run() error {
	var err error
	if h.sharing != nil {
		err = h.take(h)
	} else {
		err = h.takeAlone()
	}
	if err != nil {
		return err
	}
	err = h.AwaitTurn(h.wait)
	if errors.Is(err, queue.ErrDeleted) {
		err = h.Lost(err)
	}
	return err
}

// takeAlone takes a place in the queue with a lease of its own.
func (h *hold) takeAlone() error {
	if err := h.Grant(); err != nil {
		return err
	}
	if _, err := h.Keep(); err != nil {
		return err
	}
	h.WatchLease()
	h.Place.Key = queue.Key(h.Place.Prefix, h.OwnLease())
	_, err := h.Place.Take(h.Context(), "", h.OwnLease())
	return err
}

// watch is called when the lock is held.
func (h *hold) watch() {
	if h.sharing != nil {
		h.begin(h)
		return
	}
	h.WatchKey()
}

// Drop implements holder.Try.
func (h *hold) Drop(ctx context.Context, reason error) error {
	h.End(reason)
	ctx, cancel := queue.Cleanup(ctx)
	defer cancel()
	if h.sharing != nil {
		return h.leave(ctx, h)
	}
	err := h.Revoke(ctx)
	h.Wait()
	h.Close()
	return err
}

// release ends the holding, deletes the key unless the lock was lost, which is cause
// then, and lets drop free everything else, the lease with it, in 3 s. timeout bounds
// the request that deletes the key; 0 leaves that to ctx.
//
// A request that deletes the key with its create revision harms nobody, however late
// it comes and however often. So a doubt whether it was applied is settled by the
// lease, with which the key goes, and by asking again, in case somebody has taken the
// key off the lease.
func release(ctx context.Context, h *holder.Holder, timeout time.Duration, cause error, drop func(context.Context) error) error {
	leave := func(ctx context.Context) error {
		if timeout > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, timeout)
			defer cancel()
		}
		return h.Place.Leave(ctx)
	}
	h.End(errReleased)
	leaveErr := error(nil)
	if cause == nil {
		leaveErr = leave(ctx)
	}
	ctx, cancel := queue.Cleanup(ctx)
	defer cancel()
	dropErr := drop(ctx)
	switch {
	case cause != nil:
		return cause
	case errors.Is(leaveErr, queue.ErrDeleted):
		return h.Lost(leaveErr)
	case leaveErr == nil:
		return nil
	case dropErr == nil:
		_ = leave(ctx)
		return nil
	default:
		return errors.Join(fmt.Errorf("lock: unlocking %q: %w", h.Name(), leaveErr), dropErr)
	}
}
