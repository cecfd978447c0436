// Package below finds getcd's services under those of a clientv3.Client, which may
// be the client's own, ones of package namespace, or anybody's.
package below

import (
	"context"
	"fmt"
	"iter"

	"github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lease"
	"github.com/getcd/getcd/recipe"
	"github.com/getcd/getcd/watch"
)

// KV is a key-value service with errors that say all, if it has one of getcd's.
func KV(store clientv3.KV) kv.KV {
	if u, ok := store.(interface{ Unwrap() kv.KV }); ok {
		return u.Unwrap()
	}
	return store
}

// Client is a client's key-value and watch services in one. Its Close is the watcher's.
func Client(c *clientv3.Client) recipe.Client { return recipe.NewClient(KV(c.KV), Watcher(c.Watcher)) }

// Watcher is a watch service. One that is not getcd's has Watch alone; the rest is an
// error.
func Watcher(w clientv3.Watcher) watch.Watcher {
	if w, ok := w.(watch.Watcher); ok {
		return w
	}
	return watcher{w}
}

// Lease is a lease service. One that is not getcd's has clientv3's methods alone; the
// rest is an error.
func Lease(l clientv3.Lease) lease.Lease {
	if l, ok := l.(lease.Lease); ok {
		return l
	}
	return leases{l}
}

func unfit(what string, service any) error {
	return fmt.Errorf("clientv3: the client's %s is a %T, which is none of getcd's: make it with clientv3 or clientv3/namespace", what, service)
}

type watcher struct{ clientv3.Watcher }

func (w watcher) Responses(context.Context, string, ...kv.OpOption) iter.Seq2[watch.WatchResponse, error] {
	return refuse[watch.WatchResponse](unfit("Watcher", w.Watcher))
}

func (w watcher) Events(context.Context, string, ...kv.OpOption) iter.Seq2[*watch.Event, error] {
	return refuse[*watch.Event](unfit("Watcher", w.Watcher))
}

func (w watcher) Follow(context.Context, string, ...kv.OpOption) iter.Seq2[watch.Update, error] {
	return refuse[watch.Update](unfit("Watcher", w.Watcher))
}

func refuse[T any](err error) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		yield(none, err)
	}
}

type leases struct{ clientv3.Lease }

func (l leases) GrantID(context.Context, lease.ID, int64) (*lease.GrantResponse, error) {
	return nil, unfit("Lease", l.Lease)
}

func (l leases) Keep(context.Context, lease.ID) (*lease.Keeper, error) {
	return nil, unfit("Lease", l.Lease)
}
