// Package mirror mirrors go.etcd.io/etcd/client/v3/mirror: it reads the current
// state of a cluster's keys, and then each change. Watcher.Follow of package
// watch does both, and also works across a compaction.
package mirror

import (
	"context"

	"github.com/getcd/getcd/clientv3"
)

// Syncer reads the state of the keys, and then their changes.
type Syncer interface {
	// SyncBase reads the state in parts. All parts but the last have More set.
	// Both channels close when everything is read. If reading fails, the second
	// channel has the reason. Unless the caller reads both channels to their end,
	// it must end ctx.
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
	parts, errs := make(chan *clientv3.GetResponse, 1), make(chan error, 1)
	if s.rev == 0 {
		// A read of any key returns the revision.
		resp, err := s.c.Get(ctx, s.prefix+"\x00", clientv3.WithCountOnly())
		if err != nil {
			errs <- err
			close(errs)
			close(parts)
			return parts, errs
		}
		s.rev = resp.Header.GetRevision()
	}
	go func() { // ends with ctx, or when it has read everything
		defer close(errs)
		defer close(parts)
		all := clientv3.OpGet(s.prefix, clientv3.WithPrefix()) // works for the empty prefix, too
		end := string(all.RangeBytes())
		for key := string(all.KeyBytes()); ; {
			part, err := s.c.Get(ctx, key, clientv3.WithRange(end), clientv3.WithRev(s.rev), clientv3.WithLimit(partSize))
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
			if !part.More || len(part.Kvs) == 0 {
				return
			}
			key = string(part.Kvs[len(part.Kvs)-1].Key) + "\x00"
		}
	}()
	return parts, errs
}

// partSize is the number of keys in each part but the last.
const partSize = 1000

func (s *syncer) SyncUpdates(ctx context.Context) clientv3.WatchChan {
	return s.c.Watch(ctx, s.prefix, clientv3.WithPrefix(), clientv3.WithRev(s.rev+1))
}
