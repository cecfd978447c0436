package below

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/watch"
)

// watcher adds the other methods of getcd's watch service to any watch service.
type watcher struct {
	clientv3.Watcher
	store clientv3.KV // nil if there is none
}

func (w watcher) Responses(ctx context.Context, key string, opts ...kv.OpOption) iter.Seq2[watch.WatchResponse, error] {
	return func(yield func(watch.WatchResponse, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		for resp := range w.Watch(ctx, key, opts...) {
			err := resp.Err()
			if !yield(resp, err) || err != nil {
				return
			}
		}
		err := ctx.Err()
		if err == nil {
			err = watch.ErrClosed // clientv3's channels then close without an error
		}
		yield(watch.WatchResponse{}, err)
	}
}

func (w watcher) Events(ctx context.Context, key string, opts ...kv.OpOption) iter.Seq2[*watch.Event, error] {
	return func(yield func(*watch.Event, error) bool) {
		for resp, err := range w.Responses(ctx, key, opts...) {
			if err != nil {
				yield(nil, err)
				return
			}
			for _, e := range resp.Events {
				if !yield(e, nil) {
					return
				}
			}
		}
	}
}

// Follow is package watch's Follow, but does not check the identity of the
// cluster.
func (w watcher) Follow(ctx context.Context, key string, opts ...kv.OpOption) iter.Seq2[watch.Update, error] {
	return func(yield func(watch.Update, error) bool) {
		if w.store == nil {
			yield(watch.Update{}, fmt.Errorf("clientv3: there is no KV to read with, so a %T cannot Follow: %w", w.Watcher, errors.ErrUnsupported))
			return
		}
		var cause error
		for {
			op := kv.OpWatch(key, opts...)
			get := kv.OpGet(string(op.KeyBytes()), func(g *kv.Op) { g.WithRangeBytes(op.RangeBytes()) })
			resp, err := w.store.Do(ctx, get)
			if err != nil {
				yield(watch.Update{}, err)
				return
			}
			now := resp.Get()
			if !yield(watch.Update{
				Snapshot: &watch.Snapshot{KVs: now.Kvs, Header: now.Header, Cause: cause},
				Revision: now.Header.GetRevision(),
			}, nil) {
				return
			}
			if cause = w.changes(ctx, key, now.Header.GetRevision()+1, opts, yield); cause == nil {
				return
			}
		}
	}
}

// changes yields the changes from a revision on. It returns why the state has to
// be read again, or nil if the iteration has ended.
func (w watcher) changes(ctx context.Context, key string, from int64, opts []kv.OpOption, yield func(watch.Update, error) bool) error {
	opts = append(slices.Clip(opts), kv.WithRev(from))
	for resp, err := range w.Responses(ctx, key, opts...) {
		switch {
		case errors.Is(err, rpctypes.ErrCompacted):
			return err
		case err != nil:
			yield(watch.Update{}, err)
			return nil
		case resp.Created:
			continue
		}
		rev := from - 1
		if n := len(resp.Events); n > 0 {
			rev = resp.Events[n-1].Kv.GetModRevision()
		} else if resp.IsProgressNotify() {
			rev = resp.Header.GetRevision()
		}
		if from = max(from, rev+1); !yield(watch.Update{Events: resp.Events, Revision: from - 1}, nil) {
			return nil
		}
	}
	return nil
}
