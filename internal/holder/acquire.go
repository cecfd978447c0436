package holder

import (
	"context"
	"errors"

	"github.com/getcd/getcd/internal/etcderr"
	"github.com/getcd/getcd/internal/queue"
)

// Try is one try to hold something, as a package runs it.
type Try interface {
	// Run gets the lease, takes the place and waits for the turn. After an error Drop is
	// called.
	Run() error
	// Err is the Err of the try's Life.
	Err() error
	// Drop ends the life for a reason and frees what the try has on the cluster, within
	// 3 s. It waits for every goroutine.
	Drop(ctx context.Context, reason error) error
}

// Acquire makes one try after another until one holds. It returns an error when ctx ends,
// with the last failure, or when another try would fail in the same way. last says that
// a loss is such an error.
func Acquire[T Try](ctx context.Context, c *Config, last bool, try func(*Holder) T) (T, error) {
	var none T
	if ctx.Err() != nil { // what the caller has cleaned up before may have taken the time for that
		return none, c.Ended(ctx, c.Name, nil)
	}
	for failures := 0; ; failures++ {
		h, detach := c.New(ctx)
		t := try(h)
		err := t.Run()
		// The lease is proven as of now. If ctx has ended in the meantime, so has the life.
		if err == nil && detach() && t.Err() == nil {
			return t, nil
		}
		detach()
		//nolint:contextcheck // the cause of the life's end is wanted, not a new context
		cause := context.Cause(h.ctx)
		_ = t.Drop(ctx, c.GivenUp) // if it fails, the lease ends it
		switch {
		case ctx.Err() != nil:
			return none, c.Ended(ctx, c.Name, err)
		case errors.Is(cause, c.Lost):
			if last {
				return none, cause
			}
			err = cause
		case errors.Is(err, queue.ErrDeleted), errors.Is(err, queue.ErrInDoubt), etcderr.NotFound(err):
			// Its key or its lease is gone: it has lost its place, but another try may hold.
		default:
			return none, err
		}
		if !queue.Pause(ctx, failures) {
			return none, c.Ended(ctx, c.Name, err)
		}
	}
}
