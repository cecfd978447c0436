package holder

import (
	"context"
	"sync"
)

// Lease is a lease that somebody keeps alive, such as a *lease.Keeper.
type Lease interface {
	// Done is closed when the lease can no longer be proven to live. Nil means that
	// nobody can tell.
	Done() <-chan struct{}
	// Err is nil while the lease is proven to live, and then the reason why it is not.
	Err() error
}

// Life is a context that ends with a lease or by End, with the reason as its cause.
// The owner of a Life calls SetLease, WatchLease and Go. The other methods are safe
// for concurrent use.
type Life struct {
	ctx   context.Context //nolint:containedctx // that is what it is
	end   context.CancelCauseFunc
	lost  func(cause error) error
	lease Lease // nil: only End ends it
	wg    sync.WaitGroup
}

// NewLife returns a life that also ends with ctx. lost wraps the reason why the lease
// has ended.
func NewLife(ctx context.Context, lost func(cause error) error) *Life {
	l := &Life{lost: lost}
	l.ctx, l.end = context.WithCancelCause(ctx)
	return l
}

// Context is the life as a context. Work that must stop with the life uses it.
func (l *Life) Context() context.Context { return l.ctx }

// Done is closed when the life ends.
func (l *Life) Done() <-chan struct{} { return l.ctx.Done() }

// SetLease sets the lease that the life depends on. Err asks it from then on.
func (l *Life) SetLease(lease Lease) { l.lease = lease }

// WatchLease starts a goroutine that ends the life with its lease.
func (l *Life) WatchLease() {
	done := l.lease.Done()
	if done == nil {
		return
	}
	l.wg.Go(func() {
		select {
		case <-done:
			_ = l.Lost(l.lease.Err())
		case <-l.ctx.Done():
		}
	})
}

// Err is nil while the life lasts, and then its cause. It asks the lease, which looks
// at the clock, so it is right even if this process has just been frozen and what
// closes Done is late.
func (l *Life) Err() error {
	if l.lease != nil {
		if err := l.lease.Err(); err != nil {
			_ = l.Lost(err)
		}
	}
	return context.Cause(l.ctx)
}

// Lost ends the life because of what has happened to its lease or its key. It returns
// the cause, wrapped.
func (l *Life) Lost(cause error) error {
	err := l.lost(cause)
	l.end(err)
	return err
}

// End ends the life for a reason.
func (l *Life) End(reason error) { l.end(reason) }

// Go runs f in a goroutine that Wait waits for.
func (l *Life) Go(f func()) { l.wg.Go(f) }

// Wait returns when every goroutine of the life has ended. The life must have ended.
func (l *Life) Wait() { l.wg.Wait() }
