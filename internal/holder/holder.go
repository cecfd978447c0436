package holder

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/getcd/getcd/internal/misuse"
	"github.com/getcd/getcd/internal/queue"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lease"
	"github.com/getcd/getcd/watch"
)

// Config is what is to be held, and by what services.
type Config struct {
	*Kind
	Name   string // of what is held, for errors
	Prefix string // of its queue
	TTL    time.Duration
	Conn   grpc.ClientConnInterface
	KV     kv.KV
	// Leases and Watcher are shared with others. Nil: each Holder has its own.
	Leases  lease.Lease
	Watcher watch.Watcher
}

func (c *Config) lost(cause error) error {
	return fmt.Errorf("%w: %q: %w", c.Lost, c.Name, cause)
}

// LeaseRequests is a lease service for its requests alone, which needs no Close.
func (c *Config) LeaseRequests() lease.Lease {
	if c.Leases != nil {
		return c.Leases
	}
	return lease.New(c.Conn)
}

// Holder is one try to hold, from its lease to its end. Its owner calls Grant, Keep,
// Turn, Revoke and Close one after the other; the other methods are safe for
// concurrent use.
type Holder struct {
	*Life
	Place queue.Place

	c   *Config
	own lease.ID // granted for this holder; NoLease for none

	mu      sync.Mutex // guards what follows
	heeded  bool       // the life ends with its lease
	guarded bool       // the key is watched, or need not be any more
	revoked bool       // the own lease is
}

// New returns a holder that ends with ctx until it is detached.
func (c *Config) New(ctx context.Context) (h *Holder, detach func() bool) {
	h = c.Found(ctx, queue.Place{KV: c.KV, Watcher: c.Watcher, Leases: c.Leases, Prefix: c.Prefix, TTL: c.TTL})
	if c.Leases == nil {
		h.Place.Leases = lease.New(c.Conn)
	}
	if c.Watcher == nil {
		h.Place.Watcher = watch.New(c.Conn)
	}
	return h, context.AfterFunc(ctx, func() { h.End(context.Cause(ctx)) })
}

// Found returns a holder, whatever becomes of ctx, with a place that was taken
// already.
func (c *Config) Found(ctx context.Context, p queue.Place) *Holder {
	return &Holder{Life: NewLife(context.WithoutCancel(ctx), c.lost), Place: p, c: c}
}

// Name is that of what is held.
func (h *Holder) Name() string { return h.c.Name }

// Grant grants a lease of the holder's own, until Revoke.
func (h *Holder) Grant() (err error) {
	h.own, err = lease.GrantNew(h.ctx, h.Place.Leases, int64(h.c.TTL/time.Second))
	return err
}

// OwnLease is the lease that Grant has granted, or NoLease.
func (h *Holder) OwnLease() lease.ID { return h.own }

// Keep keeps the own lease alive for as long as the life lasts, and makes it the
// life's.
func (h *Holder) Keep() (*lease.Keeper, error) {
	keeper, err := h.Place.Leases.Keep(h.ctx, h.own)
	if err == nil {
		h.SetLease(keeper)
	}
	return keeper, err
}

// Heed makes the life end with its lease.
func (h *Holder) Heed() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.heedLocked()
}

func (h *Holder) heedLocked() {
	if !h.heeded {
		h.heeded = true
		h.Life.Heed()
	}
}

// Turn returns nil when it is the place's turn. Without wait, Kind.Behind means that it
// is another's.
func (h *Holder) Turn(wait bool) error {
	if wait {
		return h.Place.Wait(h.ctx)
	}
	first, err := h.Place.First(h.ctx)
	if err == nil && !first {
		err = h.c.Behind
	}
	return err
}

// Guard starts to watch the lease and the key of who has the turn, unless that is done
// already.
func (h *Holder) Guard() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.guarded || h.ctx.Err() != nil {
		return
	}
	h.guarded = true
	h.heedLocked()
	h.Go(func() {
		if err := h.Place.Hold(h.ctx); errors.Is(err, queue.ErrDeleted) {
			_ = h.Lost(err)
		}
		// Anything else leaves it to the lease: whose lives, holds.
	})
}

// Txn begins a transaction that is applied only while h holds. h is nil when nothing is
// held; the error is none then.
func (k *Kind) Txn(ctx context.Context, h *Holder, none error) kv.Txn {
	return kv.NewTxn(func(inner kv.Op) (*kv.TxnResponse, error) {
		if err := misuse.Context(ctx, k.Package+": Txn"); err != nil {
			return nil, err
		}
		if h == nil {
			return nil, none
		}
		if err := h.Err(); err != nil {
			return nil, err
		}
		resp, err := h.Place.Commit(ctx, inner)
		if errors.Is(err, queue.ErrDeleted) {
			err = h.Lost(err)
		}
		return resp, err
	})
}

// Done is the life's, or closed when h is nil: nothing is held.
func Done(h *Holder) <-chan struct{} {
	if h != nil {
		return h.Done()
	}
	closed := make(chan struct{})
	close(closed)
	return closed
}

// Guard is the comparison that holds as long as h does; one that never holds when h is
// nil.
func (c *Config) Guard(h *Holder) kv.Cmp {
	if h != nil {
		return h.Place.Guard()
	}
	return queue.Never(c.Prefix)
}

// Revoke revokes a lease, and the keys that have it, within 3 s, whatever has become
// of ctx.
func (k *Kind) Revoke(ctx context.Context, leases lease.Lease, id lease.ID) error {
	if err := queue.Revoke(ctx, leases, id); err != nil {
		return fmt.Errorf("%s: %w", k.Package, err)
	}
	return nil
}

// Revoke revokes the own lease, if there is one, as Kind.Revoke does. Once that has
// succeeded, another Revoke does nothing.
func (h *Holder) Revoke(ctx context.Context) error {
	h.mu.Lock()
	done := h.own == lease.NoLease || h.revoked
	h.mu.Unlock()
	if done {
		return nil
	}
	err := h.c.Revoke(ctx, h.Place.Leases, h.own)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.revoked = h.revoked || err == nil
	return err
}

// Wait waits for every goroutine of the holder, whose life has ended: Guard starts
// none any more.
func (h *Holder) Wait() {
	h.mu.Lock() // a Guard that has begun before the end adds its goroutine first
	h.guarded = true
	h.mu.Unlock()
	h.Life.Wait()
}

// Close closes the services that are the holder's alone, after Wait.
func (h *Holder) Close() {
	if h.c.Leases == nil {
		_ = h.Place.Leases.Close()
	}
	if h.c.Watcher == nil {
		_ = h.Place.Watcher.Close()
	}
}
