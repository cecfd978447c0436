package cache

import (
	"bytes"
	"cmp"
	"slices"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	// maxEvents is how many events a response has, unless one revision has more.
	maxEvents = 1000
	// maxFragment is how many bytes of events a fragment has: etcd's default of
	// --max-request-bytes.
	maxFragment = 3 << 19
	// notifyEvery is etcd's default of --watch-progress-notify-interval.
	notifyEvery = 10 * time.Minute
)

// Where a watch is served.
const (
	local  = iota
	moving // its creation on the stream below was sent, or is to be
	remote
	ended
)

// watching is a watch of a stream.
type watching struct {
	id      int64 // the client's
	req     *pb.WatchCreateRequest
	state   int
	created *pb.WatchResponse // that the client has to be told, once it is there
	silent  bool              // the client knows of the creation, as of one from memory
	leave   bool              // the client has canceled it before it was told

	p        *prefix // whose key range it is in
	keys     span
	next     int64 // the revision from which on changes were not given to the client
	history  int64 // the prefix's when it was created
	noPut    bool
	noDelete bool
	eventful bool // there were events since the last progress notification

	id2 int64 // on the stream below
}

// createLocked begins a watch.
func (s *stream) createLocked(r *pb.WatchCreateRequest) {
	w := &watching{id: r.WatchId, req: r, keys: spanOf(r.Key, r.RangeEnd)}
	s.order = append(s.order, w)
	switch {
	case w.id != 0 && s.watches[w.id] != nil:
		w.state = ended
		w.created = &pb.WatchResponse{
			Header: s.headerLocked(w), WatchId: -1, Created: true, Canceled: true,
			CancelReason: "mvcc: duplicate watch ID provided on the WatchStream",
		}
	default:
		if w.id == 0 {
			for s.watches[s.nextID] != nil {
				s.nextID++
			}
			w.id = s.nextID
			s.nextID++
		}
		s.watches[w.id] = w
		if !s.remember(w) {
			s.moveLocked(w)
		}
	}
	s.createdLocked()
}

// remember serves a watch from memory, if that can be.
func (s *stream) remember(w *watching) bool {
	r := w.req
	p := s.c.of(r.Key, r.RangeEnd)
	w.noPut = slices.Contains(r.Filters, pb.WatchCreateRequest_NOPUT)
	w.noDelete = slices.Contains(r.Filters, pb.WatchCreateRequest_NODELETE)
	if p == nil || w.noPut && w.noDelete && s.below != nil && s.below.asks() {
		return false // the latter wants to know whether the server of the others is there (package watch, heartbeat)
	}
	w.history = p.history.Load() // before the state
	empty := len(r.RangeEnd) > 0 && !w.keys.endless && bytes.Compare(r.Key, r.RangeEnd) >= 0
	st := p.state.Load()
	if empty || st == nil || r.StartRevision < 0 || r.StartRevision != 0 && r.StartRevision <= st.floor || !known(r) {
		p.stats.passed.Add(1)
		return false
	}
	w.p, w.state = p, local
	if w.next = r.StartRevision; w.next == 0 {
		w.next = st.rev + 1
	}
	w.created = &pb.WatchResponse{Header: p.headerAt(st.rev), WatchId: w.id, Created: true}
	if !s.listening[p] {
		s.listening[p] = true
		p.listen(s.wake)
	}
	if r.ProgressNotify && s.ticker == nil {
		s.ticker = time.AfterFunc(notifyEvery, s.notify)
	}
	p.used.Store(true)
	p.stats.watches.Add(1)
	return true
}

// headerLocked is a header for what the stream says by itself.
func (s *stream) headerLocked(w *watching) *pb.ResponseHeader {
	p := w.p
	for q := range s.listening {
		if p == nil {
			p = q
		}
	}
	if p == nil {
		return cmp.Or(s.below.lastHeader(), &pb.ResponseHeader{})
	}
	if st := p.state.Load(); st != nil {
		return p.headerAt(st.rev)
	}
	return p.headerAt(0)
}

// pullLocked gets the next watch's events from memory. When there are none, it answers who has
// asked how far the watches have come.
func (s *stream) pullLocked() {
	for range len(s.local) {
		if s.turn >= len(s.local) {
			s.turn = 0
		}
		w := s.local[s.turn]
		st := w.p.state.Load()
		switch {
		case w.history != w.p.history.Load():
			s.failLocked(status.Error(codes.Unavailable, errHistory.Error()))
			return
		case st == nil || w.next <= st.floor:
			// The cluster may have what the window has not any more, or says why not.
			w.p.stats.passed.Add(1)
			s.local = slices.Delete(s.local, s.turn, s.turn+1)
			w.silent = true
			w.req.StartRevision = w.next
			s.asked, s.upTo = 0, 0 // what was answered is not true of this watch
			s.moveLocked(w)
			continue
		}
		s.turn++
		before := len(s.out)
		if s.out = w.pull(st, s.out); len(s.out) > before {
			return
		}
	}
	s.answerProgressLocked() // after what is in out
}

// pull appends what there is for a watch, and the revision up to which it was looked.
func (w *watching) pull(st *state, out []*pb.WatchResponse) []*pb.WatchResponse {
	if w.next > st.rev {
		return out
	}
	var events []*mvccpb.Event
	next := st.rev + 1
	for _, e := range st.after(w.next - 1) {
		if !w.keys.contains(keyOf(e.rec)) || e.del && w.noDelete || !e.del && w.noPut {
			continue
		}
		if len(events) >= maxEvents && events[len(events)-1].Kv.ModRevision != e.rev {
			next = e.rev
			break
		}
		events = append(events, e.message(w.req.PrevKv))
	}
	w.next = next
	if len(events) == 0 {
		return out
	}
	w.eventful = true
	header := w.p.headerAt(st.rev)
	for len(events) > 0 {
		n := len(events)
		if w.req.Fragment {
			n = fragment(events)
		}
		out = append(out, &pb.WatchResponse{Header: header, WatchId: w.id, Events: events[:n], Fragment: n < len(events)})
		events = events[n:]
	}
	return out
}

// fragment is how many events fit into one; at least one does.
func fragment(events []*mvccpb.Event) int {
	size := 0
	for i, e := range events {
		size += len(e.Kv.Key) + len(e.Kv.Value) + len(e.GetPrevKv().GetKey()) + len(e.GetPrevKv().GetValue())
		if size > maxFragment && i > 0 {
			return i
		}
	}
	return len(events)
}

// message makes a message of a change. A new key has no previous value
// (server/etcdserver/api/v3rpc/watch.go, sendLoop).
func (e *event) message(prevKV bool) *mvccpb.Event {
	it := parse(e.rec)
	m := &mvccpb.Event{Kv: messages([]item{it}, false)[0]}
	if e.del {
		m.Type = mvccpb.Event_DELETE
	}
	if created := !e.del && it.create == it.mod; prevKV && !created && e.prev != "" {
		m.PrevKv = messages([]item{parse(e.prev)}, false)[0]
	}
	return m
}

// answerProgressLocked says up to which revision all watches have been given everything. As etcd,
// it keeps silent while one of them waits for a revision to come.
func (s *stream) answerProgressLocked() {
	if s.asked == 0 || len(s.order) > 0 {
		return
	}
	rev := s.upTo
	if s.below != nil && s.below.asks() && rev == 0 {
		return // the stream below has not answered
	}
	var w *watching
	for _, o := range s.local {
		if st := o.p.state.Load(); st == nil || o.next > st.rev+1 {
			s.asked = 0
			return
		}
		if rev == 0 || o.next-1 < rev {
			rev = o.next - 1
		}
		w = o
	}
	s.asked--
	s.upTo = 0
	header := s.below.lastHeader()
	if w != nil {
		header = w.p.headerAt(rev)
	}
	if rev == 0 || header == nil {
		return
	}
	header.Revision = rev
	s.out = append(s.out, &pb.WatchResponse{Header: header, WatchId: -1})
}

// notify tells the watches that want it how far they have come, if they had no events.
func (s *stream) notify() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil || s.listening == nil {
		return
	}
	for _, w := range s.local {
		if st := w.p.state.Load(); w.req.ProgressNotify && !w.eventful && st != nil && w.next == st.rev+1 {
			s.out = append(s.out, &pb.WatchResponse{Header: w.p.headerAt(st.rev), WatchId: w.id})
		}
		w.eventful = false
	}
	s.ticker.Reset(notifyEvery)
	signal(s.wake)
}
