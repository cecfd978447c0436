package lock

import (
	"errors"
	"fmt"

	"github.com/getcd/getcd/internal/closed"
	"github.com/getcd/getcd/internal/holder"
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
	// ErrClosed is the cause when a Pool was closed.
	ErrClosed = closed.New("lock: closed")

	errReleased = fmt.Errorf("%w: released", ErrNotHeld)
)

// kind is what the locks' holders have in common.
var kind = &holder.Kind{Package: "lock", Lost: ErrLost, GivenUp: errReleased, Contended: ErrLocked}
