package session

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/getcd/getcd/internal/ctxerr"
	"github.com/getcd/getcd/internal/etcderr"
	"github.com/getcd/getcd/internal/holder"
	"github.com/getcd/getcd/internal/misuse"
	"github.com/getcd/getcd/internal/queue"
	"github.com/getcd/getcd/lease"
)

// Session is a lease that is kept alive, and until when that is proven. It is safe
// for concurrent use.
type Session struct {
	leases lease.Lease
	keeper *lease.Keeper
	parent context.Context //nolint:containedctx // WithContext's: its end abandons the lease

	life     *holder.Life // ends with the session
	closing  sync.Once
	closeErr error
}

// New makes a session: it grants a lease and renews it once. It returns when that
// is acknowledged, or with the reason why it is not, such as the context's error;
// then it has revoked the lease, which takes up to 3 s beyond ctx, unless the server
// has certainly not granted it. Once made, the session does not depend on ctx (see
// WithContext), but its Context has ctx's values.
//
// leases is a lease service, such as a client; closing it ends the session with
// ErrLost. An option that is out of bounds is an error that names them.
func New(ctx context.Context, leases lease.Lease, opts ...Option) (*Session, error) {
	if err := cmp.Or(misuse.Context(ctx, "session: New"), misuse.Nil("session: New", "lease service", leases)); err != nil {
		return nil, err
	}
	cfg, err := newConfig(opts)
	if err != nil {
		return nil, err
	}
	s := &Session{leases: leases, parent: cfg.ctx}
	if s.parent == nil {
		s.parent = context.WithoutCancel(ctx)
	}
	s.life = holder.NewLife(queue.WithLedger(s.parent), lost) //nolint:contextcheck // the session outlives ctx
	detach := context.AfterFunc(ctx, func() { s.life.End(ctxerr.Of(ctx)) })
	err = s.begin(cfg) //nolint:contextcheck // in its life, which ctx ends until it is detached
	// A ctx that ended meanwhile has ended life, too.
	if err == nil && detach() {
		return s, nil
	}
	detach()
	if err == nil { // ctx has ended in this moment
		err = ctxerr.Of(ctx)
		s.life.End(err)
		_ = s.keeper.Close() // always nil
		if cfg.id == lease.NoLease {
			_ = s.revoke(ctx, s.ID()) // failing that, its TTL ends it
		}
	}
	if s.life.Context().Err() != nil {
		err = holder.Because(context.Cause(s.life.Context()), err) //nolint:contextcheck // it is why the session is over that is asked
	}
	s.life.End(err)
	s.life.Wait()
	return nil, fmt.Errorf("session: %w", err)
}

// begin gets the lease and has it kept.
func (s *Session) begin(cfg config) error {
	id := cfg.id
	if id == lease.NoLease {
		var err error
		if id, err = lease.GrantNew(s.life.Context(), s.leases, int64(cfg.ttl/time.Second)); err != nil {
			if mayBeGranted(err) {
				_ = s.revoke(s.life.Context(), id)
			}
			return err
		}
	}
	keeper, err := s.leases.Keep(s.life.Context(), id)
	if err != nil {
		if cfg.id == lease.NoLease {
			_ = s.revoke(s.life.Context(), id) // failing that, its TTL ends it
		}
		return err
	}
	s.keeper = keeper
	s.life.SetLease(keeper)
	s.life.WatchLease()
	return nil
}

// mayBeGranted reports whether a Grant that ended in err may have left a lease. Package
// clientv3's error of members that can't serve does not tell. If an earlier copy was lost as
// well, its lease is left to its TTL: these members would not revoke it either.
func mayBeGranted(err error) bool {
	if _, told := etcderr.Told(err); !told && etcderr.CantServe(err) {
		return false
	}
	return etcderr.Ambiguous(err)
}

// ID is the session's lease, for the keys that are to go with it.
func (s *Session) ID() lease.ID { return s.keeper.ID() }

// TTL is the lease's time to live, as the server told it last.
func (s *Session) TTL() time.Duration { return s.keeper.TTL() }

// Deadline is the moment until which the lease is proven to live; every renewal
// moves it (lease.Keeper.Deadline).
func (s *Session) Deadline() time.Time { return s.keeper.Deadline() }

// Done closes when the session has ended: the lease can no longer be proven to
// live or is gone, Close or Orphan was called, or WithContext's context has ended.
// In the first case it closes before the server can let the lease expire.
func (s *Session) Done() <-chan struct{} { return s.life.Done() }

// Err is nil while the session lasts, and then the cause: ErrLost with the lease's,
// ErrClosed, ErrOrphaned, or that of WithContext's context. It looks at the clock,
// so that it is right even if this process has just been frozen and what closes
// Done is late.
func (s *Session) Err() error { return s.life.Err() }

// Context is a context that ends with the session; its cause is Err. What must
// not go on without the session is done in it.
func (s *Session) Context() context.Context { return s.life.Context() }

// Orphan ends the session, and leaves the lease to whoever renews it, or to expire.
// It returns when nothing of the session runs any more.
func (s *Session) Orphan() {
	s.life.End(ErrOrphaned)
	_ = s.keeper.Close() // always nil
	s.life.Wait()
}

// Close ends the session and revokes its lease, with which its keys go. Done closes
// before anything is sent. The revocation has its own 3 s, so that the keys go even
// when ctx has ended; an error means that the cluster could not be reached, and the
// keys go when the time to live has passed. A lease that is gone already is no
// error. When WithContext's context ends, it gives up at once. A second Close waits
// for the first and returns the same.
func (s *Session) Close(ctx context.Context) error {
	if err := misuse.Context(ctx, "session: Close"); err != nil {
		return err
	}
	s.closing.Do(func() {
		s.life.End(ErrClosed)
		_ = s.keeper.Close() // always nil
		s.life.Wait()
		s.closeErr = s.revoke(ctx, s.ID())
	})
	return s.closeErr
}

// revoke revokes the lease, within 3 s, whatever has become of ctx, for as long as the
// parent lives.
func (s *Session) revoke(ctx context.Context, id lease.ID) error {
	ctx, cancel := queue.Cleanup(ctx)
	defer cancel()
	stop := context.AfterFunc(s.parent, cancel) //nolint:contextcheck // its end gives up
	defer stop()
	if err := s.parent.Err(); err != nil { // AfterFunc takes a moment
		return fmt.Errorf("session: lease %016x is left to expire: %w", uint64(id), err)
	}
	return kind.Revoke(ctx, s.leases, id)
}
