package concurrency

import (
	"context"
	"log/slog"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/clientv3/internal/bare"
	"github.com/getcd/getcd/clientv3/internal/below"
	"github.com/getcd/getcd/concurrency/session"
)

// defaultTTL is a session's time to live, in seconds, as clientv3 has it.
const defaultTTL = 60

// Session is a lease that is kept alive. It is safe for concurrent use.
type Session struct {
	client *clientv3.Client
	native *session.Session
	ctx    context.Context //nolint:containedctx // WithContext's
}

type sessionOptions struct {
	ttl int
	id  clientv3.LeaseID
	ctx context.Context //nolint:containedctx // WithContext's
}

// SessionOption is an option of NewSession.
type SessionOption func(*sessionOptions, *slog.Logger)

// WithTTL sets the time to live in seconds; without it, it is 60. One that is not
// positive is logged and changes nothing.
func WithTTL(ttl int) SessionOption {
	return func(o *sessionOptions, lg *slog.Logger) {
		if ttl > 0 {
			o.ttl = ttl
		} else if lg != nil {
			lg.Warn("a session's TTL must be positive", "ttl", ttl, "used", o.ttl)
		}
	}
}

// WithLease makes the session keep a lease that exists.
func WithLease(leaseID clientv3.LeaseID) SessionOption {
	return func(o *sessionOptions, _ *slog.Logger) { o.id = leaseID }
}

// WithContext gives the session a context in place of the client's. When it ends, so
// does the session, and its lease is left to expire.
func WithContext(ctx context.Context) SessionOption {
	return func(o *sessionOptions, _ *slog.Logger) { o.ctx = ctx }
}

// NewSession makes a session of the client. It returns when the lease was renewed
// once, or with the reason why it was not.
func NewSession(client *clientv3.Client, opts ...SessionOption) (*Session, error) {
	ctx, native, err := NativeOptions(client, opts...)
	if err != nil {
		return nil, err
	}
	s, err := session.New(ctx, below.Lease(client.Lease), native...)
	if err != nil {
		return nil, bare.Error(err)
	}
	return &Session{client, s, ctx}, nil
}

// NativeOptions are options as package session has them, and the context that a
// session with them has, which clientv3 does not have. A TTL above
// clientv3.MaxLeaseTTL is rpctypes.ErrLeaseTTLTooLarge, as the server has it; a lease
// that exists has its own.
func NativeOptions(client *clientv3.Client, opts ...SessionOption) (context.Context, []session.Option, error) {
	o := &sessionOptions{ttl: defaultTTL, ctx: client.Ctx()}
	for _, opt := range opts {
		opt(o, client.GetLogger())
	}
	if int64(o.ttl) > clientv3.MaxLeaseTTL {
		if o.id == clientv3.NoLease {
			return o.ctx, nil, rpctypes.ErrLeaseTTLTooLarge
		}
		o.ttl = defaultTTL // a Duration has no room for it
	}
	return o.ctx, []session.Option{
		session.WithTTL(time.Duration(o.ttl) * time.Second), session.WithLease(o.id), session.WithContext(o.ctx),
	}, nil
}

// Client is the client that the session was made with.
func (s *Session) Client() *clientv3.Client { return s.client }

// Native is the session below, which clientv3 does not have: it knows until when it
// is proven to live, and why it has ended.
func (s *Session) Native() *session.Session { return s.native }

// Lease is the session's lease, for the keys that are to go with it.
func (s *Session) Lease() clientv3.LeaseID { return s.native.ID() }

// Ctx is a context that ends with the session.
func (s *Session) Ctx() context.Context { return s.native.Context() }

// Done closes when the session has ended: before the cluster can let its lease
// expire, or when it was closed or orphaned.
func (s *Session) Done() <-chan struct{} { return s.native.Done() }

// Orphan ends the session, and leaves its lease to whoever renews it, or to expire.
func (s *Session) Orphan() { s.native.Orphan() }

// Close ends the session and revokes its lease.
func (s *Session) Close() error { return bare.Error(s.native.Close(s.ctx)) }
