package watch

import (
	"math"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// etcd's gRPC proxy serves the watches of a range by shared ones of its own. When
// such a one is canceled for compaction, all that share it are told so, those too
// that were beyond the compacted revision, and until the last of them was canceled
// by its client, others may still be added to it, which then get nothing
// (server/proxy/grpcproxy/watch_broadcasts.go, add and coalesce). So each is
// canceled, the next one of the range waits until the others' clients have done so
// too, and a watch that was not compacted goes on where it stands.
const (
	// settling is how long creations of the range wait.
	settling = 250 * time.Millisecond
	// maxStrays is how often in a row a watch may be canceled for a compaction that
	// is not its own.
	maxStrays = 10
)

// keyRange is what a watch is of.
type keyRange struct{ key, end string }

func (w *watcher) keyRange() keyRange {
	return keyRange{string(w.op.KeyBytes()), string(w.op.RangeBytes())}
}

// compacted takes a cancellation for compaction.
func (x *machine) compacted(st *stream, w *watcher, resp *pb.WatchResponse) {
	stray := w.next >= resp.CompactRevision // etcd cancels those below (storage/mvcc/watcher_group.go, chooseAll)
	// etcd shares nothing, and says of which cluster it is when it has created a watch.
	if st.names.naming != echoed && (stray || w.since == math.MaxInt64) {
		x.m.settling[w.keyRange()] = time.Now().Add(settling)
	}
	switch {
	case !stray:
		x.end(w, &CompactedError{Revision: w.next, CompactRevision: resp.CompactRevision, header: resp.Header}, false)
	case w.strays >= maxStrays:
		x.broke(st, "it has canceled watches of revision %d and later for a compaction at %d", w.next, resp.CompactRevision)
	default:
		w.strays++
		x.create(st, w)
	}
}

// settles puts a creation off when its range has to settle.
func (x *machine) settles(w *watcher) bool {
	if len(x.m.settling) == 0 || !x.m.settling[w.keyRange()].After(time.Now()) {
		return false
	}
	x.later = append(x.later, w)
	return true
}

// settle asks for the watches that have waited for long enough, and returns when to
// look again, or zero.
func (x *machine) settle(now time.Time) (next time.Time) {
	for r, until := range x.m.settling {
		switch {
		case !until.After(now):
			delete(x.m.settling, r)
		case next.IsZero() || until.Before(next):
			next = until
		}
	}
	later := x.later
	x.later = nil
	for _, w := range later {
		if st := w.lane.current; w.phase == waiting && st != nil && st.opened {
			x.create(st, w) // or it waits once more
		}
	}
	return next
}
