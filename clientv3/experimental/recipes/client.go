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
	// ErrKeyExists is Hold's answer when the barrier is held already.
	ErrKeyExists = recipe.ErrKeyExists
	// ErrTooManyClients is Enter's answer when the group is complete.
	ErrTooManyClients = recipe.ErrTooManyClients
	// ErrWaitMismatch is there for programs that compare with it; nothing returns it.
	ErrWaitMismatch = errors.New("unexpected wait result")
	// ErrNoWatcher is the answer of waiting with a client that has no Watcher.
	ErrNoWatcher = errors.New("no watcher channel")
)

// told is an error that clientv3's callers compare with ==, unless it tells that the
// operation may have been applied, or that the session has ended, which nothing else
// does.
func told(err error) error {
	if _, ok := errors.AsType[*recipe.UnsettledError](err); ok {
		return err
	}
	if errors.Is(err, recipe.ErrSession) && !errors.Is(err, rpctypes.ErrLeaseNotFound) {
		return err // and not what its last renewal failed with, which says less
	}
	for _, end := range []error{ErrKeyExists, ErrTooManyClients} {
		if errors.Is(err, end) {
			return end
		}
	}
	return bare.Error(err)
}

// WaitEvents watches a key from revision rev on until it has seen events of the given
// kinds, in that order, others in between, and returns the last of them.
func WaitEvents(c *clientv3.Client, key string, rev int64, evs []mvccpb.Event_EventType) (*clientv3.Event, error) {
	return wait(c, key, rev, evs)
}

// WaitPrefixEvents is WaitEvents of all keys that begin with prefix.
func WaitPrefixEvents(c *clientv3.Client, prefix string, rev int64, evs []mvccpb.Event_EventType) (*clientv3.Event, error) {
	return wait(c, prefix, rev, evs, clientv3.WithPrefix())
}

func wait(c *clientv3.Client, key string, rev int64, evs []mvccpb.Event_EventType, opts ...clientv3.OpOption) (*clientv3.Event, error) {
	if c.Watcher == nil {
		return nil, ErrNoWatcher
	}
	e, err := recipe.WaitEvents(c.Ctx(), below.Watcher(c.Watcher, c.KV), key, rev, evs, opts...)
	return e, told(err)
}

// RemoteKV is a key that was put, with what is known of it.
type RemoteKV struct {
	kv  clientv3.KV
	key string
	rev int64
	val string
}

// Key is the key.
func (rk *RemoteKV) Key() string { return rk.key }

// Revision is that of the Put.
func (rk *RemoteKV) Revision() int64 { return rk.rev }

// Value is the value that was put.
func (rk *RemoteKV) Value() string { return rk.val }

// Delete deletes the key. Without one, or again, it does nothing.
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

// EphemeralKV is a key that goes with a session.
type EphemeralKV struct{ RemoteKV }
