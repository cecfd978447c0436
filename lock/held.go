package lock

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/getcd/getcd/internal/backoff"
	"github.com/getcd/getcd/internal/clock"
	"github.com/getcd/getcd/internal/holder"
	"github.com/getcd/getcd/internal/misuse"
	"github.com/getcd/getcd/internal/queue"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lease"
)

// Held is a lock that a Locker got. It is safe for concurrent use.
type Held struct {
	holder *holder.Holder
	l      *Locker
	id     lease.ID
	proof  *proof

	renewed chan struct{} // closed when step 4 has returned
	freed   atomic.Bool   // Unlock was called
}

// hold starts step 4 for a lock whose lease was last renewed by a request sent
// at that time.
func (l *Locker) hold(ctx context.Context, name string, place queue.Place, id lease.ID, sent time.Time) *Held {
	cfg := &holder.Config{Kind: kind, Name: name}
	h := &Held{holder: cfg.Existing(ctx, place), l: l, id: id, proof: &proof{lasts: l.cfg.GiveUp()}, renewed: make(chan struct{})}
	h.proof.acknowledged(sent)
	h.holder.SetLease(h.proof)
	go func() { //nolint:contextcheck // the lock outlives the call that gets it
		defer close(h.renewed)
		h.heartbeats(sent)
	}()
	return h
}

// proof is how long the lease is proven to live. It is a holder.Lease.
type proof struct {
	lasts    time.Duration // from the sending of a renewal that was acknowledged
	deadline atomic.Pointer[time.Time]
	last     atomic.Pointer[error] // failure of a renewal; nil after a success
}

// Done implements holder.Lease: the heartbeats end the lock themselves.
func (p *proof) Done() <-chan struct{} { return nil }

// Err implements holder.Lease.
func (p *proof) Err() error {
	if clock.Now().Before(*p.deadline.Load()) {
		return nil
	}
	return p.expired()
}

func (p *proof) expired() error {
	err := fmt.Errorf("no renewal was acknowledged for %v: %w", p.lasts, lease.ErrExpired)
	if last := p.last.Load(); last != nil {
		err = holder.Because(err, *last)
	}
	return err
}

// acknowledged counts the time from the sending of a renewal that was answered, and
// returns how much of it is left.
func (p *proof) acknowledged(sent time.Time) time.Duration {
	deadline := sent.Add(p.lasts)
	p.deadline.Store(&deadline)
	p.last.Store(nil)
	return clock.Until(deadline)
}

// Key is the key that stands for the lock on the cluster.
func (h *Held) Key() string { return h.holder.Place.Key }

// Token is the fencing token: the create revision of the key. Whoever gets the lock
// later, anywhere and by whatever means, has a greater one. It stays what it is after
// the lock was lost or released.
func (h *Held) Token() int64 { return h.holder.Place.Rev }

// Guard is the comparison that holds as long as the lock does, for transactions on
// the same cluster.
func (h *Held) Guard() kv.Cmp { return h.holder.Place.Guard() }

// Done closes when the lock is no longer held: it was released, its lease is
// gone, or no renewal was acknowledged for as long as Config.GiveUp says, which
// is before another one can get the lock. That somebody deletes the key is found by
// Txn and Unlock; who needs to be told at once takes a Mutex.
func (h *Held) Done() <-chan struct{} { return h.holder.Done() }

// Context returns a context that ends when Done closes. Its cause (context.Cause) is
// ErrLost with the reason, or ErrNotHeld after Unlock. It has the values of the context
// that Lock was called with, but neither that one's end nor its deadline, as the lock does
// not depend on them.
func (h *Held) Context() context.Context { return h.holder.Context() }

// Err is nil while the lock is held, then ErrLost with the reason, or ErrNotHeld
// after Unlock. It looks at the clock, so that it is right even if this process
// has just been frozen and the timer that closes Done is late.
func (h *Held) Err() error { return h.holder.Err() }

// Txn is as Mutex.Txn: a transaction that is applied only while the lock is held.
func (h *Held) Txn(ctx context.Context) kv.Txn { return kind.Txn(ctx, h.holder, ErrNotHeld) }

// Unlock releases the lock: it stops renewing, deletes the key, provided that it is
// still the one that was locked, and revokes the lease, which also frees the lock when
// deleting the key has failed. Done closes before anything is sent. The revocation has
// its own 3 s, so that the lock is freed even when ctx has ended.
//
// A lock that was lost before is ErrLost: the cluster may have given it to
// another one meanwhile, from whom nothing is taken. A second Unlock is ErrNotHeld. Any other error means that the
// cluster could not be reached; the lock is free when its TTL has passed.
func (h *Held) Unlock(ctx context.Context) error {
	if err := misuse.Context(ctx, "lock: Unlock"); err != nil {
		return err
	}
	if h.freed.Swap(true) {
		return ErrNotHeld
	}
	cause := h.Err()
	h.holder.End(errReleased)
	<-h.renewed
	return release(ctx, h.holder, h.l.cfg.RequestTimeout, cause, func(ctx context.Context) error {
		return kind.Revoke(ctx, h.l.leases, h.id)
	})
}

// heartbeats is step 4. It goes by time rather than by counting failures: it is
// time after which the cluster lets go.
func (h *Held) heartbeats(sent time.Time) {
	cfg := h.l.cfg
	// A timer of its own, so that giving up waits for no request.
	giveUp := time.AfterFunc(clock.Until(*h.proof.deadline.Load()), func() { _ = h.holder.Lost(h.proof.expired()) })
	defer giveUp.Stop()

	next := sent.Add(cfg.Heartbeat)
	for backoff.Sleep(h.holder.Context(), min(clock.Until(next), clock.Nap)) {
		// A suspension has made the timer late.
		if h.Err() != nil {
			return
		}
		if clock.Until(next) > 0 {
			continue
		}
		sent = clock.Now()
		err := h.renew()
		switch {
		case err == nil:
			if !giveUp.Stop() {
				return // given up in the same moment
			}
			giveUp.Reset(h.proof.acknowledged(sent))
			// From the sending, so that a slow answer does not put the next off.
			next = sent.Add(cfg.Heartbeat)
		case errors.Is(err, rpctypes.ErrLeaseNotFound):
			_ = h.holder.Lost(err)
			return
		default:
			h.proof.last.Store(&err)
			next = clock.Now().Add(cfg.Heartbeat)
		}
	}
}

// renew has the request timeout to renew the lease, on whatever member.
func (h *Held) renew() error {
	ctx, cancel := context.WithTimeout(h.holder.Context(), h.l.cfg.RequestTimeout)
	defer cancel()
	_, err := h.l.leases.KeepAliveOnce(ctx, h.id)
	return err
}
