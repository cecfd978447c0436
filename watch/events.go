package watch

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"sort"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

const (
	// maxBroken is how many streams in a row may be broken for one watch, or for
	// one lane, before it ends: each was opened on another member, if there is one.
	maxBroken = 3
	// eventOverhead is about what an event takes besides its keys and values.
	eventOverhead = 256
	// leastPieces is the least bound on the fragments of one revision.
	leastPieces = 16 << 20
)

// events delivers what is complete. The last revision of a fragment may go on in
// the next one and is kept; where the watch would have to be resumed follows
// what was delivered alone.
func (x *machine) events(st *stream, w *watcher, resp *pb.WatchResponse) {
	if reason, late := w.check(resp.Events); reason != "" {
		x.brokeFor(st, w, reason, late)
		return
	}
	w.seen.advance(resp.Header)
	// History comes with the store's revision, a change with its own (etcd's
	// storage/mvcc/watchable_store.go, syncWatchers and notify).
	w.current = w.current || resp.Header.GetRevision() == resp.Events[len(resp.Events)-1].Kv.ModRevision
	events, n := resp.Events, len(resp.Events)
	switch {
	case resp.Fragment && x.cfg.whole:
		n = 0
	case resp.Fragment:
		n = complete(events)
	}
	whole, kept := events[:n], events[n:]
	if p := len(w.partial); p > 0 && (len(kept) == 0 || !x.cfg.whole && w.partial[p-1].Kv.ModRevision < kept[0].Kv.ModRevision) {
		whole = append(w.partial, whole...)
		w.dropPartial()
	}
	w.keep(kept)
	if most := x.cfg.maxPieces(); w.pieces > most {
		n := complete(w.partial)
		if n == 0 {
			x.end(w, &TooLargeError{Revision: w.next, Size: w.pieces, Limit: most}, false)
			return
		}
		whole, kept = w.partial[:n:n], w.partial[n:]
		w.dropPartial()
		w.keep(kept)
	}
	x.deliver(w, resp.Header, whole)
}

// complete is how many of the events are certain to be of revisions without others to
// come. The revisions ascend; see check.
func complete(events []*Event) int {
	last := events[len(events)-1].Kv.ModRevision
	return sort.Search(len(events), func(i int) bool { return events[i].Kv.ModRevision >= last })
}

// deliver puts whole revisions into the watch's buffer, or its riders'.
func (x *machine) deliver(w *watcher, header *pb.ResponseHeader, events []*Event) {
	for len(events) > 0 && events[0].Kv.ModRevision < w.next {
		events = events[1:] // before the watch's first revision
	}
	if len(events) == 0 {
		return
	}
	b := newBatch(header, slices.Clip(events))
	n := len(events)
	if !w.carries() {
		n = w.push(b)
	}
	if n > 0 {
		w.next = events[n-1].Kv.ModRevision + 1
		w.tooLarge, w.strays, w.broken = 0, 0, 0
	}
	switch {
	case w.carries():
		x.fanOut(w.group, b)
	case n < len(events):
		x.overflow(w, newBatch(header, events[n:]))
	default:
		x.meet(w)
	}
}

// keep adds to the events of a revision, or a response, that is not complete.
func (w *watcher) keep(events []*Event) {
	for _, e := range events {
		w.pieces += sizeOf(e) + eventOverhead
	}
	w.partial = append(w.partial, events...)
}

func (w *watcher) dropPartial() { w.partial, w.pieces = nil, 0 }

// drop forgets what has come and was not taken into the buffer. It comes again when the
// watch is resumed.
func (w *watcher) drop() {
	w.dropPartial()
	w.rest = batch{}
}

// maxPieces bounds what the fragments of one revision may take: a whole keyspace
// may be deleted at one revision, and come in fragments without end from a server
// that is out of its mind.
func (c *config) maxPieces() int {
	if c.maxBytes > math.MaxInt/64 {
		return math.MaxInt
	}
	return max(64*c.maxBytes, leastPieces)
}

// check looks for what no server may send: it returns what is wrong, and whether
// that is an event that comes too late, with which changes may have been lost.
func (w *watcher) check(events []*Event) (reason string, late bool) {
	last := int64(0)
	if n := len(w.partial); n > 0 {
		last = w.partial[n-1].Kv.ModRevision
	}
	for _, e := range events {
		rev := e.GetKv().GetModRevision()
		switch {
		case e.GetKv() == nil || len(e.Kv.Key) == 0:
			return "it has sent an event without a key", false
		case rev <= 0:
			return fmt.Sprintf("it has sent an event of revision %d", rev), false
		case rev < last:
			return fmt.Sprintf("it has sent an event of revision %d after one of %d", rev, last), false
		case rev < w.next && rev >= w.start:
			// Another try would go on from next as well.
			return fmt.Sprintf("it has sent an event of revision %d when revision %d was complete", rev, w.next-1), true
		case !w.covers(e.Kv.Key):
			return fmt.Sprintf("it has sent an event of a key that is not watched: %.64q", e.Kv.Key), false
		}
		last = rev
	}
	return "", false
}

// covers reports whether the watch is of that key, by the rules of
// WatchCreateRequest: no range_end is the key alone, "\x00" all keys from it on.
func (w *watcher) covers(key []byte) bool {
	begin, end := w.op.KeyBytes(), w.op.RangeBytes()
	if len(begin) == 0 {
		begin = []byte{0} // as servers take it
	}
	switch {
	case len(end) == 0:
		return bytes.Equal(key, begin)
	case slices.Equal(end, []byte{0}):
		return bytes.Compare(key, begin) >= 0
	default:
		return bytes.Compare(key, begin) >= 0 && bytes.Compare(key, end) < 0
	}
}

// broke ends a stream whose server has broken the protocol, by something that it has
// sent for no watch that there is. The watches are resumed on another stream; all end
// when that happens again and again.
func (x *machine) broke(st *stream, format string, args ...any) {
	st.lane.broke(time.Since(st.since) < x.cfg.silence)
	x.lost(st, &ProtocolError{Endpoint: st.attempt.Endpoint(), Reason: fmt.Sprintf(format, args...)})
}

// brokeFor is broke for something that was sent for w, which alone ends when that happens
// again and again, or at once if it is a late event.
func (x *machine) brokeFor(st *stream, w *watcher, reason string, late bool) {
	err := &ProtocolError{Endpoint: st.attempt.Endpoint(), Reason: reason, late: late}
	if w.broken++; late || w.broken >= maxBroken {
		x.end(w, err, false)
	}
	x.lost(st, err)
}
