package queue

import (
	"context"
	"time"

	"github.com/getcd/getcd/internal/backoff"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/watch"
)

// Wait returns nil when the place is the first; ErrDeleted when the own key is
// gone; the server's error when it is final; and the cause of ctx when that has
// ended.
func (p *Place) Wait(ctx context.Context) error { return p.follow(ctx, true) }

// Hold watches over the own key of who is first. It never returns nil, and
// otherwise what Wait does.
func (p *Place) Hold(ctx context.Context) error { return p.follow(ctx, false) }

// follow watches the own key and, for one that waits, the one before it.
func (p *Place) follow(ctx context.Context, waiting bool) error {
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
	for failures := 0; ; p.at = (standing{}) {
		first, err := p.First(ctx)
		if err != nil || first && waiting {
			return err
		}
		older := p.at.older
		if !waiting {
			older = ""
		}
		if d != nil && d.older != older {
			stop()
		}
		if d == nil {
			d = p.watch(ctx, older)
		}
		if waiting || !p.Shared {
			recheck.Reset(backoff.Jitter(p.TTL / 2))
		}
		var resp watch.WatchResponse
		open := true
		select {
		case resp, open = <-d.own:
		case resp, open = <-d.before:
		case <-recheck.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if open && resp.Err() == nil {
			failures = 0
			continue
		}
		stop()
		Pause(ctx, failures)
		failures++
	}
}

// deletions is a watch of the own key's deletion and of the older one's.
type deletions struct {
	cancel      context.CancelFunc
	older       string
	own, before watch.WatchChan // nil if not watched; before without older
}

// watch begins after the revision at which the place was looked at.
func (p *Place) watch(ctx context.Context, older string) *deletions {
	ctx, cancel := context.WithCancel(ctx)
	d := &deletions{cancel: cancel, older: older}
	opts := []kv.OpOption{kv.WithRev(p.at.rev + 1), kv.WithFilterPut()}
	if older == "" || !p.Shared { // who waits otherwise looks at its own key when the older one goes, or by time
		d.own = p.Watcher.Watch(ctx, p.Key, opts...)
	}
	if older != "" {
		d.before = p.Watcher.Watch(ctx, older, opts...)
	}
	return d
}
