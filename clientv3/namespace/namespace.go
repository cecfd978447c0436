// Package namespace mirrors go.etcd.io/etcd/client/v3/namespace: services whose
// keys all begin with a prefix.
//
//	cli.KV = namespace.NewKV(cli.KV, "jobs/")
//	cli.Watcher = namespace.NewWatcher(cli.Watcher, "jobs/")
//	cli.Lease = namespace.NewLease(cli.Lease, "jobs/")
//
// It is getcd's package namespace with clientv3's interfaces.
package namespace

import (
	"github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/clientv3/internal/below"
	"github.com/getcd/getcd/middleware/namespace"
	"github.com/getcd/getcd/watch"
)

// NewKV returns a key-value service that adds prefix to all keys.
func NewKV(kv clientv3.KV, prefix string) clientv3.KV {
	return clientv3.FromKV(namespace.NewKV(below.KV(kv), prefix), kv)
}

// NewLease returns a lease service whose TimeToLive lists only the attached keys
// that begin with prefix, and removes prefix from them.
func NewLease(l clientv3.Lease, prefix string) clientv3.Lease {
	return clientv3.FromLease(namespace.NewLease(below.Lease(l), prefix))
}

// NewWatcher returns a watch service that adds prefix to all keys.
func NewWatcher(w clientv3.Watcher, prefix string) clientv3.Watcher {
	inside := namespace.NewWatcher(below.Watcher(w, nil), prefix)
	if _, own := w.(watch.Watcher); !own {
		return struct{ clientv3.Watcher }{inside} // hides Follow, which w does not have, either
	}
	return inside
}
