package holder

import (
	"context"
	"errors"

	"github.com/getcd/getcd/internal/etcderr"
	"github.com/getcd/getcd/internal/queue"
)

// Try is what a package makes of a Holder.
type Try interface {
	// Run gets the lease, takes the place and waits for the turn. Whatever it returns
	// but nil, Drop is called.
	Run() error
	// Err is the Life's.
	Err() error
	// Drop ends the life for a reason and frees what the try has on the cluster, within
	// 3 s. It waits for every goroutine.
	Drop(ctx context.Context, reason error) error
}

// Acquire makes one try after another until one holds. It returns the reason why none
// did: the context's end with the last failure, or what another try would not mend.
// last reports whether the loss of a try is that, too.
func Acquire[T Try](ctx context.Context, c *Config, last bool, try func(*Holder) T) (T, error) {
	var none T
	for failures := 0; ; failures++ {
		h, detach := c.New(ctx)
		t := try(h)
		err := t.Run()
		// What is proven is of now, and a ctx that ended meanwhile ends the life.
		if err == nil && detach() && t.Err() == nil {
			return t, nil
		}
		detach()
		//nolint:contextcheck // it is why the life is over that is asked
		cause := context.Cause(h.ctx)
		_ = t.Drop(ctx, c.GivenUp) // failing that, its lease ends it
		switch {
		case ctx.Err() != nil:
			return none, c.Ended(ctx, c.Name, err)
		case errors.Is(cause, c.Lost):
			if last {
				return none, cause
			}
			err = cause
		case errors.Is(err, queue.ErrDeleted), etcderr.NotFound(err):
			// With its key or its lease gone, it has lost its place and not its chance.
		default:
			return none, err
		}
		if !queue.Pause(ctx, failures) {
			return none, c.Ended(ctx, c.Name, err)
		}
	}
}
