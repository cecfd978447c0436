package coordination

import (
	"context"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/getcd/getcd/clientv3/concurrency"
	"github.com/getcd/getcd/election"
	"github.com/getcd/getcd/kv"
)

// observer follows an election.
type observer struct {
	who string
	// began is closed when it has started to observe. From then on it must see
	// every proclamation, unless the history is compacted. It is nil if that
	// cannot be known.
	began chan struct{}

	mu   sync.Mutex // guards the fields below
	last *mvccpb.KeyValue
	seen map[mark]bool
	n    int
}

// leaders follows with package election.
func (o *observer) leaders(ctx context.Context, s *soak, name string) {
	e, err := election.New(s.clients[0].Conn(), name, election.WithWatcher(s.clients[0]))
	if err != nil {
		s.violate("%s: %v", o.who, err)
		return
	}
	for resp, err := range e.Leaders(ctx) {
		if err != nil {
			if ctx.Err() == nil {
				s.violate("%s ended: %v", o.who, err)
			}
			return
		}
		o.start()
		o.note(s, resp)
	}
}

// start reports once that observing has started.
func (o *observer) start() {
	select {
	case <-o.began:
	default:
		close(o.began)
	}
}

// observe follows with clientv3's Election, which needs a session.
func (o *observer) observe(ctx context.Context, s *soak, name string) {
	session, err := concurrency.NewSession(s.facades[0])
	if err != nil {
		s.violate("%s: %v", o.who, err)
		return
	}
	defer func() { _ = session.Close() }()
	e := concurrency.NewElection(session, name)
	for resp := range e.Observe(ctx) {
		o.note(s, resp)
	}
	if ctx.Err() == nil {
		s.violate("%s: its channel was closed", o.who)
	}
}

// note checks that observations only move forward.
func (o *observer) note(s *soak, resp *kv.GetResponse) {
	if len(resp.Kvs) == 0 {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	now := resp.Kvs[0]
	if o.last != nil && (now.CreateRevision < o.last.CreateRevision ||
		now.CreateRevision == o.last.CreateRevision && now.ModRevision <= o.last.ModRevision) {
		s.violate("%s saw the leader %d, proclaimed at %d, after the leader %d, proclaimed at %d",
			o.who, now.CreateRevision, now.ModRevision, o.last.CreateRevision, o.last.ModRevision)
	}
	o.last = now
	if o.seen == nil {
		o.seen = make(map[mark]bool)
	}
	o.seen[parseMark(now.Value)] = true
	o.n++
}

// finish waits until the observer has seen all proclamations, which may take some
// time after the last one, and reports the ones that it has missed.
func (o *observer) finish(ctx context.Context, a *arena, name string, began int64) {
	if o.began == nil {
		return
	}
	ctx, cancel := within(ctx, 15*time.Second)
	defer cancel()
	missed := o.missed(a)
	for len(missed) > 0 && pause(ctx, 50*time.Millisecond) {
		missed = o.missed(a)
	}
	a.s.count(func(r *Report) { r.Observed = len(o.seen) })
	if len(missed) == 0 {
		return
	}
	octx, done := within(ctx, 5*time.Second)
	defer done()
	if compacted(octx, a.s, began) {
		a.s.cfg.Log("coordination: %s has missed %d proclamations; history was compacted", o.who, len(missed))
		return
	}
	a.s.violate("%s has missed %d of %s's proclamations, such as %q", o.who, len(missed), name, missed[0])
}

func (o *observer) missed(a *arena) (missed []mark) {
	a.mu.Lock()
	defer a.mu.Unlock()
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, m := range a.said {
		if !o.seen[m] {
			missed = append(missed, m)
		}
	}
	return missed
}

// compacted reports whether the history since a revision was compacted.
func compacted(ctx context.Context, s *soak, rev int64) bool {
	was, err := ask(ctx, s.outside, func(ctx context.Context, m outsideMember) (bool, error) {
		_, err := m.kv.Get(ctx, "\x00", kv.WithRev(rev))
		if isCompacted(err) {
			return true, nil
		}
		return false, err
	})
	return was && err == nil
}
