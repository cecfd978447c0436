// Package leasing mirrors go.etcd.io/etcd/client/v3/leasing: linearizable reads
// of single keys from memory. It is getcd's package leasing with clientv3's
// interfaces.
package leasing

import (
	"context"

	"github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/clientv3/concurrency"
	"github.com/getcd/getcd/clientv3/internal/bare"
	"github.com/getcd/getcd/clientv3/internal/below"
	"github.com/getcd/getcd/middleware/leasing"
)

// NewKV returns a key-value service that reads from memory, whose leasing keys
// begin with pfx, and a function that closes it. Closing it gives up the owned
// keys; in clientv3 only the end of the client does. NewKV returns when it has a
// session, or with the reason why it has none, such as an empty pfx. The end of
// the client, or of the session's context, also closes the service.
func NewKV(cl *clientv3.Client, pfx string, opts ...concurrency.SessionOption) (clientv3.KV, func(), error) {
	ctx, native, err := concurrency.NativeOptions(cl, opts...)
	if err != nil {
		return nil, func() {}, err
	}
	l, err := leasing.New(ctx, below.KV(cl.KV), below.Watcher(cl.Watcher, cl.KV), below.Lease(cl.Lease), pfx, native...)
	if err != nil {
		return nil, func() {}, bare.Error(err)
	}
	closing := context.WithoutCancel(ctx)
	stop := context.AfterFunc(ctx, func() { _ = l.Close(closing) })
	return clientv3.FromKV(l, cl.KV), func() {
		stop()
		_ = l.Close(closing) // if this fails, the session's lease expires by itself
	}, nil
}
