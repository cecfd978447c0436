package election

import (
	"context"
	"errors"
	"time"

	"github.com/getcd/getcd/internal/backoff"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/watch"
)

// place is what the cluster says of a candidate's place in the queue.
type place struct {
	rev  int64  // the revision of the answer
	mine bool   // the candidate's key is there, and is the one that it made
	next string // the youngest of the older keys; empty for the leader
}

// look reads the place, both parts at one revision.
func (c *candidacy) look(ctx context.Context) (place, error) {
	resp, err := c.e.kv.Txn(ctx).Then(
		kv.OpGet(c.key, kv.WithKeysOnly()),
		kv.OpGet(c.e.prefix, append(kv.WithLastCreate(), kv.WithMaxCreateRev(c.rev-1), kv.WithKeysOnly())...),
	).Commit()
	if err != nil {
		return place{}, err
	}
	p := place{rev: resp.Header.Revision}
	own, older := resp.Responses[0].GetResponseRange().Kvs, resp.Responses[1].GetResponseRange().Kvs
	p.mine = len(own) > 0 && own[0].CreateRevision == c.rev
	if len(older) > 0 {
		p.next = string(older[0].Key)
	}
	return p, nil
}

// lookUntil is look, again after failures until ctx ends.
func (c *candidacy) lookUntil(ctx context.Context) (place, error) {
	for failures := 0; ; failures++ {
		at, err := c.look(ctx)
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

// deletions is a watch of the candidate's own key and of the one before it in
// the queue, if it waits for that.
type deletions struct {
	cancel    context.CancelFunc
	next      string
	own, prev watch.WatchChan // prev is nil without next
}

func (c *candidacy) watchDeletions(ctx context.Context, from int64, next string) *deletions {
	ctx, cancel := context.WithCancel(ctx)
	d := &deletions{cancel: cancel, next: next}
	opts := []kv.OpOption{kv.WithRev(from), kv.WithFilterPut()}
	d.own = c.watcher.Watch(ctx, c.key, opts...)
	if next != "" {
		d.prev = c.watcher.Watch(ctx, next, opts...)
	}
	return d
}

// follow watches the candidate's own key and, while it waits, the one before it
// in the queue. It returns the last place that it saw, and nil when one that waits
// leads, for which one that leads already does not wait; errKeyDeleted when the
// own key is gone; the server's error when it is final; and the context's cause
// when that has ended.
//
// The watch tells quickly. What makes it certain are the reads: one after
// whatever it says, and one in every half TTL, for the member at the other end of
// a watch may have fallen silent.
func (c *candidacy) follow(ctx context.Context, at place, waiting bool) (place, error) {
	var d *deletions
	stop := func() {
		if d != nil {
			d.cancel()
			d = nil
		}
	}
	defer stop()
	recheck := time.NewTimer(time.Hour)
	defer recheck.Stop()
	for failures := 0; ; {
		next := at.next
		if !waiting {
			next = ""
		}
		switch {
		case !at.mine:
			return at, errKeyDeleted
		case waiting && next == "":
			return at, nil
		case d != nil && d.next != next:
			stop()
		}
		if d == nil {
			d = c.watchDeletions(ctx, at.rev+1, next)
		}
		recheck.Reset(backoff.Jitter(c.e.ttl / 2))
		var resp watch.WatchResponse
		open := true
		select {
		case resp, open = <-d.own:
		case resp, open = <-d.prev:
		case <-recheck.C:
		case <-ctx.Done():
			return at, context.Cause(ctx)
		}
		if !open || resp.Err() != nil {
			stop()
			backoff.Sleep(ctx, pauses.Pause(failures))
			failures++
		} else {
			failures = 0
		}
		var err error
		if at, err = c.lookUntil(ctx); err != nil {
			return at, err
		}
	}
}

// guard watches over the key of a leader, from the first time that somebody wants
// to know: a leader that only proclaims and resigns need not be told.
func (c *candidacy) guard() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.guarded || c.life.Err() != nil {
		return
	}
	c.guarded = true
	resumed := c.at == place{}
	if resumed {
		c.heedSession()
	}
	c.wg.Go(func() {
		at, err := c.at, error(nil)
		if resumed {
			at, err = c.lookUntil(c.life)
		}
		if err == nil {
			_, err = c.follow(c.life, at, false)
		}
		if errors.Is(err, errKeyDeleted) {
			c.end(lost(c.e.name, err))
		}
		// Anything else leaves it to the lease: whose lives, leads.
	})
}
