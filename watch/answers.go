package watch

import (
	"math"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// heartbeat makes a silent server speak. The answer to a progress request tells
// how far the stream has come, but does not always come: not while one watcher
// of the stream is behind, or waits for a revision in the future. So a watch
// that sees nothing is created as well, which is answered by every server that
// serves the stream at all, be it with a refusal; then it is canceled.
func (x *machine) heartbeat(st *stream) {
	p := &st.progress
	p.inquired = time.Now()
	p.beats++
	if p.beats <= fairTry || p.beats%rareBeat == 0 {
		x.inquire(st)
	}
	st.ask(request{}, &pb.WatchCreateRequest{
		Key:     st.lane.watchers[0].op.KeyBytes(), // which its user may read
		Filters: []pb.WatchCreateRequest_FilterType{pb.WatchCreateRequest_NOPUT, pb.WatchCreateRequest_NODELETE},
	})
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
		st.heard, st.progress.inquired = st.since, st.since
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
		st.heard, st.arriving = time.Now(), time.Time{}
		if len(msg.resp.Events) > 0 || st.heard.Sub(st.since) >= x.cfg.silence {
			l.spoke()
		}
		x.answer(st, msg.resp)
		if st.more != nil && !l.held() {
			signal(st.more)
		}
	}
}

func (x *machine) answer(st *stream, resp *pb.WatchResponse) {
	if resp.Header == nil {
		resp.Header = &pb.ResponseHeader{} // consumers are promised one
	}
	switch w := st.active[resp.WatchId]; {
	case resp.Created:
		x.created(st, resp)
	case resp.WatchId < 0:
		x.progressAll(st, resp)
	case w == nil && !st.names.announced(resp.WatchId):
		x.broke(st, "it speaks of watch %d, which it has not announced", resp.WatchId)
	case w == nil: // taken off before; the server did not know yet
	case resp.Canceled || resp.CompactRevision != 0:
		delete(st.active, w.id)
		w.turn(waiting, st.heard)
		w.drop() // if it goes on, that comes again
		// The watch is no more; at etcd's gRPC proxy it still is: the next one of
		// the same keys would join it, and get nothing. etcd, which keeps a
		// record of it until then, confirms the cancellation.
		st.send(cancelRequest(w.id))
		x.refused(st, w, resp)
	case len(resp.Events) > 0:
		x.events(st, w, resp)
	case !resp.Fragment && len(w.partial) == 0:
		x.advance(w, resp.Header, true)
		x.meet(w)
	}
}

// created takes the answer to a creation, and asks for the next.
func (x *machine) created(st *stream, resp *pb.WatchResponse) {
	if !st.progress.told {
		st.introduce(resp.Header)
	}
	x.announced(st)
	r, ok := x.match(st, resp)
	if !ok {
		return
	}
	if st.waiting() {
		st.attempt.Expect()
	}
	if resp.WatchId >= 0 && (r.w == nil || resp.Canceled) {
		st.send(cancelRequest(resp.WatchId)) // of a heartbeat, or of one that has ended or left meanwhile
	}
	switch w := r.w; {
	case w == nil:
	case resp.Canceled:
		w.phase = waiting
		x.refused(st, w, resp)
	default:
		x.activate(st, w, resp)
	}
	if st.lane.current == st {
		x.createNext(st)
	}
}

// activate takes a watcher whose creation the server has confirmed.
func (x *machine) activate(st *stream, w *watcher, resp *pb.WatchResponse) {
	st.lane.good()
	w.refusals = 0
	w.phase, w.id = active, resp.WatchId
	w.since = math.MaxInt64 // not known
	if proves(resp.Header) {
		w.since = resp.Header.GetRevision()
	}
	st.active[w.id] = w
	if !x.identify(st, w, resp.Header) {
		return
	}
	if rev := resp.Header.GetRevision(); w.next == 0 && rev > 0 {
		w.next = rev + 1
		w.start = w.next
	}
	w.current = w.next > w.since
	if w.op.IsCreatedNotify() && !w.told {
		w.told = true
		w.notify(WatchResponse{Header: resp.Header, Created: true})
	}
	w.release()
	x.meet(w)
}

// refused takes a creation's refusal, or the server's cancellation.
func (x *machine) refused(st *stream, w *watcher, resp *pb.WatchResponse) {
	err := canceled(resp.CancelReason)
	switch {
	case resp.CompactRevision != 0:
		x.compacted(st, w, resp)
	case isCompacted(err):
		x.end(w, &CompactedError{Revision: w.next}, false)
	case refusesToken(err) && w.refusals < refusalsTaken(err):
		// The stream has its token for life: another one is needed. The others
		// are resumed on it too. The member is not to be blamed.
		w.refusals++
		x.giveUp(st)
	case ofProxy(err):
		x.lost(st, status.Error(codes.Unavailable, err.Reason))
	default:
		x.end(w, err, false)
	}
}
