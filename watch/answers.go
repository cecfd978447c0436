package watch

import (
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// create asks for a watcher on an open stream.
func (x *machine) create(st *stream, w *watcher) {
	w.phase, w.asked = creating, st.progress.asked
	st.ask(request{w: w}, w.request())
}

// ask sends a creation. The server answers each one, in this order.
func (st *stream) ask(r request, msg *pb.WatchRequest) {
	if !st.waiting() {
		st.heard = time.Now()
	}
	st.creating = append(st.creating, r)
	st.send(msg)
	st.attempt.Expect()
}

// heartbeat makes a silent server speak. The answer to a progress request tells
// how far the stream has come, but does not always come: not while one watcher
// of the stream is behind, or waits for a revision in the future. So a watch
// that sees nothing is created as well, which is answered by every server that
// serves the stream at all, be it with a refusal; then it is cancelled.
func (x *machine) heartbeat(st *stream) {
	if l := st.lane; x.askProgress(st) {
		st.progress.own = l.asked == 0
		l.asked = min(l.asked, 1) // the answer will be theirs who wait for one
	}
	st.ask(request{heartbeat: true}, &pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{
		CreateRequest: &pb.WatchCreateRequest{
			Key:     st.lane.watchers[0].op.KeyBytes(), // which its user may read
			Filters: []pb.WatchCreateRequest_FilterType{pb.WatchCreateRequest_NOPUT, pb.WatchCreateRequest_NODELETE},
		},
	}})
}

// receive takes a message of a stream.
func (x *machine) receive(msg message) {
	st := msg.st
	l := st.lane
	if l.current != st {
		return // given up
	}
	switch msg.kind {
	case msgOpened:
		st.opened, st.since = true, time.Now()
		st.heard = st.since
		st.send(progressRequest()) // before any watch, see progress
		for _, w := range l.watchers {
			if w.phase == waiting {
				x.create(st, w)
			}
		}
	case msgLost:
		x.lost(st, msg.err)
	case msgIdentity:
		x.identified(st, msg.head, msg.err)
	case msgResponse:
		st.heard = time.Now()
		x.answer(st, msg.resp)
	}
}

func (x *machine) answer(st *stream, resp *pb.WatchResponse) {
	switch {
	case resp.Created:
		x.created(st, resp)
	case resp.WatchId < 0:
		x.progressAll(st, resp)
	default:
		w := st.active[resp.WatchId]
		switch {
		case w == nil: // taken off before; the server did not know yet
		case resp.Canceled || resp.CompactRevision != 0:
			delete(st.active, w.id)
			w.phase = waiting // no cancellation any more
			x.refused(st, w, resp)
		case len(resp.Events) > 0:
			x.events(w, resp)
		case !resp.Fragment && len(w.partial) == 0:
			x.advance(w, resp.Header, true)
		}
	}
}

// created takes the answer to the oldest creation.
func (x *machine) created(st *stream, resp *pb.WatchResponse) {
	x.announced(st)
	if len(st.creating) == 0 {
		return
	}
	r := st.creating[0]
	st.creating[0] = request{}
	st.creating = st.creating[1:]
	if st.waiting() {
		st.attempt.Expect()
	}
	w := r.w
	switch {
	case w == nil: // a heartbeat, or it has ended or left meanwhile
		if !resp.Canceled {
			st.send(cancelRequest(resp.WatchId))
		}
		return
	case resp.Canceled:
		w.phase = waiting
		x.refused(st, w, resp)
		return
	}
	st.lane.good()
	w.refusals = 0
	w.phase, w.id = active, resp.WatchId
	w.since = resp.Header.GetRevision()
	st.active[w.id] = w
	if !x.identify(st, w, resp.Header) {
		return
	}
	if w.next == 0 {
		w.next = resp.Header.GetRevision() + 1
	}
	if w.op.IsCreatedNotify() && !w.told {
		w.told = true
		w.notify(WatchResponse{Header: resp.Header, Created: true})
	}
	w.settled()
}

// refused takes a creation's refusal, or the server's cancellation.
func (x *machine) refused(st *stream, w *watcher, resp *pb.WatchResponse) {
	err := canceled(resp.CancelReason)
	switch {
	case resp.CompactRevision != 0:
		x.end(w, &CompactedError{Revision: w.next, CompactRevision: resp.CompactRevision, header: resp.Header}, false)
	case isCompacted(err):
		x.end(w, &CompactedError{Revision: w.next}, false)
	case refusesToken(err) && w.refusals < maxRefusals:
		// The stream has its token for life: another one is needed. The others
		// are resumed on it too. The member is not to be blamed.
		w.refusals++
		x.giveUp(st)
	default:
		x.end(w, err, false)
	}
}

// events delivers what is complete. The last revision of a fragment may go on in
// the next one and is kept; where the watch would have to be resumed follows
// what was delivered alone.
func (x *machine) events(w *watcher, resp *pb.WatchResponse) {
	w.seen.advance(resp.Header)
	events := resp.Events
	if len(w.partial) > 0 {
		events = append(w.partial, events...)
		w.partial = nil
	}
	if resp.Fragment && len(events) > 0 {
		n := len(events)
		for rev := events[n-1].Kv.ModRevision; n > 0 && events[n-1].Kv.ModRevision == rev; {
			n--
		}
		w.partial = append([]*Event(nil), events[n:]...)
		events = events[:n]
	}
	for len(events) > 0 && events[0].Kv.ModRevision < w.next {
		events = events[1:] // before the watch's first revision
	}
	if len(events) == 0 {
		return
	}
	n := w.push(resp.Header, events)
	if n > 0 {
		w.next = events[n-1].Kv.ModRevision + 1
		w.tooLarge = 0
	}
	if n < len(events) {
		x.off(w, paused)
	}
}
