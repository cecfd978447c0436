package watching

import (
	"context"
	"fmt"
	"slices"

	"go.etcd.io/etcd/api/v3/mvccpb"
)

// cursor is the position of one watch in the history. Only the watch's goroutine
// uses it. Its errors are violations, except for errors of contexts.
type cursor struct {
	h      *history
	limits *limits
	sel    selection
	prevKV bool

	next int64    // the first revision that was not seen; 0 while it is unknown
	open int64    // the revision that was partly seen, or 0
	left []change // the changes of open that were not seen
	put  int      // the position of the last put of open

	events, progresses, compactions int64
}

// start places the cursor before a revision.
func (c *cursor) start(rev int64) { c.next, c.open, c.left = rev, 0, nil }

// whole checks that the watch has delivered its last revision completely.
func (c *cursor) whole() error {
	if c.open == 0 {
		return nil
	}
	return fmt.Errorf("revision %d is not whole: %d of its changes are missing, such as that of %s", c.open, len(c.left), c.h.keys[c.left[0].key])
}

// event processes an event. It must belong to the next revision that has any.
func (c *cursor) event(ctx context.Context, e *mvccpb.Event) error {
	if e.Kv == nil {
		return fmt.Errorf("got an event without a key: %v", e)
	}
	rev := e.Kv.ModRevision
	if rev != c.open {
		if err := c.whole(); err != nil {
			return err
		}
		if err := c.pass(ctx, rev-1); err != nil {
			return fmt.Errorf("before an event of revision %d: %w", rev, err)
		}
		if c.next == 0 || rev < c.next {
			return fmt.Errorf("got %v of %s at revision %d, want %d or later: twice, or out of order", e.Type, e.Kv.Key, rev, c.next)
		}
		if err := c.h.wait(ctx, rev); err != nil {
			return err
		}
		c.open, c.left, c.put = rev, c.h.of(rev, c.sel), -1
	}
	i := slices.IndexFunc(c.left, func(x change) bool { return c.h.keys[x.key] == string(e.Kv.Key) })
	if i < 0 {
		return fmt.Errorf("got %v of %s at revision %d, which has no such change, or only one", e.Type, e.Kv.Key, rev)
	}
	if err := c.same(&c.left[i], e); err != nil {
		return err
	}
	c.events++
	if c.left = slices.Delete(c.left, i, i+1); len(c.left) == 0 {
		c.open, c.next = 0, rev+1
	}
	return nil
}

// same reports how an event differs from the expected change.
func (c *cursor) same(want *change, e *mvccpb.Event) error {
	if (e.Type == mvccpb.Event_DELETE) != want.deleted {
		return fmt.Errorf("got %v of %s at revision %d, want the contrary", e.Type, e.Kv.Key, want.rev)
	}
	if !want.deleted {
		if err := c.h.same(want, e.Kv); err != nil {
			return err
		}
		if place := int(want.tag.place); place <= c.put {
			return fmt.Errorf("got the put %d of revision %d after its put %d", place, want.rev, c.put)
		}
		c.put = int(want.tag.place)
	}
	was, had := c.h.at(int(want.key), want.rev-1)
	switch {
	case e.PrevKv == nil && c.prevKV && had && c.limits.attempted.Load() < want.rev:
		return fmt.Errorf("got no previous value of %s at revision %d, want that of %d", e.Kv.Key, want.rev, was.rev)
	case e.PrevKv == nil:
		return nil
	case !c.prevKV || !had:
		return fmt.Errorf("got a previous value of %s at revision %d, want none", e.Kv.Key, want.rev)
	}
	if err := c.h.same(&was, e.PrevKv); err != nil {
		return fmt.Errorf("the previous value at revision %d: %w", want.rev, err)
	}
	return nil
}

// pass reports whether something up to a revision is missing.
func (c *cursor) pass(ctx context.Context, rev int64) error {
	if c.next == 0 || rev < c.next {
		return nil
	}
	if err := c.h.wait(ctx, rev); err != nil {
		return err
	}
	if missed := c.h.next(c.next, rev, c.sel); missed != 0 {
		return fmt.Errorf("revision %d is missing", missed)
	}
	return nil
}

// progress processes the notification that everything up to a revision was
// delivered.
func (c *cursor) progress(ctx context.Context, rev int64) error {
	if err := c.whole(); err != nil {
		return err
	}
	if err := c.pass(ctx, rev); err != nil {
		return fmt.Errorf("progress to revision %d: %w", rev, err)
	}
	c.progresses++
	c.next = max(c.next, rev+1)
	return nil
}

// compacted processes the notification that the watch cannot continue at a
// revision. at is the first revision that is left, or 0 if it is unknown.
func (c *cursor) compacted(ctx context.Context, where, at int64) error {
	c.compactions++
	if err := c.whole(); err != nil {
		return err
	}
	if err := c.pass(ctx, where-1); err != nil {
		return fmt.Errorf("compacted where it had to continue, at revision %d: %w", where, err)
	}
	attempted := c.limits.attempted.Load()
	switch {
	case where < c.next:
		return fmt.Errorf("had to continue at revision %d, want %d or later", where, c.next)
	case at > attempted || attempted <= where:
		return fmt.Errorf("at revision %d compacted at %d, want at most %d, which somebody has asked for", where, at, attempted)
	case at != 0 && at <= where:
		return fmt.Errorf("at revision %d compacted at %d, which does not hinder it", where, at)
	}
	return nil
}

// snapshot processes the state of the keys at a revision, and continues after it.
func (c *cursor) snapshot(ctx context.Context, rev int64, kvs []*mvccpb.KeyValue) error {
	if err := c.h.wait(ctx, rev); err != nil {
		return err
	}
	n := 0
	for key := c.sel.lo; key < c.sel.hi; key++ {
		want, there := c.h.at(key, rev)
		if !there {
			continue
		}
		if n == len(kvs) {
			return fmt.Errorf("the state at revision %d is without %s", rev, c.h.keys[key])
		}
		if err := c.h.same(&want, kvs[n]); err != nil {
			return fmt.Errorf("the state at revision %d: %w", rev, err)
		}
		n++
	}
	if n != len(kvs) {
		return fmt.Errorf("the state at revision %d has %d keys, want %d", rev, len(kvs), n)
	}
	c.start(rev + 1)
	return nil
}
