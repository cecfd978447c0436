package watch

import (
	"context"
	"errors"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/getcd/getcd/internal/backoff"
)

// identity is what a watcher knows of its cluster. The zero value knows nothing.
type identity struct {
	cluster  uint64
	revision int64  // the highest seen
	term     uint64 // the highest seen of a member that had a leader
}

// proves reports whether a header tells anything of the cluster. One without the
// cluster's ID was made up on the way: etcd's gRPC proxy answers a creation with
// raft term 0 and the revision that was asked for, which may be yet to come
// (server/proxy/grpcproxy/watch_broadcast.go, add), and kine with zeros.
func proves(h *pb.ResponseHeader) bool { return h.GetClusterId() != 0 }

// identityOf is what a header proves.
func identityOf(h *pb.ResponseHeader) identity {
	var id identity
	id.merge(h, h.GetRaftTerm())
	return id
}

// advance notes a header's revision. Not its term: see introduce.
func (id *identity) advance(h *pb.ResponseHeader) {
	if !proves(h) {
		return
	}
	id.revision = max(id.revision, h.GetRevision())
}

// merge takes over what a header proves, and the term, which need not be the header's.
func (id *identity) merge(h *pb.ResponseHeader, term uint64) {
	if !proves(h) {
		return
	}
	id.cluster = h.GetClusterId()
	id.term = max(id.term, term)
	id.advance(h)
}

// introduce takes the member's term from its first announcement on a stream. It had a leader when
// the stream was opened, a moment before, unless the stream is for any member. Later terms are not
// believed: a member that is cut off campaigns, and raises its term without the cluster's, unless it
// asks for votes beforehand (etcd's --pre-vote, which is off by default before 3.5).
func (st *stream) introduce(h *pb.ResponseHeader) {
	if proves(h) && !st.attempt.AnyMember {
		st.term = h.GetRaftTerm()
	}
}

// join takes over what another watch on the same stream knows.
func (id *identity) join(other identity) {
	if other.cluster != 0 {
		id.cluster = other.cluster
	}
	id.revision, id.term = max(id.revision, other.revision), max(id.term, other.term)
}

// otherCluster is the error if the header is another cluster's.
func (id *identity) otherCluster(h *pb.ResponseHeader) error {
	if is := h.GetClusterId(); id.cluster != 0 && proves(h) && is != id.cluster {
		return &ClusterChangedError{Was: id.cluster, Is: is}
	}
	return nil
}

// behind reports whether the header proves to know less than was seen.
func (id *identity) behind(h *pb.ResponseHeader) bool {
	return proves(h) && (h.GetRevision() < id.revision || h.GetRaftTerm() < id.term)
}

// identify compares the header of a watcher's creation with what it has seen
// before. Another cluster ends the watch. A member that knows less may just be
// slower than the one before; or the cluster was restored from a backup, with
// its ID, and its coming revisions are not those that the watcher waits for. A
// linearizable read tells: it is never behind anything that was seen. Until
// then the watcher is off the stream. So is one from now whose creation did not
// tell when that is: it begins after the revision of the read.
func (x *machine) identify(st *stream, w *watcher, h *pb.ResponseHeader) bool {
	if err := w.seen.otherCluster(h); err != nil {
		x.end(w, err, false)
		return false
	}
	nowUnknown := w.next == 0 && !proves(h)
	if w.cleared == st || !w.seen.behind(h) && !nowUnknown {
		w.seen.merge(h, st.term)
		return true
	}
	x.off(w, unverified)
	if st.checking {
		return false
	}
	st.checking = true
	key := w.op.KeyBytes() // which its user may read
	x.m.wg.Go(func() { st.readIdentity(x, key) })
	return false
}

// readIdentity tells the machine what a linearizable read says of the cluster.
// It tries until it has an answer or the stream ends, which meanwhile serves the
// watchers that have no doubts.
func (st *stream) readIdentity(x *machine, key []byte) {
	for try := 0; ; try++ {
		ctx, cancel := context.WithTimeout(st.ctx, x.cfg.silence)
		resp, err := x.m.kv.Range(ctx, &pb.RangeRequest{Key: key, CountOnly: true}, x.cfg.calls...)
		cancel()
		if err == nil || final(err, false) {
			st.tell(x, message{kind: msgIdentity, head: resp.GetHeader(), err: err})
			return
		}
		if !backoff.Sleep(st.ctx, pause(try)) {
			return
		}
	}
}

// identified takes the read's answer for those that wait for it. An error is
// that the reader may not read, or that the server does not offer it.
func (x *machine) identified(st *stream, h *pb.ResponseHeader, err error) {
	st.checking = false
	watchers := append([]*watcher(nil), st.lane.watchers...)
	for _, w := range watchers {
		if w.phase != unverified {
			continue
		}
		changed := w.seen.otherCluster(h)
		switch {
		case err != nil: // if it is denied, the creation will be, too
			w.cleared = st
			x.create(st, w)
		case changed != nil:
			x.end(w, changed, false)
		case w.seen.behind(h):
			x.end(w, &RevisionRegressedError{
				Seen: w.seen.revision, Now: h.GetRevision(), SeenTerm: w.seen.term, NowTerm: h.GetRaftTerm(),
			}, false)
		default:
			w.cleared = st
			if w.next == 0 {
				w.next = h.GetRevision() + 1
			}
			x.create(st, w)
		}
	}
}

func isCompacted(err error) bool { return errors.Is(err, rpctypes.ErrCompacted) }
