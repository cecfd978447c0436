package session

import (
	"context"
	"time"

	"github.com/getcd/getcd/internal/holder"
	"github.com/getcd/getcd/internal/misuse"
	"github.com/getcd/getcd/lease"
)

// DefaultTTL is a session's time to live without WithTTL.
const DefaultTTL = 10 * time.Second

// Option is an option of New.
type Option func(*config)

type config struct {
	ttl time.Duration
	id  lease.ID        // NoLease: one is granted
	ctx context.Context //nolint:containedctx // the session's lifecycle; nil for its own
}

// WithTTL sets the time to live, in whole seconds from 1 s to lease.MaxTTL; servers
// lengthen one that is below their minimum, 2 s by default. It is how long the
// session's keys stay when its process dies, and what a process that is cut off
// has to notice it in, less a margin (lease.Margin). It does not apply to a lease
// that exists (WithLease).
func WithTTL(ttl time.Duration) Option {
	return func(c *config) { c.ttl = ttl }
}

// WithLease makes the session keep a lease that exists, such as that of the same
// process before it was restarted, instead of granting one. Close revokes it all
// the same; an error of New leaves it as it is. lease.NoLease means to grant one.
func WithLease(id lease.ID) Option {
	return func(c *config) { c.id = id }
}

// WithContext ends the session with ctx, without revoking the lease, which then
// lives on until its time to live has passed; the session's Context has its values.
// A Close that is under way is given up. Without it, or with nil, the session lives
// until Close, Orphan or loss.
func WithContext(ctx context.Context) Option {
	return func(c *config) { c.ctx = ctx }
}

func newConfig(opts []Option) (config, error) {
	c := config{ttl: DefaultTTL}
	if err := misuse.Options("session: New", opts); err != nil {
		return c, err
	}
	for _, o := range opts {
		o(&c)
	}
	return c, holder.CheckTTL("session: WithTTL", c.ttl)
}
