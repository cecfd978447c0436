package lock

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/getcd/getcd/internal/queue"
	"github.com/getcd/getcd/kv"
)

// grip is what a lock that was got is on the cluster, however it was got: a key with
// its create revision, which is the fencing token, what the guard compares, and by
// which the key is told from the next lock's of the same name.
type grip struct {
	name    string
	place   queue.Place
	timeout time.Duration // of the request that deletes the key; 0 leaves it to the context

	// life ends when the lock can no longer be proven or is released, with the
	// reason as its cause. All that the holder does, it does in this context.
	life context.Context //nolint:containedctx // the holder's lifecycle
	end  context.CancelCauseFunc
}

func newGrip(ctx context.Context, name string, place queue.Place) grip {
	g := grip{name: name, place: place}
	g.life, g.end = context.WithCancelCause(context.WithoutCancel(ctx))
	return g
}

// commit sends a transaction under the guard.
func (g *grip) commit(ctx context.Context, inner kv.Op) (*kv.TxnResponse, error) {
	resp, err := g.place.Commit(ctx, inner)
	if errors.Is(err, queue.ErrDeleted) {
		err = lost(g.name, err)
		g.end(err)
	}
	return resp, err
}

// release ends the holding, deletes the key unless the lock was lost, which is cause
// then, and lets drop free all else, the lease with it, in 3 s.
//
// A request that deletes the key with its create revision harms nobody, however late
// it comes and however often. So a doubt whether it was applied is settled by the
// lease, with which the key goes, and by asking again, in case that somebody has taken
// the key off the lease.
func (g *grip) release(ctx context.Context, cause error, drop func(context.Context) error) error {
	g.end(errReleased)
	leaveErr := error(nil)
	if cause == nil {
		leaveErr = g.leave(ctx)
	}
	ctx, cancel := queue.Cleanup(ctx)
	defer cancel()
	dropErr := drop(ctx)
	switch {
	case cause != nil:
		return cause
	case errors.Is(leaveErr, queue.ErrDeleted):
		return lost(g.name, leaveErr)
	case leaveErr == nil:
		return nil
	case dropErr == nil:
		_ = g.leave(ctx)
		return nil
	default:
		return errors.Join(fmt.Errorf("lock: unlocking %q: %w", g.name, leaveErr), dropErr)
	}
}

func (g *grip) leave(ctx context.Context) error {
	if g.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, g.timeout)
		defer cancel()
	}
	return g.place.Leave(ctx)
}
