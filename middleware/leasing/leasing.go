package leasing

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/getcd/getcd/concurrency/session"
	"github.com/getcd/getcd/internal/backoff"
	"github.com/getcd/getcd/internal/closed"
	"github.com/getcd/getcd/internal/ctxerr"
	"github.com/getcd/getcd/internal/misuse"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lease"
	"github.com/getcd/getcd/watch"
)

// pauses are those before another session, or another try to give a key up.
var pauses = backoff.Exponential{First: 20 * time.Millisecond, Max: time.Second}

var errClosed = closed.New("leasing: closed")

// KV is a key-value store with reads from memory. Its methods are safe for concurrent
// use, and return the store's errors.
type KV struct {
	store   kv.KV
	watcher watch.Watcher
	leases  lease.Lease
	prefix  string
	opts    []session.Option // of sessions but the first

	cache cache

	life context.Context //nolint:containedctx // the KV's lifecycle
	end  context.CancelCauseFunc
	wg   sync.WaitGroup

	session  *session.Session // run's, and Close's when run has ended
	closing  sync.Once
	closeErr error
}

var _ kv.KV = (*KV)(nil)

// New makes a KV whose leasing keys begin with prefix, which must not be empty. It
// returns when it has a session and watches the prefix, or with the reason why it
// does not; then it has cleaned up, for which it takes up to 3 s beyond ctx. Once
// made, the KV does not depend on ctx. Close must be called.
//
// The options are those of its sessions, of which it makes a new one when one is
// lost; session.WithLease is the first one's alone.
func New(ctx context.Context, store kv.KV, watcher watch.Watcher, leases lease.Lease, prefix string, opts ...session.Option) (*KV, error) {
	if err := cmp.Or(misuse.Context(ctx, "leasing: New"), misuse.Nil("leasing: New", "store", store),
		misuse.Nil("leasing: New", "watcher", watcher), misuse.Nil("leasing: New", "lease service", leases)); err != nil {
		return nil, err
	}
	if prefix == "" {
		return nil, errors.New("leasing: the prefix is empty, and each key would be its own leasing key; name one that no other keys have")
	}
	s, err := session.New(ctx, leases, opts...)
	if err != nil {
		return nil, fmt.Errorf("leasing: %w", err)
	}
	l := &KV{
		store: store, watcher: watcher, leases: leases, prefix: prefix,
		opts: append(slices.Clip(opts), session.WithLease(lease.NoLease)),
	}
	l.cache.init(prefix)
	l.life, l.end = context.WithCancelCause(context.WithoutCancel(ctx))
	started := make(chan error, 1)
	l.wg.Go(func() { l.run(s, started) }) //nolint:contextcheck // it has a life of its own
	select {
	case err = <-started:
	case <-ctx.Done():
		err = ctxerr.Of(ctx)
	}
	if err != nil {
		_ = l.Close(ctx) // failing that, the lease ends by itself
		return nil, fmt.Errorf("leasing: %w", err)
	}
	return l, nil
}

// Close gives up all that is owned, and ends the session. It returns when the KV's
// goroutine has ended and the lease is revoked, for which it takes a few seconds at
// most, whatever has become of ctx; an error means that the cluster could not be
// reached, and that who wants to write has to wait until the lease has ended. A
// second Close waits for the first and returns the same. The services that New was
// given stay open, and the KV goes on working with them, without memory.
func (l *KV) Close(ctx context.Context) error {
	if err := misuse.Context(ctx, "leasing: Close"); err != nil {
		return err
	}
	l.closing.Do(func() {
		l.end(errClosed)
		l.wg.Wait()
		if l.session != nil {
			l.closeErr = l.session.Close(ctx)
		}
	})
	return l.closeErr
}

// run has a session, and gives up what others want, until Close. It tells started
// how that began.
func (l *KV) run(s *session.Session, started chan<- error) {
	tell := func(err error) {
		select {
		case started <- err:
		default: // it was told
		}
	}
	for failures := 0; ; failures++ {
		if l.session = s; s != nil {
			l.cache.use(s)
			err := l.follow(s, func() {
				failures = 0
				tell(nil)
			})
			l.cache.use(nil)
			if l.life.Err() != nil {
				return // Close ends the session
			}
			// It is lost, or REVOKE cannot be seen. Failing that, its TTL ends it.
			_ = s.Close(l.life)
			l.session = nil
			tell(err)
		}
		if !backoff.Sleep(l.life, pauses.Pause(failures)) {
			return
		}
		s, _ = session.New(l.life, l.leases, l.opts...)
	}
}

// follow gives up what others want, for as long as the session lasts and the prefix
// can be watched. It calls begun when it has seen what there is.
func (l *KV) follow(s *session.Session, begun func()) error {
	ctx, cancel := context.WithCancel(s.Context())
	defer cancel()
	stop := context.AfterFunc(l.life, cancel)
	defer stop()
	for u, err := range l.watcher.Follow(ctx, l.prefix, kv.WithPrefix()) {
		if err != nil {
			return err
		}
		wanted := l.cache.heed(s.ID(), u)
		begun()
		l.giveUp(ctx, wanted)
	}
	return context.Cause(ctx)
}

// Get implements kv.KV.
func (l *KV) Get(ctx context.Context, key string, opts ...kv.OpOption) (*kv.GetResponse, error) {
	resp, err := l.Do(ctx, kv.OpGet(key, opts...))
	return resp.Get(), err
}

// Put implements kv.KV.
func (l *KV) Put(ctx context.Context, key, val string, opts ...kv.OpOption) (*kv.PutResponse, error) {
	resp, err := l.Do(ctx, kv.OpPut(key, val, opts...))
	return resp.Put(), err
}

// Delete implements kv.KV.
func (l *KV) Delete(ctx context.Context, key string, opts ...kv.OpOption) (*kv.DeleteResponse, error) {
	resp, err := l.Do(ctx, kv.OpDelete(key, opts...))
	return resp.Del(), err
}

// Compact implements kv.KV.
func (l *KV) Compact(ctx context.Context, rev int64, opts ...kv.CompactOption) (*kv.CompactResponse, error) {
	if err := misuse.Context(ctx, "leasing: Compact"); err != nil {
		return nil, err
	}
	return l.store.Compact(ctx, rev, opts...)
}

// Txn implements kv.KV.
func (l *KV) Txn(ctx context.Context) kv.Txn {
	return kv.NewTxn(func(op kv.Op) (*kv.TxnResponse, error) {
		resp, err := l.Do(ctx, op)
		return resp.Txn(), err
	})
}

// Do implements kv.KV.
func (l *KV) Do(ctx context.Context, op kv.Op) (kv.OpResponse, error) {
	if err := misuse.Context(ctx, "leasing: Do"); err != nil {
		return kv.OpResponse{}, err
	}
	switch {
	case op.Err() != nil:
		return l.store.Do(ctx, op) // which says what is wrong
	case op.IsGet():
		return l.get(ctx, op)
	case op.IsTxn() && ctx.Err() == nil:
		if resp, s := l.cache.txn(op); s != nil && s.Err() == nil {
			return (*kv.TxnResponse)(resp).OpResponse(), nil
		}
	}
	if targets := written(nil, op); len(targets) > 0 {
		return l.write(ctx, op, targets)
	}
	return l.ask(ctx, op)
}

// ask asks the cluster, and remembers how far it has come.
func (l *KV) ask(ctx context.Context, op kv.Op) (kv.OpResponse, error) {
	resp, err := l.store.Do(ctx, op)
	if err != nil {
		return resp, err
	}
	switch {
	case resp.Get() != nil:
		l.cache.note(resp.Get().Header)
	case resp.Txn() != nil:
		l.cache.note(resp.Txn().Header)
	}
	return resp, nil
}
