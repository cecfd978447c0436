package queue

import (
	"context"
	"fmt"
	"time"

	"github.com/getcd/getcd/internal/backoff"
	"github.com/getcd/getcd/internal/etcderr"
	"github.com/getcd/getcd/lease"
)

// cleanupTime bounds the cleaning up, which goes on when the caller's context has
// ended: it is then that it is needed.
const cleanupTime = 3 * time.Second

type cleaning struct{}

// Cleanup is a context that has 3 s for cleaning up, whatever has become of ctx.
// One that is made in another has no more time than that.
func Cleanup(ctx context.Context) (context.Context, context.CancelFunc) {
	if ctx.Value(cleaning{}) != nil {
		return context.WithCancel(ctx)
	}
	ctx = context.WithValue(context.WithoutCancel(ctx), cleaning{}, true)
	return context.WithTimeout(ctx, cleanupTime)
}

// Revoke revokes a lease, and the keys that have it, trying again for as long as
// Cleanup gives it. A lease that does not exist is what was wanted. When all fails
// the lease ends by its TTL, provided that nobody renews it any more.
func Revoke(ctx context.Context, leases lease.Lease, id lease.ID) error {
	ctx, cancel := Cleanup(ctx)
	defer cancel()
	for failures := 0; ; failures++ {
		_, err := leases.Revoke(ctx, id)
		if err == nil || etcderr.NotFound(err) {
			return nil
		}
		if etcderr.FinalForCaller(err) || ctx.Err() != nil || !Pause(ctx, failures) {
			return fmt.Errorf("revoking lease %016x, which ends by itself when its TTL has passed: %w", uint64(id), err)
		}
	}
}

// Pause waits between two tries of what is not final, longer after each failure,
// from 20 ms to 1 s. It reports whether ctx lived through it.
func Pause(ctx context.Context, failures int) bool {
	return backoff.Sleep(ctx, backoff.Exponential{First: 20 * time.Millisecond, Max: time.Second}.Pause(failures))
}
