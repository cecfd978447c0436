// Package below finds the getcd services under those of a clientv3.Client. These
// may be the client's own services, those of package namespace, or any others.
package below

import (
	"github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/concurrency/recipe"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lease"
	"github.com/getcd/getcd/watch"
)

// KV returns a key-value service. If store wraps one of getcd's, it is that one,
// whose errors have all information.
func KV(store clientv3.KV) kv.KV {
	if u, ok := store.(interface{ Unwrap() kv.KV }); ok {
		return u.Unwrap()
	}
	return store
}

// Client combines a client's key-value and watch services. Its Close closes the
// watcher.
func Client(c *clientv3.Client) recipe.Client {
	return recipe.NewClient(KV(c.KV), Watcher(c.Watcher, c.KV))
}

// Watcher returns a watch service. If w is not one of getcd's (a program may have
// wrapped it), the iterators use its Watch, and Follow also uses store's Get. If
// store is nil, Follow returns an error.
func Watcher(w clientv3.Watcher, store clientv3.KV) watch.Watcher {
	if w, ok := w.(watch.Watcher); ok {
		return w
	}
	return watcher{w, store}
}

// Lease returns a lease service. If l is not one of getcd's, it chooses the IDs
// of leases itself, and leases are kept alive with its KeepAlive.
func Lease(l clientv3.Lease) lease.Lease {
	if l, ok := l.(lease.Lease); ok {
		return l
	}
	return &leases{Lease: l}
}

// Foreign reports whether a lease service is not one of getcd's.
func Foreign(l clientv3.Lease) bool {
	_, own := l.(lease.Lease)
	return !own
}
