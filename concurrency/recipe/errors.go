package recipe

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/getcd/getcd/internal/etcderr"
)

var (
	// ErrKeyExists is Hold's answer when the barrier is held already.
	ErrKeyExists = errors.New("recipe: the key exists already")
	// ErrTooManyClients is Enter's answer when the group is complete.
	ErrTooManyClients = errors.New("recipe: too many clients")
	// ErrSession is the cause when a session has ended; errors.Is finds the
	// session's own as well.
	ErrSession = errors.New("recipe: the session has ended")
	// ErrLost is the cause when somebody has deleted the key that stands for a
	// lock, or for a place in a queue or a barrier.
	ErrLost = errors.New("recipe: the key was deleted by another client")
	// ErrHeld is the answer of an RWMutex that is locked already, or being locked,
	// and of a DoubleBarrier that was entered already.
	ErrHeld = errors.New("recipe: held already, or about to be; use one for each holder")
	// ErrNotHeld is the answer of what needs a lock that is held, or a
	// DoubleBarrier that was entered.
	ErrNotHeld = errors.New("recipe: not held")
)

// UnsettledError is an operation of which it could not be found out whether it was
// applied. It unwraps to the last failure.
type UnsettledError struct {
	// Op is the operation, such as "Dequeue", and Key the key that it was about.
	Op, Key string
	// Err is the last failure.
	Err error
}

// Error implements error.
func (e *UnsettledError) Error() string {
	return fmt.Sprintf("recipe: %s: whether it was applied to %q could not be found out: %v", e.Op, e.Key, e.Err)
}

// Unwrap returns Err.
func (e *UnsettledError) Unwrap() error { return e.Err }

// Ambiguous is true: the operation may have been applied. client.IsAmbiguous finds
// it.
func (e *UnsettledError) Ambiguous() bool { return true }

// refused reports whether a write that ended in err was certainly not applied.
func refused(err error) bool { return !etcderr.Ambiguous(err) }

// final reports whether trying again would end the same. A lease that is gone is the
// session's, which does not get another.
func final(err error) bool { return etcderr.Final(err) || etcderr.NotFound(err) }

func compacted(err error) bool { return errors.Is(err, rpctypes.ErrCompacted) }

// certainly is the error of an operation that an alarm has refused, and that is now known
// not to have been applied: etcd gives the same answer to a write that takes the last space.
func certainly(name string, err error) error {
	return fmt.Errorf("recipe: %q: not applied: %w", name, etcderr.Certain(err))
}

// notApplied is the error of an operation that has failed, and is now known not to
// have been applied, whatever the failure says of that.
func notApplied(ctx context.Context, name string, err error) error {
	if refused(err) {
		return err
	}
	if ctx.Err() != nil {
		return ended(ctx, name)
	}
	return fmt.Errorf("recipe: %q: not applied: %s", name, err) //nolint:errorlint // what it wraps would be called ambiguous
}
