package watch

const (
	// maxApart is how many streams may be open besides the shared ones, to find
	// out whose response is too large.
	maxApart = 64
	// maxTooLarge is how often a watch that is alone on its stream may break it:
	// a server that sends history before it has announced the watch does not
	// fragment it, which another try may avoid.
	maxTooLarge = 3
)

// split parts the watchers of a lane whose stream was broken by a response that is
// too large: gRPC refuses to receive it, and does not tell whose it was. One half goes
// to a lane apart. Since the response comes again, its watcher is soon alone, and then
// it ends. The others are resumed as after any failure, and share streams again some
// seconds later (rejoin).
func (x *machine) split(l *lane, err error) {
	var suspects []*watcher
	for _, w := range l.watchers {
		if w.phase == waiting {
			suspects = append(suspects, w)
		}
	}
	if len(suspects) == 1 {
		w := suspects[0]
		if w.tooLarge++; w.tooLarge >= maxTooLarge || !w.fragments() {
			x.end(w, newTooLargeError(w, err), false)
		}
		return
	}
	half := &lane{apart: true, reopen: l.reopen, asked: l.asked}
	for _, w := range suspects[len(suspects)/2:] {
		x.move(w, half)
	}
	x.lanes = append(x.lanes, half)
}

// rejoin puts the watchers of a lane apart on shared ones: its stream has lived
// for long enough.
func (x *machine) rejoin(l *lane) {
	for len(l.watchers) > 0 {
		w := l.watchers[len(l.watchers)-1]
		x.move(w, x.laneFor(w))
	}
}

// move takes a watcher to another lane, where it is resumed.
func (x *machine) move(w *watcher, to *lane) {
	if w.phase == paused {
		w.lane.leave(w)
		to.join(w)
		return
	}
	x.off(w, waiting)
	w.lane.leave(w)
	to.join(w)
	x.want(w)
}

// streamsApart counts the streams of lanes that were split off.
func (x *machine) streamsApart() int {
	n := 0
	for _, l := range x.lanes {
		if l.split() && l.current != nil {
			n++
		}
	}
	return n
}
