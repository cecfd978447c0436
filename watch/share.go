package watch

import (
	"slices"
	"time"
)

// Watches of one range with the same options differ only in where they stand. So
// they share one watch on the server:
//
//   - Each is first created on the server for itself, and so gets its own answer:
//     a refusal, a compaction, the revision that "now" is.
//   - When it stands on the stream on which another one of its share does, and that
//     one is not ahead, it misses nothing by taking its events from there: those
//     before its own next revision are left out. Then both ride on a carrier, which
//     takes the first one's place on the stream, and the other one's watch is
//     canceled on the server.
//   - One that is behind is served by its own watch until it has come as far; and so
//     is one that is ahead of another one that is replaying history, for which it
//     would have to wait.
//   - A consumer that falls behind is kept up to date from the group's recent events
//     for a while, and then parts: its watch is created again where it stands.
//   - What ends the carrier's watch ends those that stand where it does, as it would
//     have ended theirs. The others find out for themselves.
//
// So a group never waits, and nobody in it sees anything else than on a watch alone.

// share is what watches of the same range and options know of each other.
type share struct {
	key     shareKey
	watches int
	// host is the one that others may ride on: a carrier, or else a watch for itself.
	host  *watcher
	wider *share // that covers this one, or nil
}

type shareKey struct {
	keyRange
	options uint8
}

// withProgress is WithProgressNotify in a shareKey's options.
const withProgress = 1 << 1

// group is a carrier and those that ride on it. At least one is of the carrier's range.
type group struct {
	carrier *watcher // stands in a lane, and has no consumer
	riders  []*watcher
	narrow  int // riders of narrower ranges
	late    int // riders that wait for room in their buffers

	// What late riders have not taken: all events since the first one of them was
	// late, but those below from, for which there was no room (bound).
	recent        []batch
	from          int64
	events, bytes int
}

// shareKey tells whose watch on the server would be the same.
func (w *watcher) shareKey() shareKey {
	k := shareKey{keyRange: w.keyRange()}
	for i, set := range [...]bool{w.op.IsPrevKV(), w.op.IsProgressNotify(), w.fragments(), w.op.IsFilterPut(), w.op.IsFilterDelete()} {
		if set {
			k.options |= 1 << i
		}
	}
	return k
}

// carries reports whether w is a group's carrier.
func (w *watcher) carries() bool { return w.group != nil && w.group.carrier == w }

// enroll gives a new watch its share.
func (x *machine) enroll(w *watcher) {
	key := w.shareKey()
	s := x.shares[key]
	if s == nil {
		s = &share{key: key, host: w, wider: x.widerThan(key)}
		x.shares[key] = s
		if key.end != "" && len(x.wide) < maxWide {
			x.wide = append(x.wide, s)
		}
	}
	s.watches++
	w.share = s
}

// withdraw is enroll undone.
func (x *machine) withdraw(w *watcher) {
	s := w.share
	if s.host == w {
		s.host = nil
	}
	if s.watches--; s.watches == 0 {
		delete(x.shares, s.key)
		x.wide = slices.DeleteFunc(x.wide, func(wide *share) bool { return wide == s })
	}
}

// meet lets a watch that stands for itself ride with the others of its share, if
// nothing is missed by that.
func (x *machine) meet(w *watcher) {
	if w.phase != active || w.next == 0 || w.carries() {
		return
	}
	s := w.share
	if h := s.host; h == nil || h.phase != active && !h.carries() || h.lane.apart {
		s.host = w
	}
	h := s.host
	if h == w {
		if h = w.wider(); h == nil {
			return
		}
	}
	switch {
	case h.phase != active || h.next == 0:
	case h.lane == w.lane:
		if h.next == w.next || h.next < w.next && h.current {
			x.ride(w, h)
		}
	case s.host != w && !h.lane.apart && !w.lane.apart:
		x.move(w, h.lane) // where they can meet
	}
}

// ride puts an active watch on the carrier of another one, which is not ahead.
func (x *machine) ride(w, h *watcher) {
	if !h.carries() {
		h = h.carry()
	}
	if w.share.host == w {
		w.share.host = nil
	}
	l := w.lane
	x.off(w, riding)
	l.leave(w)
	h.group.board(w)
}

// carry makes the carrier of a group, which takes the place of w on its stream and in
// its lane. w is the first to ride on it.
func (w *watcher) carry() *watcher {
	c := &watcher{
		m: w.m, op: w.op, share: w.share, phase: active, known: true, told: true,
		id: w.id, next: w.next, start: w.start, partial: w.partial, pieces: w.pieces,
		seen: w.seen, cleared: w.cleared, since: w.since, asked: w.asked, current: w.current,
		lane: w.lane, index: w.index,
	}
	c.group = &group{carrier: c}
	c.share.host = c
	c.lane.watchers[c.index] = c
	c.lane.current.active[c.id] = c
	w.phase = riding
	w.dropPartial()
	c.group.board(w)
	return c
}

// board takes a watch in. What it knows of the cluster its carrier must know, too.
func (g *group) board(w *watcher) {
	w.lane, w.group, w.index, w.late = nil, g, len(g.riders), false
	g.riders = append(g.riders, w)
	g.carrier.seen.join(w.seen)
	if w.narrow() {
		g.narrow++
	}
}

// alight lets a watch go, which then knows of the cluster what its carrier does.
func (g *group) alight(w *watcher) {
	end := len(g.riders) - 1
	g.riders[w.index], g.riders[end].index = g.riders[end], w.index
	g.riders[end] = nil
	g.riders = g.riders[:end]
	g.caughtUp(w)
	if w.narrow() {
		g.narrow--
	}
	w.group, w.off = nil, time.Now()
	if c := g.carrier; c.phase != active {
		w.off = c.off
	}
	w.seen.join(g.carrier.seen)
}

// part lets a rider stand for itself from now on, and ends its group if it was the last of
// the carrier's range.
func (x *machine) part(w *watcher, to phase) {
	g := w.group
	g.alight(w)
	w.phase = to
	g.carrier.lane.join(w)
	if len(g.riders) == g.narrow {
		for _, w := range x.dissolve(g) {
			x.want(w)
		}
	}
}

// dissolve takes the carrier off its stream. Its riders stand for themselves, and wait.
func (x *machine) dissolve(g *group) (riders []*watcher) {
	c := g.carrier
	riders = slices.Clone(g.riders)
	for len(g.riders) > 0 {
		w := g.riders[len(g.riders)-1]
		g.alight(w)
		w.phase = waiting
		c.lane.join(w)
	}
	x.off(c, ended)
	c.lane.leave(c)
	c.share.host = nil
	return riders
}

// endGroup ends a carrier's watch, and those of its range that stand where it does or, if
// all, everybody's. The others are created for themselves.
func (x *machine) endGroup(c *watcher, cause error, drop, all bool) {
	riders := x.dissolve(c.group)
	for _, w := range riders {
		if all || w.share == c.share && w.next == c.next {
			x.end(w, cause, drop)
		}
	}
	for _, w := range riders {
		if w.phase == waiting {
			x.want(w)
		}
	}
}

// fanOut delivers to a group what its carrier was sent.
func (x *machine) fanOut(g *group, b batch) {
	b.seal()
	for _, w := range g.riders {
		if !w.late && !w.take(b) {
			w.late = true
			g.late++
		}
	}
	if g.late > 0 {
		g.recent = append(g.recent, b)
		g.events += len(b.events)
		g.bytes += b.bytes
		x.bound(g)
	}
}

// take puts what a rider has not had of a batch into its buffer, and reports whether
// there was room for all.
func (w *watcher) take(b batch) bool {
	next := b.next()
	if w.next >= next {
		return true
	}
	if b = b.after(w.next); w.narrow() {
		b = b.of(w)
	}
	n := 0
	if len(b.events) > 0 {
		n = w.push(b)
	}
	if n == len(b.events) {
		w.next = next
		return true
	}
	if n > 0 {
		w.next = b.events[n-1].Kv.ModRevision + 1
	}
	return false
}

// maxLateBuffers is how many buffers late riders may have together.
const maxLateBuffers = 8

// bound bounds what is kept for late riders to a buffer for each, and maxLateBuffers for all.
// Who needs more of it parts. In a burst that is too much for all buffers, that makes many of
// them stay: to each one that parts the server sends again what it has sent to the group.
func (x *machine) bound(g *group) {
	buffers := min(g.late, maxLateBuffers)
	for len(g.recent) > 0 && (g.events/buffers > x.cfg.maxEvents || g.bytes/buffers > x.cfg.maxBytes) {
		b := &g.recent[0]
		g.from = b.next()
		g.events -= len(b.events)
		g.bytes -= b.bytes
		*b = batch{}
		g.recent = g.recent[1:]
	}
	for i := len(g.riders) - 1; i >= 0 && g.late > 0; i-- { // from behind, since some part
		if w := g.riders[i]; w.late && w.next < g.from {
			x.part(w, paused)
		}
	}
}

// catchUp gives a late rider, whose buffer has room, what it has missed.
func (g *group) catchUp(w *watcher) {
	for i := range g.recent {
		if !w.take(g.recent[i]) {
			return
		}
	}
	g.caughtUp(w)
}

// caughtUp takes note that a rider is not late any more.
func (g *group) caughtUp(w *watcher) {
	if !w.late {
		return
	}
	w.late = false
	if g.late--; g.late == 0 {
		g.recent, g.from, g.events, g.bytes = nil, 0, 0, 0
	}
}
