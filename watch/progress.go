package watch

import (
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// progress is what a stream knows of the answers to its progress requests. An
// answer is for the whole stream: every change up to its header's revision has
// been sent to every watch. Two things are needed before that is believed.
//
// The server must be one whose answers keep their place among the events. Until
// etcd 3.4.25 and 3.5.8 they went another way and could overtake events (etcd
// issue 15220): that of creations, at once, and whether there were watches or
// not. Later servers have nothing to say of a stream without watches. So a
// stream begins with a progress request, the next one waits until a creation was
// answered, and an answer before that is an early server's.
//
// Servers before 3.4, and etcd's gRPC proxy, don't answer at all, and the proxy logs
// an error for each request (server/proxy/grpcproxy/watch.go, recvLoop). etcd may be
// silent too, while a watch waits for a revision to come or is behind. So a server
// that does not take watch IDs, which etcd does since 3.4, is not asked any more
// when it has left three requests unanswered, over two silences; the heartbeat has
// its creation. etcd is asked by every twelfth heartbeat when it has left as many.
//
// And the watch must have been there when the server looked. An answer to a
// request from before can come after the announcement of a watch whose history
// has not been sent. It was there if the answer's revision is above the one that
// its creation has told, or if the answer cannot belong to a request that was
// sent before its creation: there is at most one answer for each request, in
// order.
type progress struct {
	told     bool  // a creation was answered, so that it is known whether they are early
	early    bool  // the answers may overtake events
	asked    int64 // requests, without the first
	answered int64
	ignored  int       // requests since the last answer
	since    time.Time // the first of them
	beats    int       // heartbeats since the last answer
	own      bool      // the machine's own last request waits for its answer
	inquired time.Time // when that was sent; the stream's opening before
}

const (
	// fairTry is how many requests may be left unanswered before fewer are sent.
	fairTry = 3
	// rareBeat is which heartbeats ask then.
	rareBeat = 12
	// quietTime is how far behind a quiet watch may fall on a stream that others keep busy. It
	// resumes where it is, and what is older may be compacted by then.
	quietTime = 30 * time.Second
)

func progressRequest() *pb.WatchRequest {
	return &pb.WatchRequest{RequestUnion: &pb.WatchRequest_ProgressRequest{
		ProgressRequest: &pb.WatchProgressRequest{},
	}}
}

// askProgress asks, unless the answer could not be believed. It reports whether
// it did.
func (x *machine) askProgress(st *stream) bool {
	p := &st.progress
	if !p.told || p.early {
		return false
	}
	now := time.Now()
	if st.names.naming == foreign && p.ignored >= fairTry && now.Sub(p.since) >= 2*x.cfg.silence {
		x.m.setDeaf(errMute)
		return false
	}
	if p.ignored == 0 {
		p.since = now
	}
	p.ignored++
	p.asked++
	st.send(progressRequest())
	return true
}

// inquire asks for the machine itself.
func (x *machine) inquire(st *stream) {
	p, l := &st.progress, st.lane
	p.inquired = time.Now()
	if x.askProgress(st) {
		p.own = l.asked == 0
		l.merge() // the answer will be theirs who wait for one
	}
}

// announced takes note that a creation was answered. Before the first, nobody
// could ask for progress.
func (x *machine) announced(st *stream) {
	if st.progress.told {
		return
	}
	st.progress.told = true
	if st.progress.early {
		x.m.setDeaf(errEarly)
	} else {
		x.m.setDeaf(nil)
	}
	if l := st.lane; l.asked > 0 {
		l.merge()
		x.askProgress(st)
	}
}

// progressAll takes an answer to a progress request.
func (x *machine) progressAll(st *stream, resp *pb.WatchResponse) {
	if len(resp.Events) > 0 {
		x.broke(st, "it has sent events of no watch")
		return
	}
	if resp.Canceled {
		return // etcd sends no such thing
	}
	p := &st.progress
	if !p.told {
		p.early = true
		x.m.setDeaf(errEarly)
	}
	if p.early {
		return
	}
	p.answered++
	p.ignored, p.beats = 0, 0
	l := st.lane
	tell := l.asked > 0 && !p.own // that is answered first, and may have been asked too early for the others
	if p.own = false; tell {
		l.answered()
	}
	for _, w := range st.active {
		rev := resp.Header.GetRevision()
		if len(w.partial) == 0 && (rev < w.next || rev > w.since || p.answered > w.asked) {
			x.advance(w, resp.Header, tell)
		}
	}
	for _, w := range st.active {
		x.meet(w)
	}
}

// advance notes that a watcher has been sent everything up to the header's
// revision.
func (x *machine) advance(w *watcher, header *pb.ResponseHeader, tell bool) {
	if rev := header.GetRevision(); rev == 0 || rev < w.next-1 {
		return // of a member that is behind what was delivered
	}
	w.next, w.current = header.GetRevision()+1, true
	w.strays, w.broken = 0, 0
	w.seen.advance(header)
	switch {
	case w.carries():
		for _, r := range w.group.riders {
			if !r.late {
				x.advance(r, header, tell)
			}
		}
	case tell:
		w.notify(WatchResponse{Header: header})
	}
}
