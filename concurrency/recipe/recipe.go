package recipe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/getcd/getcd/internal/etcderr"
	"github.com/getcd/getcd/internal/holder"
	"github.com/getcd/getcd/internal/misuse"
	"github.com/getcd/getcd/internal/queue"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lease"
	"github.com/getcd/getcd/watch"
)

// Client is what the recipes need: a *client.Client is one. NewClient makes one of
// services.
type Client interface {
	kv.KV
	watch.Watcher
}

// NewClient returns a Client of two services, such as those of package namespace.
// Its Close is the watcher's. When one of them is nil it returns nil, which the
// recipes' calls refuse.
func NewClient(store kv.KV, w watch.Watcher) Client {
	if store == nil || w == nil {
		return nil
	}
	return struct {
		kv.KV
		watch.Watcher
	}{store, w}
}

// Session is a lease that is kept alive, and until when that is proven: a
// *session.Session, or a *lease.Keeper.
type Session interface {
	// ID is the lease.
	ID() lease.ID
	// Done is closed when the lease can no longer be proven to live.
	Done() <-chan struct{}
	// Err is nil while the lease is proven to live, and then why it is not.
	Err() error
}

// usable returns an error if a call lacks its context or its client.
func usable(ctx context.Context, call string, c Client) error {
	return cmp.Or(misuse.Context(ctx, "recipe: "+call), misuse.Nil("recipe: "+call, "client", c))
}

// usableIn is usable for a call that needs a session besides.
func usableIn(ctx context.Context, call string, c Client, s Session) error {
	return cmp.Or(usable(ctx, call, c), misuse.Nil("recipe: "+call, "session", s))
}

// within returns a context that ends with ctx, or with the session. The function
// frees what it needs, and must be called.
func within(ctx context.Context, s Session) (context.Context, func()) {
	life := holder.NewLife(ctx, func(cause error) error { return fmt.Errorf("%w: %w", ErrSession, cause) })
	life.SetLease(s)
	_ = life.Err() // may say that it has ended before Done is closed
	life.WatchLease()
	return life.Context(), func() { life.End(nil); life.Wait() }
}

// ended is the error of a call that its context, or its session, has ended.
func ended(ctx context.Context, name string) error {
	return fmt.Errorf("recipe: %q: %w", name, context.Cause(ctx))
}

// unique makes the last part of a key that nobody else has.
func unique() string { return fmt.Sprintf("%016x", rand.Uint64()) }

// WaitEvents watches a key from revision rev on (0 is from now) until it has seen
// events of the given kinds, in that order, others in between, and returns the last
// of them. It takes the options of a watch, such as kv.WithPrefix. The error is the
// watch's, or the context's.
func WaitEvents(ctx context.Context, w watch.Watcher, key string, rev int64, kinds []mvccpb.Event_EventType, opts ...kv.OpOption) (*watch.Event, error) {
	if err := cmp.Or(misuse.Context(ctx, "recipe: WaitEvents"), misuse.Nil("recipe: WaitEvents", "watcher", w)); err != nil {
		return nil, err
	}
	if len(kinds) == 0 {
		return nil, errors.New("recipe: WaitEvents: there are no kinds of events to wait for")
	}
	next := 0
	for e, err := range w.Events(ctx, key, append([]kv.OpOption{kv.WithRev(rev)}, opts...)...) {
		if err != nil {
			return nil, err
		}
		if e.Type != kinds[next] {
			continue
		}
		if next++; next == len(kinds) {
			return e, nil
		}
	}
	return nil, ctx.Err() // not reached: the last pair has an error
}

// waitChange waits for an event after revision rev. When what has happened since
// is compacted, something has, most likely: the caller looks again either way.
func waitChange(ctx context.Context, c Client, key string, rev int64, kind mvccpb.Event_EventType, opts ...kv.OpOption) error {
	_, err := WaitEvents(ctx, c, key, rev+1, []mvccpb.Event_EventType{kind}, opts...)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if compacted(err) {
		return nil
	}
	return err
}

// commit sends a transaction that may be sent any number of times, until it is
// answered, or ctx ends, or it is refused for good or because of an alarm.
func commit(ctx context.Context, c Client, cmps []kv.Cmp, thenOps, elseOps []kv.Op) (*kv.TxnResponse, error) {
	resp, _, err := commitKnowing(ctx, c, cmps, thenOps, elseOps)
	return resp, err
}

// commitKnowing is commit. It also reports whether a try may have been applied before the one
// that was answered.
func commitKnowing(ctx context.Context, c Client, cmps []kv.Cmp, thenOps, elseOps []kv.Op) (resp *kv.TxnResponse, doubt bool, err error) {
	for failures := 0; ; failures++ {
		resp, err := c.Txn(ctx).If(cmps...).Then(thenOps...).Else(elseOps...).Commit()
		if err == nil {
			return resp, doubt, nil
		}
		doubt = doubt || !refused(err)
		if final(err) || etcderr.Alarmed(err) || !queue.Pause(ctx, failures) {
			return nil, doubt, err
		}
	}
}
