package holder

import (
	"context"
	"errors"
	"fmt"

	"github.com/getcd/getcd/internal/misuse"
)

// Context returns h's context, or one that has ended because of none if h is nil: nothing
// is held.
func Context(h *Holder, none error) context.Context {
	if h != nil {
		return h.Context()
	}
	ctx, end := context.WithCancelCause(context.Background())
	end(none)
	return ctx
}

// CheckRun returns an error if a Run, or another call like it, lacks its context or its
// function.
func (k *Kind) CheckRun(ctx context.Context, call string, f func(context.Context) error) error {
	call = k.Package + ": " + call
	if err := misuse.Context(ctx, call); err != nil {
		return err
	}
	if f == nil {
		return misuse.Error(call + ": the function is nil; pass what is to be done while it is held")
	}
	return nil
}

// Run runs f in a context that ends with ctx and with h, and then release, also when f
// panics. The error has those of f, of h's end, if that came first, and of release.
func (h *Holder) Run(ctx context.Context, f func(context.Context) error, release func(context.Context) error) (err error) {
	both, end := context.WithCancelCause(ctx)
	detach := context.AfterFunc(h.ctx, func() { end(context.Cause(h.ctx)) }) //nolint:contextcheck // it ends with two
	defer func() {
		over := h.Err() // at the clock: what closes Done may be late
		detach()
		end(nil)
		err = join(join(err, over), release(ctx))
	}()
	return f(both)
}

// join is the error of what has failed and of what has failed besides, unless the first
// says so already.
func join(err, besides error) error {
	switch {
	case besides == nil:
		return err
	case err == nil:
		return besides
	case errors.Is(err, besides):
		return err
	default:
		return fmt.Errorf("%w; %w", err, besides)
	}
}
