package holder

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/getcd/getcd/internal/ctxerr"
	"github.com/getcd/getcd/lease"
)

// Kind has what differs between the packages that use holders.
type Kind struct {
	Package   string // the prefix of errors
	Lost      error  // it can no longer be proven that the holder holds
	GivenUp   error  // the holder has given up
	Contended error  // another holder came first
}

// Ended is the error of a call whose context has ended, with its cause and the last failure if
// these say more.
func (k *Kind) Ended(ctx context.Context, name string, last error) error {
	err := fmt.Errorf("%s: %q: %w", k.Package, name, ctxerr.Of(ctx))
	if last != nil && (last.Error() == ctx.Err().Error() || last.Error() == context.Cause(ctx).Error()) {
		return err
	}
	return Because(err, last)
}

// Because adds the last failure to a cause, if it says more.
func Because(cause, last error) error {
	switch {
	case last == nil:
		return cause
	case errors.Is(last, cause):
		return last
	default:
		return fmt.Errorf("%w (last failure: %w)", cause, last)
	}
}

// CheckTTL returns an error unless ttl can be the time to live of a lease. what names the
// package and the option.
func CheckTTL(what string, ttl time.Duration) error {
	if ttl/time.Second > lease.MaxTTL {
		return fmt.Errorf("%s is %v, more than %d s: %w", what, ttl, int64(lease.MaxTTL), rpctypes.ErrLeaseTTLTooLarge)
	}
	if ttl < time.Second || ttl%time.Second != 0 {
		return fmt.Errorf("%s is %v; leases have whole seconds, from 1 s to %d s", what, ttl, int64(lease.MaxTTL))
	}
	return nil
}
