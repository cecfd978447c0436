package lock

import (
	"context"
	"fmt"

	"github.com/getcd/getcd/internal/queue"
	"github.com/getcd/getcd/lease"
)

// revoke revokes a lease and the keys with it, within 3 s, whatever has become of
// ctx.
func revoke(ctx context.Context, leases lease.Lease, id lease.ID) error {
	if err := queue.Revoke(ctx, leases, id); err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	return nil
}
