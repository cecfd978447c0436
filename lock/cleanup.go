package lock

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/getcd/getcd/internal/backoff"
	"github.com/getcd/getcd/lease"
)

// cleanupTime bounds the cleaning up after a lock, which goes on when the
// caller's context has ended: it is then that it is needed.
const cleanupTime = 3 * time.Second

// revoke revokes a lease and the keys with it, whatever has become of ctx, and
// tries again for cleanupTime. A lease that does not exist is what was wanted.
// When all fails the lease ends by its TTL, since nobody renews it any more.
func revoke(ctx context.Context, leases lease.Lease, id lease.ID) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
	defer cancel()
	for failures := 0; ; failures++ {
		_, err := leases.Revoke(ctx, id)
		if err == nil || isNotFound(err) {
			return nil
		}
		if final(err) || ctx.Err() != nil || !backoff.Sleep(ctx, pauses.Pause(failures)) {
			return fmt.Errorf("lock: revoking lease %016x, which ends by itself when its TTL has passed: %w", uint64(id), err)
		}
	}
}

func isNotFound(err error) bool {
	return code(err) == codes.NotFound
}
