package lock

import (
	"context"
	"time"

	"github.com/getcd/getcd/internal/backoff"
	"github.com/getcd/getcd/kv"
)

// place is what the cluster says of a waiter's place in the queue.
type place struct {
	rev  int64  // the revision of the answer
	mine bool   // the waiter's key is there, and is the one that it made
	next string // the youngest of the older keys; empty for the holder
}

// look reads the place, both parts at one revision.
func (h *hold) look(ctx context.Context) (place, error) {
	resp, err := h.m.kv.Txn(ctx).Then(
		kv.OpGet(h.key, kv.WithKeysOnly()),
		kv.OpGet(h.m.prefix, append(kv.WithLastCreate(), kv.WithMaxCreateRev(h.rev-1), kv.WithKeysOnly())...),
	).Commit()
	if err != nil {
		return place{}, err
	}
	p := place{rev: resp.Header.Revision}
	own, older := resp.Responses[0].GetResponseRange().Kvs, resp.Responses[1].GetResponseRange().Kvs
	p.mine = len(own) > 0 && own[0].CreateRevision == h.rev
	if len(older) > 0 {
		p.next = string(older[0].Key)
	}
	return p, nil
}

// follow watches the waiter's own key and, while it waits, the one before it in
// the queue. It returns the last place that it saw, and nil when a waiter has
// become the holder, which one that holds already does not wait for;
// errKeyDeleted when the own key is gone; the server's error when it is final;
// and the context's cause when that has ended.
//
// The watch tells quickly. What makes it certain are the reads: one after every
// event and every failure, and one in every half TTL, for the member at the
// other end of a watch may have fallen silent.
func (h *hold) follow(ctx context.Context, at place, waiting bool) (place, error) {
	var (
		watch    *deletes
		watched  string // the key before the own one that watch is for
		avoid    []string
		failures int
	)
	stop := func() {
		if watch != nil {
			watch.stop()
			watch = nil
		}
	}
	defer stop()
	recheck := time.NewTimer(time.Hour)
	defer recheck.Stop()
	for {
		if !at.mine {
			return at, errKeyDeleted
		}
		if waiting && at.next == "" {
			return at, nil
		}
		if watch != nil && watched != at.next {
			stop()
		}
		if watch == nil {
			keys := []string{h.key}
			if waiting {
				keys = append(keys, at.next)
			}
			watched = at.next
			watch = watchDeletes(ctx, h.m.watch, avoid, at.rev+1, keys...)
		}
		recheck.Reset(backoff.Jitter(h.m.ttl / 2))
		select {
		case err := <-watch.result:
			endpoint := watch.endpoint
			stop()
			avoid = nil
			if err == nil {
				failures = 0
			} else if ctx.Err() == nil {
				if endpoint != "" {
					avoid = []string{endpoint}
				}
				backoff.Sleep(ctx, pauses.Pause(failures))
				failures++
			}
		case <-recheck.C:
			failures = 0
		case <-ctx.Done():
			return at, context.Cause(ctx)
		}
		var err error
		if at, err = h.lookUntil(ctx); err != nil {
			return at, err
		}
	}
}

// lookUntil is look, again after failures until ctx ends.
func (h *hold) lookUntil(ctx context.Context) (place, error) {
	for failures := 0; ; failures++ {
		at, err := h.look(ctx)
		switch {
		case err == nil:
			return at, nil
		case ctx.Err() != nil:
			return place{}, context.Cause(ctx)
		case final(err):
			return place{}, err
		}
		if !backoff.Sleep(ctx, pauses.Pause(failures)) {
			return place{}, context.Cause(ctx)
		}
	}
}
