package concurrency

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/clientv3/internal/bare"
	"github.com/getcd/getcd/clientv3/internal/below"
	"github.com/getcd/getcd/concurrency/recipe"
	"github.com/getcd/getcd/concurrency/session"
)

// defaultTTL is a session's default time to live in seconds, as in clientv3.
const defaultTTL = 60

// Session is a lease that is kept alive. It is safe for concurrent use.
type Session struct {
	client *clientv3.Client
	native native
	tenure *tenure         // what its elections and mutexes have of it
	ctx    context.Context //nolint:containedctx // WithContext's
	ttl    time.Duration   // from WithTTL
}

// native is a *session.Session, or absent.
type native interface {
	recipe.Session
	Context() context.Context
	Orphan()
}

// absent is a session for a lease that did not exist. clientv3 makes such a
// session, and it has ended from the start.
type absent struct {
	id  clientv3.LeaseID
	ctx context.Context //nolint:containedctx // it has ended
}

func (a absent) ID() clientv3.LeaseID     { return a.id }
func (a absent) Done() <-chan struct{}    { return a.ctx.Done() }
func (a absent) Err() error               { return context.Cause(a.ctx) }
func (a absent) Context() context.Context { return a.ctx }
func (absent) Orphan()                    {}

// tenure is a session as its elections and mutexes see it: Orphan does not end it, since
// clientv3's work on a session that was orphaned. Whether its lease still lives is then
// for the server to say, as with election.Unproven. That one has no context, in which keys
// that may be left are deleted later (queue.LedgerOf).
type tenure struct {
	native

	ctx      context.Context //nolint:containedctx // ends with the tenure
	orphaned atomic.Bool
}

// newTenure returns a session's tenure. Once orphaned, it ends with parent.
func newTenure(parent context.Context, n native) *tenure {
	ctx, end := context.WithCancelCause(context.WithoutCancel(n.Context()))
	t := &tenure{native: n, ctx: ctx}
	context.AfterFunc(n.Context(), func() { //nolint:contextcheck // it is of the session
		if !t.orphaned.Load() {
			end(n.Err())
			return
		}
		stop := context.AfterFunc(parent, func() { end(context.Cause(parent)) })
		runtime.AddCleanup(t, func(stop func() bool) { stop() }, stop) // parent may be the client's, which outlives many
	})
	return t
}

func (t *tenure) Done() <-chan struct{}    { return t.ctx.Done() }
func (t *tenure) Context() context.Context { return t.ctx }

func (t *tenure) Err() error {
	if !t.orphaned.Load() {
		return t.native.Err()
	}
	return context.Cause(t.ctx)
}

func (t *tenure) Orphan() {
	t.orphaned.Store(true)
	t.native.Orphan()
}

// gone reports whether the lease is gone, as far as is known.
func (t *tenure) gone() bool {
	known, ok := t.native.(interface{ Deadline() time.Time })
	return t.Err() != nil || t.orphaned.Load() && ok && !time.Now().Before(known.Deadline())
}

type sessionOptions struct {
	ttl int
	id  clientv3.LeaseID
	ctx context.Context //nolint:containedctx // WithContext's
}

// SessionOption is an option of NewSession.
type SessionOption func(*sessionOptions, *slog.Logger)

// WithTTL sets the time to live in seconds. The default is 60. A value that is
// not positive is logged and ignored.
func WithTTL(ttl int) SessionOption {
	return func(o *sessionOptions, lg *slog.Logger) {
		if ttl > 0 {
			o.ttl = ttl
		} else if lg != nil {
			lg.Warn("a session's TTL must be positive", "ttl", ttl, "used", o.ttl)
		}
	}
}

// WithLease makes the session use an existing lease.
func WithLease(leaseID clientv3.LeaseID) SessionOption {
	return func(o *sessionOptions, _ *slog.Logger) { o.id = leaseID }
}

// WithContext sets a context to use instead of the client's. When it ends, the
// session ends, too, and its lease is left to expire.
func WithContext(ctx context.Context) SessionOption {
	return func(o *sessionOptions, _ *slog.Logger) { o.ctx = ctx }
}

// NewSession makes a session. It returns after the lease was renewed once, or
// with the reason why the renewal failed. If WithLease names a lease that does
// not exist, the session has already ended.
//
// If a program has set client.Lease to a service of its own, NewSession calls only
// its Grant and its KeepAlive, and Close its Revoke. The package comment says what is
// known of such a lease.
func NewSession(client *clientv3.Client, opts ...SessionOption) (*Session, error) {
	o, err := newSessionOptions(client, opts)
	if err != nil {
		return nil, err
	}
	s := &Session{client: client, ctx: o.ctx, ttl: o.timeToLive()}
	leases := below.Lease(client.Lease)
	below.Presume(leases, int64(o.ttl))
	if o.id == clientv3.NoLease && below.Foreign(client.Lease) {
		// Package session would revoke the lease if it can't be kept. The program's own
		// service need not have a Revoke for that, since clientv3 lets the lease expire.
		granted, err := leases.Grant(o.ctx, int64(o.ttl))
		if err != nil {
			return nil, err
		}
		o.id = granted.ID
	}
	made, err := session.New(o.ctx, leases, o.native()...)
	switch {
	case err == nil:
		s.native = made
	case o.id != clientv3.NoLease && errors.Is(err, rpctypes.ErrLeaseNotFound):
		ctx, end := context.WithCancelCause(o.ctx)
		end(err)
		s.native = absent{o.id, ctx}
	default:
		return nil, bare.Error(cmp.Or(errors.Unwrap(err), err)) // without the words of package session
	}
	s.tenure = newTenure(o.ctx, s.native)
	return s, nil
}

// NativeOptions converts options to those of package session, and returns the
// context of a session with these options. clientv3 does not have it. A TTL above
// clientv3.MaxLeaseTTL is rpctypes.ErrLeaseTTLTooLarge, as on the server. An
// existing lease keeps its own TTL.
func NativeOptions(client *clientv3.Client, opts ...SessionOption) (context.Context, []session.Option, error) {
	o, err := newSessionOptions(client, opts)
	if err != nil {
		return o.ctx, nil, err
	}
	return o.ctx, o.native(), nil
}

func newSessionOptions(client *clientv3.Client, opts []SessionOption) (*sessionOptions, error) {
	o := &sessionOptions{ttl: defaultTTL, ctx: client.Ctx()}
	for _, opt := range opts {
		opt(o, client.GetLogger())
	}
	if int64(o.ttl) > clientv3.MaxLeaseTTL {
		if o.id == clientv3.NoLease {
			return o, rpctypes.ErrLeaseTTLTooLarge
		}
		o.ttl = defaultTTL // it would overflow a Duration
	}
	return o, nil
}

func (o *sessionOptions) timeToLive() time.Duration { return time.Duration(o.ttl) * time.Second }

func (o *sessionOptions) native() []session.Option {
	return []session.Option{
		session.WithTTL(o.timeToLive()), session.WithLease(o.id), session.WithContext(o.ctx),
	}
}

// Client returns the client that the session was made with.
func (s *Session) Client() *clientv3.Client { return s.client }

// Native returns the underlying session, which clientv3 does not have: it knows
// why it has ended. It is a *session.Session, unless the lease did not exist.
func (s *Session) Native() recipe.Session { return s.native }

// Lease returns the session's lease. Attach it to keys that should be deleted
// with the session.
func (s *Session) Lease() clientv3.LeaseID { return s.native.ID() }

// Ctx returns a context that ends with the session.
func (s *Session) Ctx() context.Context { return s.native.Context() }

// Done returns a channel that closes when the session has ended: when it is
// closed or orphaned, or before the cluster could let its lease expire.
func (s *Session) Done() <-chan struct{} { return s.native.Done() }

// Orphan ends the session without revoking its lease. The lease then expires
// unless somebody else renews it. Until then the session's elections and mutexes can be
// used.
func (s *Session) Orphan() { s.tenure.Orphan() }

// Close ends the session and revokes its lease. It may take as long as the lease
// may live. It returns rpctypes.ErrLeaseNotFound if the lease is gone.
func (s *Session) Close() error {
	s.native.Orphan()
	return s.revoke(s.ctx)
}

func (s *Session) revoke(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.ttl)
	defer cancel()
	_, err := s.client.Revoke(ctx, s.Lease())
	return err
}
