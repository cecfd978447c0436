// Package mirror mirrors go.etcd.io/etcd/client/v3/mirror: it reads the current
// state of a cluster's keys, and then each change. It is package mirror of getcd
// in clientv3's shape.
package mirror

import (
	"context"

	"github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/mirror"
)

// Syncer reads the state of the keys, and then their changes.
type Syncer interface {
	// SyncBase reads the state in parts. All parts but the last have More set.
	// Both channels close when everything is read. If reading fails, the second
	// channel has the reason. Up to 1024 parts, of 1000 keys or less, wait in the
	// first one. Unless the caller reads both channels to their end, it must end
	// ctx.
	SyncBase(ctx context.Context) (<-chan *clientv3.GetResponse, chan error)

	// SyncUpdates watches the changes since the state that SyncBase read, until
	// ctx ends. Before SyncBase is called, it watches all changes since the
	// revision that NewSyncer was given.
	SyncUpdates(ctx context.Context) clientv3.WatchChan
}

// NewSyncer returns a Syncer of the keys that begin with prefix, or of all keys
// if prefix is empty, at revision rev. 0 means the latest revision when SyncBase
// begins.
func NewSyncer(c *clientv3.Client, prefix string, rev int64) Syncer {
	return &syncer{c: c, prefix: prefix, rev: rev}
}

type syncer struct {
	c      *clientv3.Client
	prefix string
	rev    int64 // written by SyncBase before it returns
}

func (s *syncer) SyncBase(ctx context.Context) (<-chan *clientv3.GetResponse, chan error) {
	parts, errs := make(chan *clientv3.GetResponse, 1024), make(chan error, 1) // some programs wait for the error first
	fail := func(err error) (<-chan *clientv3.GetResponse, chan error) {
		errs <- err
		close(errs)
		close(parts)
		return parts, errs
	}
	m, err := mirror.New(s.c, s.prefix, mirror.WithRev(s.rev))
	if err != nil {
		return fail(err)
	}
	if s.rev, err = m.Revision(ctx); err != nil {
		return fail(err)
	}
	go func() { // ends with ctx, or when it has read everything
		defer close(errs)
		defer close(parts)
		for part, err := range m.Base(ctx) {
			if err != nil {
				errs <- err
				return
			}
			select {
			case parts <- part:
			case <-ctx.Done():
				errs <- ctx.Err()
				return
			}
		}
	}()
	return parts, errs
}

func (s *syncer) SyncUpdates(ctx context.Context) clientv3.WatchChan {
	return s.c.Watch(ctx, s.prefix, clientv3.WithPrefix(), clientv3.WithRev(s.rev+1))
}
