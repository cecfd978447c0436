package watch

import (
	"errors"
	"slices"
	"time"

	"github.com/getcd/getcd/internal/attempt"
	"github.com/getcd/getcd/internal/backoff"
	"github.com/getcd/getcd/internal/etcderr"
)

const (
	// watchersPerLane and maxLanes: the server serves a stream with one
	// goroutine and a queue of 128 responses; watches that find it full become
	// its "victims" and wait for the next of its rounds. So a change that many
	// watches see wants several streams. On the other hand every stream has its
	// heartbeat, and progress is told for a whole stream at once.
	watchersPerLane = 1000
	maxLanes        = 8
	// maxRefusals is how many streams in a row may have their tokens refused:
	// each had a new one, where the connection knows how to get it.
	maxRefusals = 5
	// maxOutdated is the same for users who have changed meanwhile.
	maxOutdated = 32
)

// lane is a share of the watchers and the stream that they are on. The machine
// owns it.
type lane struct {
	watchers []*watcher
	current  *stream // nil while none is open or opening
	avoid    attempt.Avoidance
	failures int       // streams lost since the last good answer
	denials  int       // of them, in a row, for their tokens
	silences int       // of them, in a row, since nothing came in time
	reopen   time.Time // not before
	asked    int       // calls of RequestProgress that wait for their answers
	apart    bool      // not shared: split off another, to find out whose response is too large, or alone
	alone    bool      // for one watch that is behind
	plain    bool      // the next stream leaves watch IDs to its server
	broken   int       // streams, in a row, whose server has broken the protocol soon
}

// join takes a watcher in.
func (l *lane) join(w *watcher) {
	w.lane, w.index = l, len(l.watchers)
	l.watchers = append(l.watchers, w)
}

// leave lets a watcher go that is off the stream.
func (l *lane) leave(w *watcher) {
	end := len(l.watchers) - 1
	l.watchers[w.index], l.watchers[end].index = l.watchers[end], w.index
	l.watchers[end] = nil
	l.watchers = l.watchers[:end]
}

// split reports whether the lane was split off another.
func (l *lane) split() bool { return l.apart && !l.alone }

// waits reports whether one of the lane's watchers waits for a stream.
func (l *lane) waits() bool {
	return slices.ContainsFunc(l.watchers, func(w *watcher) bool { return w.phase == waiting })
}

// begin takes the lane's next stream.
func (l *lane) begin(st *stream) {
	l.current = st
	l.plain = false // for once
}

// retreat is without a stream from now on, and waits before the next one.
func (l *lane) retreat(now time.Time) {
	l.current = nil
	l.reopen = now.Add(pause(l.failures))
	l.failures++
}

// good takes note that the lane's stream works.
func (l *lane) good() {
	l.failures, l.denials, l.avoid = 0, 0, nil
}

// silent takes note that nothing came in time. A server that does not answer who asks
// for an ID is given another try.
func (l *lane) silent(st *stream) {
	l.plain = st.names.naming == identified
	l.silences++
}

// spoke takes note that something came in time.
func (l *lane) spoke() { l.silences = 0 }

// denied counts the refusals of tokens, in a row.
func (l *lane) denied() int {
	l.denials++
	return l.denials
}

// broke takes note that the stream's server has broken the protocol, soon after it was
// opened or when it had worked for a while.
func (l *lane) broke(soon bool) {
	if !soon {
		l.broken = 0
	}
	l.broken++
}

// leaveMember has the next stream avoid the member of st.
func (l *lane) leaveMember(st *stream) { l.avoid.Add(st.attempt.Endpoint()) }

// serverNames leaves the watch IDs of the next stream to its server.
func (l *lane) serverNames() { l.plain = true }

// ask notes a call of RequestProgress, answered that its answer has come. One answer
// will be that of all who wait, when merged.
func (l *lane) ask()      { l.asked++ }
func (l *lane) answered() { l.asked-- }
func (l *lane) merge()    { l.asked = min(l.asked, 1) }

// laneFor chooses the lane of a watcher that is in none: that of the others of its
// share, which it leaves again when they have met, or the emptiest one, or a further
// one when all are full and there may be more.
func (x *machine) laneFor(w *watcher) *lane {
	if h := w.share.host; h != nil && h.lane != nil && !h.lane.apart {
		return h.lane
	}
	if h := w.wider(); h != nil && !h.lane.apart && len(h.lane.watchers) < watchersPerLane {
		return h.lane
	}
	var best *lane
	shared := 0
	for _, l := range x.lanes {
		if l.apart {
			continue
		}
		shared++
		if best == nil || len(l.watchers) < len(best.watchers) {
			best = l
		}
	}
	if best == nil || len(best.watchers) >= watchersPerLane && shared < maxLanes {
		best = &lane{}
		x.lanes = append(x.lanes, best)
	}
	return best
}

// want puts a watcher on its lane's stream, now or when there is one.
func (x *machine) want(w *watcher) {
	w.phase = waiting
	if st := w.lane.current; st != nil && st.opened {
		x.create(st, w)
	}
}

// off takes a watcher off its stream, on the server too.
func (x *machine) off(w *watcher, to phase) {
	st := w.lane.current
	switch w.phase {
	case creating:
		for i := range st.creating {
			if st.creating[i].w == w {
				st.creating[i].w = nil // canceled when its ID is known
			}
		}
	case active:
		delete(st.active, w.id)
		st.send(cancelRequest(w.id))
	default:
	}
	w.turn(to, time.Now())
	w.drop()
}

// tick opens the streams that are needed, asks the silent ones, gives up those
// that do not answer, and returns when to look again.
func (x *machine) tick(now time.Time) time.Time {
	next := now.Add(time.Hour)
	sooner := func(t time.Time) {
		if t.Before(next) {
			next = t
		}
	}
	if t := x.settle(now); !t.IsZero() {
		sooner(t)
	}
	x.lanes = slices.DeleteFunc(x.lanes, func(l *lane) bool {
		if len(l.watchers) == 0 && l.current != nil {
			l.current.cancel()
		}
		return len(l.watchers) == 0
	})
	apart := x.streamsApart()
	for _, l := range x.lanes {
		rejoin := x.rejoinAt(l)
		switch st := l.current; {
		case st == nil && !l.waits():
			// All are paused: their consumers will say when to go on.
		case st == nil && l.reopen.After(now):
			sooner(l.reopen)
		case st == nil && l.split() && apart >= maxApart:
			// When another one has an end, so that tick runs again.
		case st == nil:
			x.open(l)
			if l.split() {
				apart++
			}
		case !st.opened:
			// It waits for a connection, which is the connection's business.
		case !rejoin.IsZero() && !rejoin.After(now):
			x.rejoin(l)
			sooner(now)
		case l.held() && now.Sub(st.held) >= maxHeld:
			x.shelve(st)
		case l.held():
			sooner(st.held.Add(maxHeld))
		case st.waiting() && now.Sub(st.heard) >= x.patience(l) && st.arrives(now):
			st.heard = now // patience counts from here
			sooner(now.Add(x.cfg.patience))
		case st.waiting() && now.Sub(st.heard) >= x.patience(l):
			l.silent(st)
			x.lost(st, errSilent)
			sooner(l.reopen)
		case st.waiting():
			sooner(st.heard.Add(x.patience(l)))
		case now.Sub(st.heard) >= x.cfg.silence:
			st.heard = now // patience counts from here
			x.heartbeat(st)
			sooner(now.Add(x.patience(l)))
		default:
			if now.Sub(st.progress.inquired) >= quietTime {
				x.inquire(st)
			}
			sooner(st.heard.Add(x.cfg.silence))
			sooner(st.progress.inquired.Add(quietTime))
		}
		if t := x.rejoinAt(l); !t.IsZero() {
			sooner(t)
		}
	}
	return next
}

// A message can take long to come: one of etcd's proxy has a thousand revisions. That is
// no silence, and who opens the stream again begins with the same message. So bytes that
// come are waited for, for longestMessage, and everything for twice as long after each
// stream in a row on which nothing came in time, maxDoublings times at most.
const (
	longestMessage = 30 * time.Second
	maxDoublings   = 6
)

// patience is how long an answer on l is waited for.
func (x *machine) patience(l *lane) time.Duration {
	return x.cfg.patience << min(l.silences, maxDoublings)
}

// arrives reports whether bytes come that may be a message's, and are worth waiting for.
// It must be asked once for each patience. A connection that is not this module's does
// not tell.
func (st *stream) arrives(now time.Time) bool {
	if st.arriving.IsZero() {
		st.arriving = st.heard
	}
	return st.attempt.Arriving() && now.Sub(st.arriving) < longestMessage<<min(st.lane.silences, maxDoublings)
}

// lost takes note of a stream's failure.
func (x *machine) lost(st *stream, err error) {
	l := st.lane
	x.giveUp(st)
	var hopeless bool
	switch {
	case refusesToken(err):
		hopeless = l.denied() > refusalsTaken(err)
	case etcderr.TooLarge(err):
		x.split(l, err) // no member is to be blamed
	case errors.Is(err, ErrProtocol):
		l.leaveMember(st)
		hopeless = l.broken >= maxBroken
	default:
		l.leaveMember(st)
		hopeless = final(err, !st.opened)
	}
	if hopeless || x.cfg.final != nil && x.cfg.final(err) {
		x.endLane(l, err, false)
	}
}

// giveUp ends a stream. Its watchers wait for the next one.
func (x *machine) giveUp(st *stream) {
	l := st.lane
	now := time.Now()
	st.cancel()
	l.retreat(now)
	current := now
	if st.waiting() {
		current = st.heard
	}
	for _, w := range l.watchers {
		if w.phase != paused {
			w.turn(waiting, current)
			w.drop()
		}
	}
}

// pause is the wait after the given number of earlier failures in a row.
func pause(failures int) time.Duration {
	return backoff.Exponential{First: 10 * time.Millisecond, Max: time.Second}.Pause(failures)
}

// open opens the lane's stream, in the background.
func (x *machine) open(l *lane) {
	st := x.newStream(l, l.plain)
	l.begin(st)
	x.m.wg.Go(func() { st.serve(x) })
}
