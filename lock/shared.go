package lock

import (
	"context"
	"fmt"
	"time"

	"github.com/getcd/getcd/internal/etcderr"
	"github.com/getcd/getcd/internal/queue"
)

const (
	// watchAfter is how long a shared lock is held before its key is watched: most are
	// held for less, and a watch costs the server more than the lock.
	watchAfter = 100 * time.Millisecond
	// leaveTime is how long the deletion of a key may take before its session retires.
	leaveTime = time.Second
)

// shared is what a hold has besides if it shares a session's lease.
type shared struct {
	pool    *Pool
	session *session    // nil before there is one, and after it was left
	detach  func() bool // from the session's life
}

// take implements sharing. The session's lease is kept already.
func (o *shared) take(h *hold) (err error) {
	if o.session, err = o.pool.join(h.Context(), h.Name()); err != nil {
		return err
	}
	s := o.session
	o.detach = h.Join(s.life.Context(), s.life)
	h.Place.Shared = true
	h.Place.Key = queue.Key(h.Place.Prefix, s.id)
	_, err = h.Place.Take(h.Context(), "", s.id)
	if etcderr.NotFound(err) { // the lease is gone
		_ = s.life.Lost(err)
	}
	return err
}

// begin implements sharing.
func (o *shared) begin(h *hold) {
	p := o.pool
	p.mu.Lock()
	o.session.users[h.Name()] = h
	if !p.looking && !p.closed {
		p.looking = true
		p.wg.Go(func() { p.lookout.Run(p.life) })
	}
	p.mu.Unlock()
	p.lookout.Watch(&h.Place, func() { _ = h.Lost(queue.ErrDeleted) }, h.WatchKey)
}

// leave implements sharing. What is in doubt is settled by the end of the session, if h was
// the last that it had. Otherwise the session retires, and until its end whatever is still
// put is deleted.
func (o *shared) leave(ctx context.Context, h *hold) error {
	s := o.session
	if s == nil {
		return nil
	}
	o.session = nil
	o.pool.lookout.Forget(&h.Place)
	if o.detach != nil {
		o.detach()
	}
	h.Wait()
	settled, retire := h.Place.Settled(), false
	var clean chan struct{}
	switch {
	case s.life.Context().Err() != nil || s.opened() && s.err == nil && s.life.Err() != nil: // the key goes with the lease
		settled, retire = true, true
	case !settled:
		clean = s.forsake(h.Place) //nolint:contextcheck // it goes on for as long as the session
		if h.Place.Rev != 0 {      // it can't come back
			settled = wait(ctx, clean, leaveTime)
		}
		retire = !settled
	}
	last := o.pool.part(s, h.Name(), retire)
	switch {
	case last:
		return s.finish(ctx)
	case settled || wait(ctx, clean, leaveTime):
		return nil
	default:
		return fmt.Errorf("lock: %q is deleted as soon as the cluster can be reached, or goes with lease %016x", h.Place.Key, uint64(s.id))
	}
}

// wait reports whether clean is closed before ctx has ended and the time has passed.
func wait(ctx context.Context, clean chan struct{}, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-clean:
		return true
	case <-ctx.Done():
	case <-t.C:
	}
	return false
}
