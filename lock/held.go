package lock

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/getcd/getcd/internal/backoff"
	"github.com/getcd/getcd/lease"
)

// Held is a lock that a Locker got. It is safe for concurrent use.
type Held struct {
	l    *Locker
	name string
	key  string
	id   lease.ID

	// life ends when the lock is lost or released, with the reason as its cause.
	life     context.Context //nolint:containedctx // the lock's lifecycle
	end      context.CancelCauseFunc
	renewed  chan struct{} // closed when step 4 has returned
	deadline atomic.Pointer[time.Time]
	last     atomic.Pointer[error] // failure of a renewal; nil after a success
	freed    atomic.Bool           // Unlock was called
}

// hold starts step 4 for a lock whose lease was last renewed by a request sent
// at that time.
func (l *Locker) hold(ctx context.Context, name, key string, id lease.ID, sent time.Time) *Held {
	h := &Held{l: l, name: name, key: key, id: id, renewed: make(chan struct{})}
	h.life, h.end = context.WithCancelCause(context.WithoutCancel(ctx))
	h.acknowledged(sent)
	go func() { //nolint:contextcheck // the lock outlives the call that gets it
		defer close(h.renewed)
		h.heartbeats(sent)
	}()
	return h
}

// Key is the key that stands for the lock on the cluster.
func (h *Held) Key() string { return h.key }

// Done closes when the lock is no longer held: it was released, its lease is
// gone, or no renewal was acknowledged for as long as Config.GiveUp says, which
// is before another one can get the lock.
func (h *Held) Done() <-chan struct{} { return h.life.Done() }

// Err is nil while the lock is held, then ErrLost with the reason, or ErrNotHeld
// after Unlock. It looks at the clock, so that it is right even if this process
// has just been frozen and the timer that closes Done is late.
func (h *Held) Err() error {
	if h.life.Err() == nil && !time.Now().Before(*h.deadline.Load()) {
		h.giveUp()
	}
	return context.Cause(h.life)
}

func (h *Held) giveUp() {
	err := fmt.Errorf("no renewal was acknowledged for %v: %w", h.l.cfg.GiveUp(), lease.ErrExpired)
	if last := h.last.Load(); last != nil {
		err = because(err, *last)
	}
	h.end(lost(h.name, err))
}

// acknowledged counts the time to give up from the sending of a renewal that was
// answered, and returns how long it is to that.
func (h *Held) acknowledged(sent time.Time) time.Duration {
	deadline := sent.Add(h.l.cfg.GiveUp())
	h.deadline.Store(&deadline)
	h.last.Store(nil)
	return time.Until(deadline)
}

// Unlock releases the lock: it stops renewing, deletes the key, and revokes the
// lease, which also frees the lock when deleting the key has failed. Done closes
// before anything is sent. The revocation has its own 3 s, so that the lock is
// freed even when ctx has ended.
//
// A lock that was lost before is ErrLost: the cluster may have given it to
// another one meanwhile, from whom nothing is taken, since the key is this
// lock's own. A second Unlock is ErrNotHeld. Any other error means that the
// cluster could not be reached; the lock is free when its TTL has passed.
func (h *Held) Unlock(ctx context.Context) error {
	if h.freed.Swap(true) {
		return ErrNotHeld
	}
	h.end(errReleased)
	<-h.renewed
	cause := h.Err()

	rctx, cancel := context.WithTimeout(ctx, h.l.cfg.RequestTimeout)
	defer cancel()
	_, unlockErr := h.l.locks.Unlock(rctx, h.key)
	revokeErr := revoke(ctx, h.l.leases, h.id)
	switch {
	case errors.Is(cause, ErrLost):
		return cause
	case unlockErr != nil && revokeErr != nil:
		return errors.Join(fmt.Errorf("lock: unlocking %q: %w", h.name, unlockErr), revokeErr)
	default:
		return nil
	}
}

// heartbeats is step 4. It goes by time rather than by counting failures: it is
// time after which the cluster lets go.
func (h *Held) heartbeats(sent time.Time) {
	cfg := h.l.cfg
	// A timer of its own, so that giving up waits for no request.
	giveUp := time.AfterFunc(time.Until(*h.deadline.Load()), h.giveUp)
	defer giveUp.Stop()

	next := sent.Add(cfg.Heartbeat)
	for backoff.Sleep(h.life, time.Until(next)) {
		sent = time.Now()
		err := h.renew()
		switch {
		case err == nil:
			if !giveUp.Stop() {
				return // given up in the same moment
			}
			giveUp.Reset(h.acknowledged(sent))
			// From the sending, so that a slow answer does not put the next off.
			next = sent.Add(cfg.Heartbeat)
		case errors.Is(err, rpctypes.ErrLeaseNotFound):
			h.end(lost(h.name, err))
			return
		default:
			h.last.Store(&err)
			next = time.Now().Add(cfg.Heartbeat)
		}
	}
}

// renew has the request timeout to renew the lease, on whatever member.
func (h *Held) renew() error {
	ctx, cancel := context.WithTimeout(h.life, h.l.cfg.RequestTimeout)
	defer cancel()
	_, err := h.l.leases.KeepAliveOnce(ctx, h.id)
	return err
}
