package coordination

import (
	"context"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lease"
)

// The timing of a contender. None holds or waits longer, so an old key in the
// queue is an orphan (see inspector).
const (
	patience  = 8 * time.Second  // how long it waits
	section   = 8 * time.Second  // how long it holds
	stubborn  = 6 * time.Second  // how long a stale holder waits for its successor
	finishing = 10 * time.Second // how long its unlocking may take
	removing  = 15 * time.Second // how long the key of a contender that gave up in an outage may stay
	ttl       = 3 * time.Second  // of leases
)

// arena is a lock or an election that many contend for, and the resource that it
// protects.
type arena struct {
	s        *soak
	figures  func(*Report) *Holds
	prefix   string // of the contenders' keys
	resource string // the protected key
	first    []kv.OpOption
	// before returns the prefix of the keys that must not be older than a
	// holder's key: all keys, or only the writers' keys for a shared holder.
	before func(shared bool) string

	mu      sync.Mutex // guards the fields below
	newest  int64      // the largest token that was acquired
	holding map[*hold]bool
	lastGot time.Time
	said    []mark // proclamations that were certainly made, by revision
}

func newArena(s *soak, name string, figures func(*Report) *Holds) *arena {
	a := &arena{
		s: s, figures: figures, prefix: s.cfg.Prefix + name + "/", resource: s.cfg.Prefix + "guarded-by-" + name,
		first: kv.WithFirstCreate(), holding: make(map[*hold]bool), lastGot: time.Now(),
	}
	a.before = func(bool) string { return a.prefix }
	s.orphans.watch(a)
	return a
}

func (a *arena) count(f func(*Holds)) { a.s.count(func(r *Report) { f(a.figures(r)) }) }

// contend acquires and releases repeatedly until ctx ends.
func (a *arena) contend(ctx context.Context, who string, c contender, rng *rand.Rand) {
	var last hold
	for ctx.Err() == nil {
		h := a.acquire(ctx, who, c, rng)
		if h != nil {
			if h.token == last.token {
				// Its key could not be deleted in an outage, and a contender with a session
				// goes on with the key that it has.
				h.seq = last.seq
			}
			a.hold(ctx, h, rng)
			last = hold{token: h.token, seq: h.seq}
		}
		pause(ctx, between(rng, 0, 40*time.Millisecond))
	}
	c.close()
	a.s.late(who)
}

// acquire usually waits patiently, and sometimes gives up soon.
func (a *arena) acquire(ctx context.Context, who string, c contender, rng *rand.Rand) *hold {
	pctx, cancel := context.WithTimeout(ctx, patience)
	err := c.prepare(pctx)
	cancel()
	if err != nil {
		a.s.cfg.Log("coordination: %s: %v", who, err)
		return nil
	}
	wait := patience
	if rng.IntN(3) == 0 {
		wait = between(rng, 5*time.Millisecond, 600*time.Millisecond)
	}
	wctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	h, err := c.acquire(wctx)
	if err == nil {
		h.who = who
		return h
	}
	if _, ok := c.(timeless); ok || wctx.Err() == nil {
		a.count(func(h *Holds) { h.Failed++ })
		a.s.cfg.Log("coordination: %s: %v", who, err)
		return nil
	}
	var beyond time.Duration
	if deadline, _ := wctx.Deadline(); ctx.Err() == nil {
		beyond = time.Since(deadline)
	}
	a.count(func(h *Holds) { h.GivenUp++; h.Beyond = max(h.Beyond, beyond) })
	if beyond > cleanupTime+slack {
		a.s.violate("%s gave up waiting %v after its context had ended: %v", who, beyond, err)
	}
	a.mustLeaveNothing(ctx, who, c.session())
	return nil
}

const (
	// cleanupTime is how long cleaning up may take, according to the packages'
	// documentation.
	cleanupTime = 3 * time.Second
	// slack allows for a busy machine.
	slack = 3 * time.Second
)

// hold is the critical section.
func (a *arena) hold(ctx context.Context, h *hold, rng *rand.Rand) {
	a.enter(h)
	hctx, cancel := within(ctx, section)
	for range 1 + rng.IntN(5) {
		seq := h.seq
		h.seq++
		if !a.write(hctx, h, seq) || hctx.Err() != nil {
			break
		}
		if h.proclaim != nil && rng.IntN(2) == 0 {
			a.proclaim(hctx, h, seq)
		}
		pause(ctx, between(rng, 0, 15*time.Millisecond))
	}
	cancel()
	if h.token != 0 && rng.IntN(12) == 0 && ctx.Err() == nil {
		a.beStale(ctx, h)
	}
	a.leave(ctx, h)
}

func (a *arena) enter(h *hold) {
	a.mu.Lock()
	var others []*hold
	for o := range a.holding {
		if (!o.shared || !h.shared) && !o.revoked.Load() && o.token < h.token && o.believes() {
			others = append(others, o)
		}
	}
	late := h.token != 0 && h.token < a.newest
	gap := time.Since(a.lastGot)
	a.newest, a.lastGot = max(a.newest, h.token), time.Now()
	a.holding[h] = true
	a.mu.Unlock()
	a.count(func(f *Holds) {
		f.Acquired++
		f.Gap = max(f.Gap, gap)
		f.Overlaps += len(others)
		if late {
			f.Superseded++
		}
	})
	for _, o := range others {
		a.s.cfg.Log("coordination: %v acquired it while %v believes to hold it", h, o)
	}
}

// write writes to the resource, and reports whether the lock is still held.
func (a *arena) write(ctx context.Context, h *hold, seq int) bool {
	if h.commit == nil {
		return h.believes()
	}
	if h.shared {
		return a.read(ctx, h)
	}
	wctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	own := mark{h.token, seq, h.who}
	resp, held, err := h.commit(wctx, kv.OpPut(a.resource, own.String(), kv.WithPrevKV()), kv.OpGet(a.before(h.shared), a.first...))
	switch {
	case err != nil:
		a.count(func(f *Holds) { f.Ambiguous++ })
		return h.believes()
	case !held:
		a.refused(ctx, h)
		return false
	}
	a.count(func(f *Holds) { f.Writes++ })
	if prev := resp.Responses[0].GetResponsePut().GetPrevKv(); prev != nil {
		switch before := parseMark(prev.Value); {
		case before.token > own.token:
			a.s.violate("%v wrote, and was accepted, after %q had written with a greater token", h, before)
		case before.token == own.token && before.seq >= own.seq:
			a.s.violate("%v: its write %d was applied after, or as well as, %q", h, own.seq, before)
		}
	}
	a.checkFirst(ctx, h, resp.Responses[1].GetResponseRange().GetKvs()[0], resp.Header.Revision)
	return true
}

// read is the work of a shared holder: the resource must not change meanwhile.
func (a *arena) read(ctx context.Context, h *hold) bool {
	rctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	var seen int64 = -1
	for range 2 {
		resp, held, err := h.commit(rctx, kv.OpGet(a.resource), kv.OpGet(a.before(true), a.first...))
		switch {
		case err != nil:
			a.count(func(f *Holds) { f.Ambiguous++ })
			return h.believes()
		case !held:
			a.refused(ctx, h)
			return false
		}
		var mod int64
		if kvs := resp.Responses[0].GetResponseRange().GetKvs(); len(kvs) > 0 {
			mod = kvs[0].ModRevision
		}
		if seen >= 0 && mod != seen {
			a.s.violate("%v: the resource was written at revision %d while it was held for reading", h, mod)
		}
		seen = mod
		if kvs := resp.Responses[1].GetResponseRange().GetKvs(); len(kvs) > 0 {
			if kvs[0].CreateRevision < h.token {
				a.s.violate("%v reads while a writer (%d) came before", h, kvs[0].CreateRevision)
			}
		}
		a.count(func(f *Holds) { f.Writes++ })
	}
	return true
}

// checkFirst checks that a holder is the first in the queue. At the revision of
// its write, the first key belonged to somebody else. A key that is not attached
// to the lease in its name still belongs to a contender as long as that lease
// lives.
func (a *arena) checkFirst(ctx context.Context, h *hold, first *mvccpb.KeyValue, rev int64) {
	if h.shared || first.CreateRevision == h.token {
		return
	}
	id, err := strconv.ParseInt(strings.TrimPrefix(string(first.Key), a.prefix), 16, 64)
	if err == nil && first.Lease != id {
		lctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), perMember)
		defer cancel()
		switch alive, err := a.s.outside.leases(lctx); {
		case err != nil:
			return // this cannot be decided
		case !slices.Contains(alive, lease.ID(id)):
			return
		}
	}
	a.s.violate("two holders: %v wrote at revision %d, when the first in the queue was %q (created at %d, bound to the lease %x)",
		h, rev, first.Key, first.CreateRevision, first.Lease)
}

// leave releases the lock, whether it is still held or lost.
func (a *arena) leave(ctx context.Context, h *hold) {
	a.mu.Lock()
	delete(a.holding, h)
	a.mu.Unlock()
	uctx, cancel := within(ctx, finishing)
	defer cancel()
	if err := h.unlock(uctx); err != nil && !h.knows(err) {
		a.s.cfg.Log("coordination: %s: giving it up: %v", h.who, err)
	}
}

func (a *arena) holds(h *hold) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.holding[h]
}

// present returns a current holder, or nil.
func (a *arena) present() *hold {
	a.mu.Lock()
	defer a.mu.Unlock()
	for h := range a.holding {
		if h.lease != lease.NoLease {
			return h
		}
	}
	return nil
}

func (a *arena) proclaim(ctx context.Context, h *hold, seq int) {
	pctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	own := mark{h.token, seq, h.who}
	err := h.proclaim(pctx, own.String())
	if err != nil {
		if h.denied(err) {
			a.refused(ctx, h)
		}
		return
	}
	a.s.count(func(r *Report) { r.Proclaimed++ })
	a.mu.Lock()
	a.said = append(a.said, own)
	a.mu.Unlock()
}
