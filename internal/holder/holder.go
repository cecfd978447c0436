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

// Config says what a Holder holds, and which services it uses.
type Config struct {
	*Kind
	Name   string // what is held, for errors
	Prefix string // of the keys in its queue
	TTL    time.Duration
	Conn   grpc.ClientConnInterface
	KV     kv.KV
	// Leases and Watcher are shared. If nil, each Holder has its own.
	Leases  lease.Lease
	Watcher watch.Watcher
}

func (c *Config) lost(cause error) error {
	return fmt.Errorf("%w: %q: %w", c.Lost, c.Name, cause)
}

// LeaseRequests returns a lease service for single requests. It needs no Close.
func (c *Config) LeaseRequests() lease.Lease {
	if c.Leases != nil {
		return c.Leases
	}
	return lease.New(c.Conn)
}

// Holder is one try to hold something, from its lease to its end. One goroutine calls
// Grant, Keep, AwaitTurn and Close, one after the other. The other methods are safe for
// concurrent use.
type Holder struct {
	*Life
	Place queue.Place

	c   *Config
	own lease.ID // granted for this holder; NoLease if none was

	mu           sync.Mutex // guards what follows
	leaseWatched bool       // the life ends with its lease
	keyWatched   bool       // the key is watched, or no longer needs to be
	revoked      bool       // the own lease was revoked
}

// New returns a Holder whose life also ends with ctx, until the caller calls detach.
func (c *Config) New(ctx context.Context) (h *Holder, detach func() bool) {
	h = c.Existing(ctx, queue.Place{KV: c.KV, Watcher: c.Watcher, Leases: c.Leases, Prefix: c.Prefix, TTL: c.TTL})
	if c.Leases == nil {
		h.Place.Leases = lease.New(c.Conn)
	}
	if c.Watcher == nil {
		h.Place.Watcher = watch.New(c.Conn)
	}
	return h, context.AfterFunc(ctx, func() { h.End(context.Cause(ctx)) })
}

// Existing returns a Holder for a place that is already taken. Its life does not end
// with ctx.
func (c *Config) Existing(ctx context.Context, p queue.Place) *Holder {
	return &Holder{Life: NewLife(context.WithoutCancel(ctx), c.lost), Place: p, c: c}
}

// Name is the name of what is held.
func (h *Holder) Name() string { return h.c.Name }

// Grant grants a lease for this holder alone, which Revoke revokes.
func (h *Holder) Grant() (err error) {
	h.own, err = lease.GrantNew(h.ctx, h.Place.Leases, int64(h.c.TTL/time.Second))
	return err
}

// OwnLease is the lease that Grant has granted, or NoLease.
func (h *Holder) OwnLease() lease.ID { return h.own }

// Keep keeps the own lease alive until the life ends, and lets the life depend on it.
func (h *Holder) Keep() (*lease.Keeper, error) {
	keeper, err := h.Place.Leases.Keep(h.ctx, h.own)
	if err == nil {
		h.SetLease(keeper)
	}
	return keeper, err
}

// WatchLease ends the life when its lease ends. A second call does nothing.
func (h *Holder) WatchLease() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.watchLeaseLocked()
}

func (h *Holder) watchLeaseLocked() {
	if !h.leaseWatched {
		h.leaseWatched = true
		h.Life.WatchLease()
	}
}

// Join lets the life depend on a lease that others share, and ends it with the context
// that ends with that lease, until the caller calls leave.
func (h *Holder) Join(session context.Context, lease Lease) (leave func() bool) {
	h.SetLease(lease)
	h.mu.Lock()
	h.leaseWatched = true
	h.mu.Unlock()
	return context.AfterFunc(session, func() { _ = h.Lost(context.Cause(session)) })
}

// AwaitTurn returns nil when it is the place's turn. Without wait it returns
// Kind.Contended if it is the turn of another.
func (h *Holder) AwaitTurn(wait bool) error {
	if wait {
		return h.Place.Wait(h.ctx)
	}
	first, err := h.Place.First(h.ctx)
	if err == nil && !first {
		err = h.c.Contended
	}
	return err
}

// WatchKey watches the lease and the key of a holder that has the turn, and ends the life
// when one of them is gone. A second call does nothing.
func (h *Holder) WatchKey() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.keyWatched || h.ctx.Err() != nil {
		return
	}
	h.keyWatched = true
	h.watchLeaseLocked()
	h.Go(func() {
		if err := h.Place.Hold(h.ctx); errors.Is(err, queue.ErrDeleted) {
			_ = h.Lost(err)
		}
		// After any other error the lease alone decides: while it lives, h holds.
	})
}

// Txn begins a transaction that is applied only while h holds. If h is nil, nothing is
// held, and Commit returns none.
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

// Done returns h's Done channel, or a closed one if h is nil: nothing is held.
func Done(h *Holder) <-chan struct{} {
	if h != nil {
		return h.Done()
	}
	closed := make(chan struct{})
	close(closed)
	return closed
}

// Guard returns the comparison that is true as long as h holds, or one that is never true
// if h is nil.
func (c *Config) Guard(h *Holder) kv.Cmp {
	if h != nil {
		return h.Place.Guard()
	}
	return queue.Never(c.Prefix)
}

// Revoke revokes a lease, and with it the keys that are attached to it. It takes at most
// 3 s, even if ctx has ended.
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

// Wait waits for all goroutines of the holder. Its life must have ended. From then on
// WatchKey does nothing.
func (h *Holder) Wait() {
	h.mu.Lock() // a WatchKey that is under way starts its goroutine first
	h.keyWatched = true
	h.mu.Unlock()
	h.Life.Wait()
}

// Close closes the services that are not shared. Call it after Wait.
func (h *Holder) Close() {
	if h.c.Leases == nil {
		_ = h.Place.Leases.Close()
	}
	if h.c.Watcher == nil {
		_ = h.Place.Watcher.Close()
	}
}
