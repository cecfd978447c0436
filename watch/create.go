package watch

import (
	"math/rand/v2"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// naming is what a stream knows of how its server names watches, by which the
// answers to creations are told apart.
//
// etcd answers creations in the order of asking, and honors the ID that one asks
// for (WatchCreateRequest.watch_id, since 3.4). Others do neither: etcd's gRPC proxy
// answers a creation that joins a watch of its own at once, and another after a
// round trip (server/proxy/grpcproxy/watch_broadcast.go, add); kine answers from
// a goroutine for each. Both choose the IDs, and kine has no answer at all to a
// creation that asks for one (kine's pkg/server/watch.go, Start).
//
// So a stream begins with one creation under way at a time, and the server's IDs.
// When an answer has named the cluster, as etcd's do and kine's don't, the next
// creation asks for an ID, which is a guess that nobody makes by chance. An echo of
// it is etcd's: from then on each creation asks for an ID, and any number of them
// may be under way. Their IDs prove, one by one, that the order was kept, by which
// refusals are told, which have no ID.
type naming uint8

const (
	unknown naming = iota
	// identified: an answer has named the cluster.
	identified
	// echoed: the server takes the IDs that it is asked for.
	echoed
	// foreign: it has IDs of its own.
	foreign
)

// request is an unanswered creation: of a watcher, of one that has ended or left
// meanwhile, or of a heartbeat (then w is nil).
type request struct {
	w  *watcher
	id int64 // asked for; 0 leaves it to the server
}

// ids is a range of watch IDs, from one up to another. The zero value is empty.
type ids struct{ from, to int64 }

func (r *ids) has(id int64) bool { return r.from <= id && id < r.to }

func (r *ids) add(id int64) {
	if r.from == r.to {
		r.from, r.to = id, id+1
	}
	r.from, r.to = min(r.from, id), max(r.to, id+1)
}

// names are the watch IDs of a stream.
type names struct {
	naming naming
	next   int64 // the next ID to ask for
	ours   ids   // that were asked for, and answered
	theirs ids   // that the server has chosen
}

// newNames begins with an ID that servers which count their watches do not reach.
// plain leaves the IDs to the server.
func newNames(plain bool) names {
	n := names{next: 1<<32 + rand.Int64N(1<<32)}
	if plain {
		n.naming = foreign
	}
	return n
}

// etcd reports whether the server is known to be etcd.
func (n *names) etcd() bool { return n.naming == identified || n.naming == echoed }

// announced reports whether the server has announced a watch of that ID, be it
// one that is no more.
func (n *names) announced(id int64) bool { return n.ours.has(id) || n.theirs.has(id) }

// take chooses the ID that a creation asks for.
func (n *names) take() int64 {
	if n.naming == unknown || n.naming == foreign {
		return 0
	}
	n.next++
	return n.next - 1
}

// create asks for a watcher on an open stream, now or when its turn has come.
func (x *machine) create(st *stream, w *watcher) {
	w.phase = waiting
	if x.settles(w) {
		return
	}
	st.queue = append(st.queue, w)
	x.createNext(st)
}

// createNext asks for as many of those that wait as may be under way.
func (x *machine) createNext(st *stream) {
	for len(st.queue) > 0 && (!st.waiting() || st.names.naming == echoed) {
		w := st.queue[0]
		st.queue[0] = nil
		st.queue = st.queue[1:]
		if w.phase != waiting || w.lane != st.lane {
			continue // it has ended or left, or stood here twice
		}
		w.phase, w.asked, w.start = creating, st.progress.asked, w.next
		st.ask(request{w: w}, w.request())
	}
	if len(st.queue) == 0 {
		st.queue = nil
	}
}

// ask sends a creation, for which it chooses the ID.
func (st *stream) ask(r request, c *pb.WatchCreateRequest) {
	if !st.waiting() {
		st.heard = time.Now()
	}
	r.id = st.names.take()
	c.WatchId = r.id
	st.creating = append(st.creating, r)
	st.send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: c}})
	st.attempt.Expect()
}

// match finds the creation that an announcement answers: the oldest. ok is false
// if that can't be, in which case the stream is of no use any more.
func (x *machine) match(st *stream, resp *pb.WatchResponse) (r request, ok bool) {
	if len(st.creating) == 0 {
		x.broke(st, "it has announced watch %d, which nobody asked for", resp.WatchId)
		return request{}, false
	}
	r = st.creating[0]
	id, n := resp.WatchId, &st.names
	switch {
	case resp.Canceled && id < 0: // a refusal
	case id < 0:
		x.broke(st, "it has announced a watch of ID %d", id)
		return request{}, false
	case st.active[id] != nil:
		x.broke(st, "it has given ID %d to a second watch", id)
		return request{}, false
	case r.id == 0:
		n.theirs.add(id)
	case id == r.id:
		n.naming = echoed
	case n.naming == echoed:
		// It takes IDs and does not keep order, as no server is known to do. One
		// creation at a time is safe with it, too.
		st.lane.serverNames()
		x.giveUp(st)
		return request{}, false
	default:
		n.theirs.add(id)
		n.naming = foreign
	}
	if r.id != 0 {
		n.ours.add(r.id)
	}
	if n.naming == unknown && resp.Header.GetClusterId() != 0 {
		n.naming = identified
	}
	st.creating[0] = request{}
	if st.creating = st.creating[1:]; len(st.creating) == 0 {
		st.creating = nil
	}
	return r, true
}
