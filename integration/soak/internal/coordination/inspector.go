package coordination

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/getcd/getcd/kv"
)

// oldest is the maximum age of a key in a queue: its owner waits, holds, is stale
// and gives up; if it cannot, its lease ends.
const oldest = patience + section + stubborn + finishing + removing + 2*ttl

// inspector examines the queues from outside for keys that cannot have an owner
// any more.
type inspector struct {
	mu     sync.Mutex // guards the fields below
	arenas []*arena
}

func (i *inspector) watch(a *arena) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.arenas = append(i.arenas, a)
}

func (i *inspector) watched() []*arena {
	i.mu.Lock()
	defer i.mu.Unlock()
	return append([]*arena(nil), i.arenas...)
}

// run inspects until ctx ends.
func (i *inspector) run(ctx context.Context, s *soak) {
	type id struct {
		key string
		rev int64
	}
	since := make(map[id]time.Time)
	for pause(ctx, time.Second) {
		seen := make(map[id]bool)
		complete := true
		for _, a := range i.watched() {
			octx, cancel := context.WithTimeout(ctx, 5*time.Second)
			resp, err := s.outside.get(octx, a.prefix, kv.WithPrefix()) // a keys-only read would not return leases
			cancel()
			if err != nil {
				complete = false
				continue
			}
			a.explainGap(resp)
			for _, k := range resp.Kvs {
				key := id{string(k.Key), k.CreateRevision}
				seen[key] = true
				if since[key].IsZero() {
					since[key] = time.Now()
				}
				if age := time.Since(since[key]); age > oldest {
					s.violate("the key %q of revision %d is in the queue for longer than any of its owners could live (%v)", k.Key, k.CreateRevision, oldest)
				}
			}
		}
		for key := range since {
			if complete && !seen[key] {
				delete(since, key)
			}
		}
	}
}

// explainGap logs the queue when nobody has acquired anything for a long time.
func (a *arena) explainGap(queue *kv.GetResponse) {
	a.mu.Lock()
	gap := time.Since(a.lastGot)
	var holders []string
	for h := range a.holding {
		holders = append(holders, h.String())
	}
	a.mu.Unlock()
	if gap < patience {
		return
	}
	var keys []string
	for _, k := range queue.Kvs {
		keys = append(keys, fmt.Sprintf("%s=%d/%016x", strings.TrimPrefix(string(k.Key), a.prefix), k.CreateRevision, uint64(k.Lease)))
	}
	a.s.cfg.Log("coordination: %s: nobody has acquired it for %v; in the queue are (key=revision/lease) %q; believing to hold it %q", a.prefix, gap.Round(time.Second), keys, holders)
}

// revokeAtRandom revokes the leases of holders behind their backs, and checks
// that they are notified.
func (s *soak) revokeAtRandom(ctx context.Context) {
	rng := s.random("revoker", 0)
	var told sync.WaitGroup
	defer told.Wait()
	for pause(ctx, between(rng, 300*time.Millisecond, 3*time.Second)) {
		arenas := s.orphans.watched()
		if len(arenas) == 0 {
			continue
		}
		a := arenas[rng.IntN(len(arenas))]
		h := a.present()
		if h == nil || h.revoked.Swap(true) {
			continue
		}
		was, err := s.outside.revoke(ctx, h.lease)
		if err != nil || !was {
			continue
		}
		s.count(func(r *Report) { r.Revoked++ })
		told.Go(func() { a.mustBeTold(h) })
	}
}

// compact compacts the history repeatedly.
func (s *soak) compact(ctx context.Context) {
	if s.cfg.Compact == 0 {
		return
	}
	rng := s.random("compactor", 0)
	for pause(ctx, between(rng, s.cfg.Compact/2, s.cfg.Compact*3/2)) {
		keep := rng.Int64N(1000)
		_, err := ask(ctx, s.outside, func(ctx context.Context, m outsideMember) (bool, error) {
			now, err := m.kv.Get(ctx, "\x00")
			if err != nil {
				return false, err
			}
			if _, err = m.kv.Compact(ctx, now.Header.Revision-keep); err != nil && !isCompacted(err) {
				return false, err
			}
			return true, nil
		})
		if err == nil {
			s.count(func(r *Report) { r.Compacted++ })
		}
	}
}
