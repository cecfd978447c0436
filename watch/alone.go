package watch

import "time"

// A server sends a watch that is behind up to a thousand revisions in one response. etcd sends a
// response to its end, even if the watch is canceled between two fragments of it (etcd's
// server/etcdserver/api/v3rpc/watch.go, sendFragments). So when the consumer of a watch on a
// shared stream falls behind, what its buffer has no room for is sent all the same. It delays the
// events of the other watches, is thrown away, and is sent again when the watch is resumed. With
// values of a megabyte, a gigabyte is sent for every four of them that the buffer takes.
//
// So a watch that is resumed after its buffer was full gets a stream of its own. While the
// buffer is full this stream is not read, HTTP/2's flow control stops the server, and each event
// is sent once. What the server has read from its store by then stays in its memory. So a stream
// is not left unread for longer than maxHeld, and a consumer that has stopped costs the server
// nothing.

const (
	// maxAlone is how many streams may be open for one watch each, besides the shared ones.
	// Further watches are resumed on those.
	maxAlone = 16
	// maxHeld is for how long a stream is not read.
	maxHeld = 10 * time.Second
)

// seclude gives a paused watch, which is about to be resumed, a lane of its own. On a server
// that is not etcd the watch stays where it is: etcd's gRPC proxy has one watch for all clients
// that watch the same keys, and ends the stream of a client that does not read
// (server/proxy/grpcproxy/watcher.go, post).
func (x *machine) seclude(w *watcher) {
	full := x.streamsAlone() >= maxAlone
	switch st := w.lane.current; {
	case w.lane.alone && st == nil && full:
		x.move(w, x.laneFor(w))
	case w.lane.apart || st == nil || !st.names.etcd() || full:
	default:
		l := &lane{apart: true, alone: true, asked: w.lane.asked}
		x.lanes = append(x.lanes, l)
		x.move(w, l)
	}
}

// streamsAlone counts the streams for one watch each, those that are about to be opened too.
func (x *machine) streamsAlone() int {
	n := 0
	for _, l := range x.lanes {
		if l.alone && (l.current != nil || l.waits()) {
			n++
		}
	}
	return n
}

// overflow takes a watch off its stream, since there is no room for the rest of what has come. If
// no other watch is on the stream, the stream ends, and with it what the server is sending.
func (x *machine) overflow(w *watcher, rest batch) {
	if x.hold(w, rest) {
		return
	}
	x.off(w, paused)
	if len(w.lane.watchers) == 1 {
		x.seclude(w)
	}
}

// hold stops reading the stream of w, which is alone on it: there is no room for the rest of
// what has come. It reports whether it does. An answer that is owed has to be read.
func (x *machine) hold(w *watcher, rest batch) bool {
	st := w.lane.current
	if !w.lane.alone || st.waiting() || !st.names.etcd() {
		return false
	}
	w.rest, w.current, st.held = rest, false, time.Now()
	return true
}

// release delivers the rest, and has the stream read again if there was room for all of it.
func (x *machine) release(w *watcher) {
	rest := w.rest
	w.rest = batch{}
	x.deliver(w, rest.header, rest.events)
	if st := w.lane.current; w.phase == active && !w.held() {
		st.heard, st.released = time.Now(), time.Now() // patience counts from here
		signal(st.more)
	}
}

// held reports whether the stream of w is not read until its consumer has made room.
func (w *watcher) held() bool { return len(w.rest.events) > 0 }

// held reports whether the lane's stream is not read.
func (l *lane) held() bool { return l.alone && len(l.watchers) > 0 && l.watchers[0].held() }

// shelve ends a stream that was not read for too long. Its watch is paused.
func (x *machine) shelve(st *stream) {
	x.off(st.lane.watchers[0], paused)
	x.giveUp(st)
}

// rejoinAt returns when the watchers of a lane apart share streams again: when its stream has
// lived for long enough, and the one that is alone has caught up and not fallen behind since.
// Zero means not yet.
func (x *machine) rejoinAt(l *lane) time.Time {
	st := l.current
	if !l.apart || st == nil || !st.opened {
		return time.Time{}
	}
	since := st.since
	if l.alone {
		if len(l.watchers) == 0 || l.watchers[0].phase != active || !l.watchers[0].current {
			return time.Time{}
		}
		if st.released.After(since) {
			since = st.released
		}
	}
	return since.Add(x.cfg.silence)
}
