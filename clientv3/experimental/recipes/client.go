package recipe

import (
	"context"
	"errors"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/clientv3/internal/bare"
	"github.com/getcd/getcd/clientv3/internal/below"
	"github.com/getcd/getcd/concurrency/recipe"
)

var (
	// ErrKeyExists is returned by Hold if the barrier is already held.
	ErrKeyExists = recipe.ErrKeyExists
	// ErrTooManyClients is returned by Enter if the group is complete.
	ErrTooManyClients = recipe.ErrTooManyClients
	// ErrWaitMismatch exists for programs that compare with it. Nothing returns
	// it.
	ErrWaitMismatch = errors.New("unexpected wait result")
	// ErrNoWatcher is returned by calls that wait, if the client has no Watcher.
	ErrNoWatcher = errors.New("no watcher channel")
)

// bareError returns an error that clientv3's callers can compare with ==. It
// keeps errors that say that the operation may have been applied, or that the
// session has ended, since nothing else does.
func bareError(err error) error {
	if _, ok := errors.AsType[*recipe.UnsettledError](err); ok {
		return err
	}
	if errors.Is(err, recipe.ErrSession) && !errors.Is(err, rpctypes.ErrLeaseNotFound) {
		return err // its last renewal's error would say less
	}
	for _, end := range []error{ErrKeyExists, ErrTooManyClients} {
		if errors.Is(err, end) {
			return end
		}
	}
	return bare.Error(err)
}

// released returns bareError's error, but none if nothing was held, or if it was lost:
// clientv3 then deletes a key that is gone, which is no error.
func released(err error) error {
	if errors.Is(err, recipe.ErrNotHeld) || errors.Is(err, recipe.ErrLost) {
		return nil
	}
	return bareError(err)
}

// WaitEvents watches a key from revision rev until it has seen events of the
// given kinds in the given order, and returns the last of them. Other events may
// come in between.
func WaitEvents(c *clientv3.Client, key string, rev int64, evs []mvccpb.Event_EventType) (*clientv3.Event, error) {
	return wait(c, key, rev, evs)
}

// WaitPrefixEvents is WaitEvents for all keys that begin with prefix.
func WaitPrefixEvents(c *clientv3.Client, prefix string, rev int64, evs []mvccpb.Event_EventType) (*clientv3.Event, error) {
	return wait(c, prefix, rev, evs, clientv3.WithPrefix())
}

func wait(c *clientv3.Client, key string, rev int64, evs []mvccpb.Event_EventType, opts ...clientv3.OpOption) (*clientv3.Event, error) {
	if c.Watcher == nil {
		return nil, ErrNoWatcher
	}
	e, err := recipe.WaitEvents(c.Ctx(), below.Watcher(c.Watcher, c.KV), key, rev, evs, opts...)
	return e, bareError(err)
}

// RemoteKV is a key that was put, with its value and revision.
type RemoteKV struct {
	kv  clientv3.KV
	key string
	rev int64
	val string
}

// Key returns the key.
func (rk *RemoteKV) Key() string { return rk.key }

// Revision returns the revision of the Put.
func (rk *RemoteKV) Revision() int64 { return rk.rev }

// Value returns the value that was put.
func (rk *RemoteKV) Value() string { return rk.val }

// Delete deletes the key. It does nothing if there is none, or if it was already
// deleted.
func (rk *RemoteKV) Delete() error {
	if rk.kv == nil {
		return nil
	}
	_, err := rk.kv.Delete(context.Background(), rk.key)
	rk.kv = nil
	return err
}

// Put writes the key.
func (rk *RemoteKV) Put(val string) error {
	if rk.kv == nil {
		return errors.New("clientv3/recipes: there is no key, or it was deleted")
	}
	_, err := rk.kv.Put(context.Background(), rk.key, val)
	return err
}

// EphemeralKV is a key that is deleted with its session.
type EphemeralKV struct{ RemoteKV }
