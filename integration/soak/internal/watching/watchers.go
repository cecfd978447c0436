package watching

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/watch"
)

// api is the way in which a watch is consumed.
type api uint8

const (
	byChannel api = iota
	byResponses
	byEvents
	byFollow
)

// span is a random duration.
type span struct{ least, most time.Duration }

func (s span) draw(r *rand.Rand) time.Duration {
	if s.most <= s.least {
		return s.least
	}
	return s.least + time.Duration(r.Int64N(int64(s.most-s.least)+1))
}

// spec says what a watch watches, and how.
type spec struct {
	name     string
	key, end string // end is empty for a single key
	api      api
	opts     []kv.OpOption // without the range and the revision

	noPuts, noDeletes, prevKV bool

	// apart gives each session a different range with the same keys.
	apart bool
	// cached is set when watches come from the client's memory.
	cached bool

	// old starts the watch at the first revision of all. Otherwise it starts now.
	old bool
	// session is how long it runs before it is reopened at its position. Zero
	// means forever.
	session span
	// hop reopens it at a random revision each time.
	hop bool
	// work is how long its consumer needs for a response.
	work span
	// gate, if not nil, makes its consumer wait before each response.
	gate *gate
}

// ranges makes the end of each range different, using keys that nobody writes.
var ranges atomic.Uint64

func (s spec) options() []kv.OpOption {
	opts := append([]kv.OpOption(nil), s.opts...)
	switch end := s.end; {
	case s.apart:
		if end == "" {
			end = s.key
		}
		opts = append(opts, kv.WithRange(fmt.Sprint(end, "\x00", ranges.Add(1))))
	case end != "":
		opts = append(opts, kv.WithRange(end))
	}
	if s.noPuts {
		opts = append(opts, kv.WithFilterPut())
	}
	if s.noDeletes {
		opts = append(opts, kv.WithFilterDelete())
	}
	if s.prevKV {
		opts = append(opts, kv.WithPrevKV())
	}
	return opts
}

// service is the service on which a watch is opened: package watch's, or
// clientv3's.
type service struct {
	watch.Watcher
	facade clientv3.Watcher
	kv     kv.KV
}

// watcher is one watch, which is reopened repeatedly, and its consumer.
type watcher struct {
	spec
	service
	cur      cursor
	rand     *rand.Rand
	hurry    *atomic.Bool // the end is near, so consumers are not slow any more
	seen     atomic.Int64 // everything before that revision was seen
	told     atomic.Int64 // how many times it has received a compaction
	sessions int
}

// errResync says that a session has ended because the watch has reported a gap.
// The cursor is the position to continue at, unless it is 0.
var errResync = errors.New("resync")

// run watches until ctx ends or a violation is found, which it returns.
func (w *watcher) run(ctx context.Context) error {
	if w.old {
		w.cur.start(w.cur.h.base + 1)
	}
	for ctx.Err() == nil {
		if err := w.once(ctx); err != nil && ctx.Err() == nil {
			return fmt.Errorf("%s, session %d: %w", w.name, w.sessions, err)
		}
	}
	return nil
}

// once runs one session and the work after it.
func (w *watcher) once(ctx context.Context) error {
	if w.hop && !w.hurry.Load() {
		from, to := w.cur.limits.done.Load()-100, w.cur.h.head()+30
		w.cur.start(max(1, w.cur.h.base+1, from+w.rand.Int64N(max(1, to-from))))
	}
	if w.cur.next == 0 && w.api == byEvents { // it cannot tell where it begins
		if err := w.read(ctx); err != nil {
			return err
		}
	}
	w.seen.Store(w.cur.next) // a state that was read includes everything before
	w.sessions++
	session, cancel := context.WithCancel(ctx)
	defer cancel()
	if w.session.most > 0 {
		stop := time.AfterFunc(w.session.draw(w.rand), func() {
			if !w.hurry.Load() {
				cancel()
			}
		})
		defer stop.Stop()
	}
	err := w.consume(session)
	switch {
	case ctx.Err() != nil:
		return nil
	case errors.Is(err, errResync):
		if w.cur.next == 0 {
			return w.read(ctx)
		}
		return nil
	case session.Err() != nil && (err == nil || errors.Is(err, context.Canceled)):
		if w.cur.open != 0 { // it ended in the middle of a revision
			w.cur.start(w.cur.open)
		}
		return nil
	}
	return err
}

func (w *watcher) consume(ctx context.Context) error {
	opts := w.options()
	if w.api == byFollow {
		return w.follow(ctx, opts)
	}
	if w.cur.next != 0 {
		opts = append(opts, kv.WithRev(w.cur.next))
	} else {
		opts = append(opts, kv.WithCreatedNotify())
	}
	switch w.api {
	case byResponses:
		for resp, err := range w.Responses(ctx, w.key, opts...) {
			if err != nil {
				return w.ended(ctx, err, resp.CompactRevision)
			}
			if err := w.response(ctx, &resp); err != nil {
				return err
			}
		}
	case byEvents:
		for e, err := range w.Events(ctx, w.key, opts...) {
			if err != nil {
				return w.ended(ctx, err, 0)
			}
			if err := w.deliver(ctx, []*mvccpb.Event{e}); err != nil {
				return err
			}
			w.rest(ctx)
		}
	default:
		for resp := range w.channel(ctx, opts) {
			if err := resp.Err(); err != nil {
				return w.ended(ctx, err, resp.CompactRevision)
			}
			if err := w.response(ctx, &resp); err != nil {
				return err
			}
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	return errors.New("the watch has ended without a cause")
}

func (w *watcher) channel(ctx context.Context, opts []kv.OpOption) watch.WatchChan {
	if w.facade != nil {
		return w.facade.Watch(clientv3.WithRequireLeader(ctx), w.key, opts...)
	}
	return w.Watch(ctx, w.key, opts...)
}

// response processes a response that is not the last.
func (w *watcher) response(ctx context.Context, resp *watch.WatchResponse) error {
	switch {
	case resp.Created:
		if w.cur.next == 0 {
			w.cur.start(resp.Header.Revision + 1)
			w.seen.Store(w.cur.next)
		}
	case resp.IsProgressNotify():
		if err := w.cur.progress(ctx, resp.Header.Revision); err != nil {
			return err
		}
		w.seen.Store(w.cur.next)
	case len(resp.Events) > 0:
		if err := w.deliver(ctx, resp.Events); err != nil {
			return err
		}
		if err := w.cur.whole(); err != nil {
			return err
		}
	default:
		return fmt.Errorf("got a response that says nothing: %+v", resp)
	}
	w.rest(ctx)
	return nil
}

func (w *watcher) deliver(ctx context.Context, events []*mvccpb.Event) error {
	for _, e := range events {
		if err := w.cur.event(ctx, e); err != nil {
			return err
		}
	}
	w.seen.Store(w.cur.next)
	return nil
}

// rest is the consumer's pause between two responses.
func (w *watcher) rest(ctx context.Context) {
	if w.gate != nil {
		w.gate.pass(ctx)
	}
	if !w.hurry.Load() {
		pause(ctx, w.work.draw(w.rand))
	}
}

// ended processes the end of a watch.
func (w *watcher) ended(ctx context.Context, err error, at int64) error {
	if ctx.Err() != nil {
		return nil //nolint:nilerr // somebody has ended it
	}
	if w.facade != nil && errors.Is(err, rpctypes.ErrNoLeader) { // as it was asked to
		if w.cur.open != 0 {
			w.cur.start(w.cur.open)
		}
		return errResync
	}
	if !errors.Is(err, rpctypes.ErrCompacted) {
		return err
	}
	where := w.cur.next
	if compacted, ok := errors.AsType[*watch.CompactedError](err); ok {
		where, at = compacted.Revision, compacted.CompactRevision
	}
	if err := w.cur.compacted(ctx, where, at); err != nil {
		return err
	}
	w.told.Add(1)
	// It is correct to continue with what is left, and also to read again.
	w.cur.start(0)
	if at != 0 && w.rand.IntN(2) == 0 {
		w.cur.start(at)
	}
	return errResync
}

// read reads the watched state and continues from there.
func (w *watcher) read(ctx context.Context) error {
	for ctx.Err() == nil {
		call, cancel := context.WithTimeout(ctx, callTime)
		resp, err := w.kv.Get(call, w.key, kv.WithRange(w.end))
		cancel()
		if err != nil {
			pause(ctx, idle)
			continue
		}
		return w.cur.snapshot(ctx, resp.Header.Revision, resp.Kvs)
	}
	return nil
}

// follow consumes Follow.
func (w *watcher) follow(ctx context.Context, opts []kv.OpOption) error {
	first := true
	for u, err := range w.Follow(ctx, w.key, opts...) {
		if err != nil {
			return err
		}
		if snap := u.Snapshot; snap != nil {
			if first != (snap.Cause == nil) {
				return errors.Join(errors.New("got a snapshot with a cause that is the first, or one without that is not"), snap.Cause)
			}
			if !first {
				if err := w.ended(ctx, snap.Cause, 0); !errors.Is(err, errResync) {
					return err
				}
			}
			if err := w.cur.snapshot(ctx, snap.Header.GetRevision(), snap.KVs); err != nil {
				return err
			}
			first = false
		} else if first {
			return errors.New("got changes before the first snapshot")
		}
		if err := w.deliver(ctx, u.Events); err != nil {
			return err
		}
		if err := w.cur.progress(ctx, u.Revision); err != nil {
			return err
		}
		w.seen.Store(w.cur.next)
		w.rest(ctx)
	}
	return nil
}

// gate makes a consumer wait while it is closed.
type gate struct {
	shut  chan struct{} // capacity 1: full while the gate is open or was never closed
	stuck atomic.Bool   // a consumer is waiting
}

func newGate() *gate {
	g := &gate{shut: make(chan struct{}, 1)}
	g.open()
	return g
}

func (g *gate) close() { <-g.shut }
func (g *gate) open()  { g.shut <- struct{}{} }

func (g *gate) pass(ctx context.Context) {
	select {
	case <-g.shut:
		g.shut <- struct{}{}
		return
	default:
	}
	g.stuck.Store(true)
	defer g.stuck.Store(false)
	select {
	case <-g.shut:
		g.shut <- struct{}{}
	case <-ctx.Done():
	}
}
