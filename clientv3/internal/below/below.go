// Package below finds getcd's services under those of a clientv3.Client, which may
// be the client's own, ones of package namespace, or anybody's.
package below

import (
	"github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/concurrency/recipe"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lease"
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
func Client(c *clientv3.Client) recipe.Client {
	return recipe.NewClient(KV(c.KV), Watcher(c.Watcher, c.KV))
}

// Watcher is a watch service. Of one that is not getcd's, such as one that a program
// has put something around, the iterators are made of its Watch, and Follow of that
// and of store's Get. A nil store leaves Follow an error.
func Watcher(w clientv3.Watcher, store clientv3.KV) watch.Watcher {
	if w, ok := w.(watch.Watcher); ok {
		return w
	}
	return watcher{w, store}
}

// Lease is a lease service. One that is not getcd's chooses its leases' IDs itself,
// and its leases are kept by its KeepAliveOnce.
func Lease(l clientv3.Lease) lease.Lease {
	if l, ok := l.(lease.Lease); ok {
		return l
	}
	return leases{l, lease.New(renewals{l})}
}
