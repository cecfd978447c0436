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
	pool    *Pool       // nil: it shares nothing
	session *session    // nil before there is one, and after it was left
	detach  func() bool // from the session's life
}

// takeShared is takeAlone with a session's lease, which is kept already.
func (h *hold) takeShared() (err error) {
	if h.session, err = h.pool.join(h.Context(), h.Name()); err != nil {
		return err
	}
	s := h.session
	h.detach = h.Join(s.life.Context(), s.life)
	h.Place.Shared = true
	h.Place.Key = queue.Key(h.Place.Prefix, s.id)
	_, err = h.Place.Take(h.Context(), "", s.id)
	if etcderr.NotFound(err) { // the lease is gone
		_ = s.life.Lost(err)
	}
	return err
}

// beginShared is called when the lock is held.
func (h *hold) beginShared() {
	p := h.pool
	p.mu.Lock()
	h.session.users[h.Name()] = h
	if !p.looking && !p.closed {
		p.looking = true
		p.wg.Go(func() { p.lookout.Run(p.life) })
	}
	p.mu.Unlock()
	p.lookout.Watch(&h.Place, func() { _ = h.Lost(queue.ErrDeleted) }, h.WatchKey)
}

// leave is Drop with a session's lease. What is in doubt is settled by the end of the
// session, if h was the last that it had. Otherwise the session retires, and until its
// end whatever is still put is deleted. ctx is one for cleaning up.
func (h *hold) leave(ctx context.Context) error {
	s := h.session
	if s == nil {
		return nil
	}
	h.session = nil
	h.pool.lookout.Forget(&h.Place)
	if h.detach != nil {
		h.detach()
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
	last := h.pool.part(s, h.Name(), retire)
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
