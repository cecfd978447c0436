package naming

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/getcd/getcd/internal/closed"
	"github.com/getcd/getcd/internal/ctxerr"
	"github.com/getcd/getcd/internal/etcderr"
	"github.com/getcd/getcd/internal/holder"
	"github.com/getcd/getcd/internal/misuse"
	"github.com/getcd/getcd/internal/queue"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lease"
)

// DefaultTTL is a Registration's time to live without WithTTL.
const DefaultTTL = 10 * time.Second

// ErrClosed is a Registration's Err after Close.
var ErrClosed = closed.New("naming: closed")

// RegisterOption is an option of Register.
type RegisterOption func(*registerConfig)

type registerConfig struct{ ttl time.Duration }

// WithTTL sets the time to live of the registration's lease, in whole seconds from 1 s to
// lease.MaxTTL; servers lengthen one that is below their minimum, 2 s by default. It is
// how long the endpoint stays when its process dies.
func WithTTL(ttl time.Duration) RegisterOption {
	return func(c *registerConfig) { c.ttl = ttl }
}

// Registration keeps an endpoint registered. It is safe for concurrent use.
type Registration struct {
	s      *Service
	leases lease.Lease
	update Update
	ttl    time.Duration

	life context.Context //nolint:containedctx // it ends with the registration
	end  context.CancelCauseFunc
	done chan struct{} // closed when its goroutine has ended

	closing  sync.Once
	closeErr error

	mu      sync.Mutex // guards what follows
	keeper  *lease.Keeper
	times   int
	lost    error         // the last failure since the lease was lost
	changed chan struct{} // closed when the status changes
}

// Status is what is known of a Registration.
type Status struct {
	// Registered says that the endpoint was put, and that its lease is proven to live.
	Registered bool
	// Lease is the one that the endpoint was put with last.
	Lease lease.ID
	// Times is how often it was registered: 1, and 1 more for each loss that was mended.
	Times int
	// Err is why it is not registered: the last failure.
	Err error
}

// Register registers an endpoint, as Add does, and keeps it registered until Close: it
// has a lease of its own, and when that is lost (the cluster could not be reached for so
// long, somebody has revoked it, or the cluster was restored), it registers again, as
// soon as it can. An endpoint that was there under that key is replaced, such as that of
// the process before; one that others put or delete later is left as it is.
//
// Register returns when the endpoint is there, or with the reason why it is not, such as
// the context's error, or that the cluster is out of space; then nothing of it is left, for
// which it takes up to 3 s beyond ctx. Once registered, it does not depend on ctx. leases is
// a lease service, such as a client, of the cluster that the Service's client uses.
func (s *Service) Register(ctx context.Context, leases lease.Lease, key string, e Endpoint, opts ...RegisterOption) (*Registration, error) {
	const call = "naming: Register"
	if err := cmp.Or(misuse.Context(ctx, call), misuse.Nil(call, "lease service", leases), misuse.Options(call, opts)); err != nil {
		return nil, err
	}
	cfg := registerConfig{ttl: DefaultTTL}
	for _, o := range opts {
		o(&cfg)
	}
	if err := holder.CheckTTL("naming: WithTTL", cfg.ttl); err != nil {
		return nil, err
	}
	update := Update{Op: Add, Key: key, Endpoint: e}
	if _, err := s.Op(update); err != nil {
		return nil, err
	}
	r := &Registration{s: s, leases: leases, update: update, ttl: cfg.ttl, done: make(chan struct{}), changed: make(chan struct{})}
	r.life, r.end = context.WithCancelCause(context.WithoutCancel(ctx))
	detach := context.AfterFunc(ctx, func() { r.end(ctxerr.Of(ctx)) })
	err := r.register(etcderr.FinalForCaller)
	if detach() && err == nil {
		go r.keep()
		return r, nil
	}
	if err == nil { // ctx has ended in this moment
		err = r.drop(ctx)
	}
	if ctx.Err() != nil {
		r.end(ctxerr.Of(ctx))
		err = holder.Because(context.Cause(r.life), err) //nolint:contextcheck // it is why the life is over that is asked
	}
	r.end(err)
	return nil, fmt.Errorf("naming: registering %q: %w", key, err)
}

// register tries to put the endpoint with a new lease until it is there, the life ends, or
// an error is final.
func (r *Registration) register(final func(error) bool) error {
	for failures := 0; ; failures++ {
		keeper, err := r.try(final)
		if err == nil {
			r.set(func() { r.keeper, r.lost = keeper, nil; r.times++ })
			return nil
		}
		r.set(func() { r.lost = err })
		if r.life.Err() != nil || final(err) || errors.Is(err, net.ErrClosed) || !queue.Pause(r.life, failures) {
			return err
		}
	}
}

// try puts the endpoint with a new lease. After an error that lease is revoked.
func (r *Registration) try(final func(error) bool) (keeper *lease.Keeper, err error) {
	id, err := lease.GrantNew(r.life, r.leases, int64(r.ttl/time.Second))
	if err == nil {
		keeper, err = r.leases.Keep(r.life, id)
	}
	if err == nil {
		err = r.put(id, final)
	}
	if err != nil {
		if keeper != nil {
			_ = keeper.Close() // always nil
		}
		_ = queue.Revoke(r.life, r.leases, id) // failing that, its TTL ends it
		return nil, err
	}
	return keeper, nil
}

// put puts the endpoint with a lease. Copies of the transaction may come late, as may those
// of an earlier lease. So each depends on the key not having changed since a revision that
// was seen before it was sent: once the endpoint is there, all of them are refused, and
// cannot bind it to a lease that is about to end. A key that somebody has deleted looks as
// if it had never changed. So when the fate of a transaction is unknown, its lease is revoked,
// and another one is used: a copy that comes late is refused with it.
func (r *Registration) put(id lease.ID, final func(error) bool) error {
	put, err := r.s.Op(r.update, kv.WithLease(id))
	if err != nil {
		return err
	}
	key, seen := r.update.Key, int64(0)
	for failures := 0; ; {
		resp, err := r.s.client.Do(r.life, kv.OpTxn(
			[]kv.Cmp{kv.Compare(kv.ModRevision(key), "<", seen+1)}, []kv.Op{put}, []kv.Op{kv.OpGet(key)}))
		if err != nil {
			if final(err) || etcderr.NotFound(err) || !queue.Pause(r.life, failures) {
				return err
			}
			if etcderr.Ambiguous(err) {
				if r.has(id) {
					return nil
				}
				return err
			}
			failures++
			continue
		}
		if resp.Txn().Succeeded {
			return nil
		}
		found, err := resp.Txn().Get(0)
		if err != nil {
			return err
		}
		if len(found.Kvs) > 0 && found.Kvs[0].Lease == int64(id) {
			return nil // by an earlier copy
		}
		seen = resp.Txn().Header.GetRevision()
	}
}

// has reports whether the endpoint is there with the lease: then the one request that was in
// doubt was applied.
func (r *Registration) has(id lease.ID) bool {
	resp, err := r.s.client.Do(r.life, kv.OpGet(r.update.Key))
	if err != nil {
		return false
	}
	found := resp.Get().Kvs
	return len(found) > 0 && found[0].Lease == int64(id)
}

// keep registers again whenever the lease is lost, until the life ends.
func (r *Registration) keep() {
	defer close(r.done)
	for {
		r.mu.Lock()
		keeper := r.keeper
		r.mu.Unlock()
		select {
		case <-keeper.Done():
		case <-r.life.Done():
		}
		if r.life.Err() != nil {
			return
		}
		err := keeper.Err()
		r.set(func() { r.lost = err })
		r.s.logger.Warn("etcd: a registration was lost", "key", r.update.Key, "cause", err)
		if err := r.register(etcderr.Final); err != nil { // a full cluster is waited for, since nobody else waits
			if r.life.Err() == nil {
				r.s.logger.Error("etcd: a registration is given up", "key", r.update.Key, "cause", err)
			}
			r.end(fmt.Errorf("naming: registering %q: %w", r.update.Key, err))
			return
		}
		r.s.logger.Info("etcd: registered again", "key", r.update.Key)
		// The endpoint has another lease by now. The one before may live yet.
		_ = queue.Revoke(r.life, r.leases, keeper.ID()) // failing that, its TTL ends it
	}
}

// set changes the status and tells who waits for that.
func (r *Registration) set(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
	close(r.changed)
	r.changed = make(chan struct{})
}

// Status returns what is known. It looks at the clock, as lease.Keeper.Err does.
func (r *Registration) Status() Status {
	r.mu.Lock()
	keeper, s := r.keeper, Status{Times: r.times, Err: r.lost}
	r.mu.Unlock()
	s.Lease = keeper.ID()
	s.Err = cmp.Or(s.Err, context.Cause(r.life), keeper.Err())
	s.Registered = s.Err == nil
	return s
}

// Changed returns a channel that is closed when the status changes next. To miss no
// change, get the channel before you call Status.
func (r *Registration) Changed() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.changed
}

// Done closes when the endpoint is no longer kept registered: after Close, or after an
// error that retrying cannot fix, such as a missing permission.
func (r *Registration) Done() <-chan struct{} { return r.life.Done() }

// Err is nil until Done closes, and then why: ErrClosed, or the error.
func (r *Registration) Err() error { return context.Cause(r.life) }

// Close deregisters: it revokes the lease, with which the endpoint goes, and waits for
// everything that the Registration has started. The revocation has its own 3 s, so that
// it works even when ctx has ended; an error means that the cluster could not be reached,
// and the endpoint goes when the time to live has passed. A second Close returns the same.
func (r *Registration) Close(ctx context.Context) error {
	if err := misuse.Context(ctx, "naming: Close"); err != nil {
		return err
	}
	r.closing.Do(func() {
		r.end(ErrClosed)
		<-r.done
		r.closeErr = r.drop(ctx)
		r.set(func() {})
	})
	return r.closeErr
}

// drop ends the lease with which the endpoint was put last.
func (r *Registration) drop(ctx context.Context) error {
	r.mu.Lock()
	keeper := r.keeper
	r.mu.Unlock()
	_ = keeper.Close() // always nil
	if err := queue.Revoke(ctx, r.leases, keeper.ID()); err != nil {
		return fmt.Errorf("naming: %w", err)
	}
	return nil
}
