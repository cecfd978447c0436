package lock

import (
	"context"
	"errors"
	"fmt"
)

var (
	// ErrLocked is TryLock's answer when another one holds the lock.
	ErrLocked = errors.New("lock: held by another")
	// ErrLost is the cause when a lock can no longer be proven to be held:
	// its lease was not renewed in time or is gone, or its key was deleted.
	// errors.Is finds the lease's cause besides.
	ErrLost = errors.New("lock: lost")
	// ErrNotHeld is the answer of what needs a held lock when there is none.
	ErrNotHeld = errors.New("lock: not held")
	// ErrAlreadyLocked is Lock's and TryLock's answer on a Mutex that holds the
	// lock already, or for which another Lock, TryLock or Unlock is under way.
	ErrAlreadyLocked = errors.New("lock: this Mutex is locked or being locked already; use one Mutex per holder")

	errReleased = fmt.Errorf("%w: released", ErrNotHeld)
)

// lost is ErrLost with its cause.
func lost(name string, cause error) error {
	return fmt.Errorf("%w: %q: %w", ErrLost, name, cause)
}

// ended is the error of a call that its context has ended, with the last failure
// if it tells more than that.
func ended(ctx context.Context, name string, last error) error {
	err := fmt.Errorf("lock: %q: %w", name, ctx.Err())
	if last == nil || errors.Is(last, ctx.Err()) && last.Error() == ctx.Err().Error() {
		return err
	}
	return fmt.Errorf("%w (last failure: %w)", err, last)
}

// because adds the last failure, if there was one, to a cause.
func because(cause, last error) error {
	if last == nil {
		return cause
	}
	return fmt.Errorf("%w (last failure: %w)", cause, last)
}
