package coordination

import (
	"context"
	"fmt"
	"time"

	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lease"
)

// mustLeaveNothing checks that a contender that gave up has no key left in its
// session, except while the cluster cannot be reached.
func (a *arena) mustLeaveNothing(ctx context.Context, who string, session lease.ID) {
	if session == lease.NoLease {
		return // a lease that is made for each acquisition expires by itself
	}
	octx, cancel := within(ctx, removing)
	defer cancel()
	for first := true; ; first = false {
		lives, _, keys, err := a.s.outside.lives(octx, session, "")
		if err != nil || !lives || len(keys) == 0 {
			return
		}
		if first {
			a.count(func(h *Holds) { h.LeftBehind++ })
		}
		if !pause(octx, 100*time.Millisecond) {
			a.s.violate("%s gave up waiting, and %q is there still %v later", who, keys, removing)
			return
		}
	}
}

// refused is called when the server says that a holder does not hold the lock.
func (a *arena) refused(ctx context.Context, h *hold) {
	a.count(func(f *Holds) { f.Refused++; f.Lost++ })
	// Check twice: the member that refused may have been ahead of the leader.
	if a.robbed(ctx, h) && pause(context.WithoutCancel(ctx), 700*time.Millisecond) && a.robbed(ctx, h) {
		a.s.violate("%v was lost while its lease lives: somebody has deleted its key", h)
	}
	a.mustBeTold(h)
}

// robbed reports whether a holder's key is gone while its lease lives.
func (a *arena) robbed(ctx context.Context, h *hold) bool {
	octx, cancel := within(ctx, finishing)
	defer cancel()
	lives, attached, _, err := a.s.outside.lives(octx, h.lease, h.key)
	return err == nil && lives && !attached && !h.revoked.Load()
}

// mustBeTold checks that a holder is notified of its loss before its lease could
// have ended.
func (a *arena) mustBeTold(h *hold) {
	began := time.Now()
	limit := time.NewTimer(ttl + slack)
	defer limit.Stop()
	select {
	case <-h.done:
		if h.err() == nil {
			a.s.violate("%v: Done is closed, and Err is nil", h)
		}
		a.count(func(f *Holds) { f.Told = max(f.Told, time.Since(began)) })
	case <-limit.C:
		a.s.violate("%v was lost, and was not told of it within %v", h, ttl+slack)
	}
}

// beStale loses the lock, waits until somebody else holds it, and only then
// unlocks it. It checks that this does not affect the other's lock.
func (a *arena) beStale(ctx context.Context, h *hold) {
	rctx, cancel := within(ctx, stubborn)
	defer cancel()
	h.revoked.Store(true)
	if _, err := a.s.outside.revoke(rctx, h.lease); err != nil {
		return
	}
	a.s.count(func(r *Report) { r.Revoked++ })
	a.mustBeTold(h)
	next := a.successor(rctx, h.token)
	if next == nil {
		return
	}
	a.mu.Lock()
	delete(a.holding, h)
	a.mu.Unlock()
	if h.proclaim != nil {
		a.proclaimStale(rctx, h)
	}
	if _, held, err := h.commit(rctx, kv.OpPut(a.resource, mark{h.token, 1 << 20, h.who}.String())); err == nil && held {
		a.s.violate("%v wrote after %v had taken over", h, next)
	}
	uctx, cancel := within(ctx, finishing)
	defer cancel()
	err := h.unlock(uctx)
	h.unlock = func(context.Context) error { return nil }
	if err == nil && h.knows(nil) || err != nil && h.knows(err) {
		a.count(func(f *Holds) { f.Stale++ })
	} else if err == nil {
		a.s.violate("%v was lost, and its Unlock says that all is well", h)
	}
	// If the successor was affected, its own next write shows it (see refused);
	// this checks it at once.
	if !a.holds(next) || next.revoked.Load() {
		return
	}
	if a.robbed(ctx, next) && a.holds(next) {
		a.s.violate("%v was freed by the stale Unlock of %v", next, h)
	}
}

// successor waits for a holder with a greater token.
func (a *arena) successor(ctx context.Context, token int64) *hold {
	for {
		a.mu.Lock()
		for h := range a.holding {
			if h.token > token {
				a.mu.Unlock()
				return h
			}
		}
		a.mu.Unlock()
		if !pause(ctx, 2*time.Millisecond) {
			return nil
		}
	}
}

// proclaimStale proclaims as a former leader until it is refused.
func (a *arena) proclaimStale(ctx context.Context, h *hold) {
	var last error
	for ctx.Err() == nil {
		err := h.proclaim(ctx, "a stale leader's")
		if err == nil {
			a.s.violate("%v does not lead any more, and was allowed to proclaim", h)
			return
		}
		if h.denied(err) {
			return
		}
		last = err
		pause(ctx, 50*time.Millisecond)
	}
	if last != nil {
		a.s.cfg.Log("coordination: %s", fmt.Errorf("%v: a stale proclamation was not answered: %w", h, last))
	}
}
