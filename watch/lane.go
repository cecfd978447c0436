package watch

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/getcd/getcd/balancer"
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
)

// lane is a share of the watchers and the stream that they are on. The machine
// owns it.
type lane struct {
	watchers []*watcher
	current  *stream // nil while none is open or opening
	avoid    avoidance
	failures int       // streams lost since the last good answer
	denials  int       // of them, in a row, for their tokens
	reopen   time.Time // not before
	asked    bool      // RequestProgress waits for its answer
}

// avoidance collects the endpoints to avoid. When one of them was picked all
// the same, all members have had their turn, and it starts over.
type avoidance struct{ list []string }

func (a *avoidance) add(endpoint string) {
	switch {
	case endpoint == "":
	case slices.Contains(a.list, endpoint):
		a.list = []string{endpoint}
	default:
		a.list = append(slices.Clip(a.list), endpoint)
	}
}

// laneFor chooses the lane of a new watcher: the emptiest one, or a further one
// when all are full and there may be more.
func (x *machine) laneFor() *lane {
	var best *lane
	for _, l := range x.lanes {
		if best == nil || len(l.watchers) < len(best.watchers) {
			best = l
		}
	}
	if best == nil || len(best.watchers) >= watchersPerLane && len(x.lanes) < maxLanes {
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
				st.creating[i].w = nil // cancelled when its ID is known
			}
		}
	case active:
		delete(st.active, w.id)
		st.send(cancelRequest(w.id))
	default:
	}
	w.phase, w.partial = to, nil
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
	x.lanes = slices.DeleteFunc(x.lanes, func(l *lane) bool {
		if len(l.watchers) == 0 && l.current != nil {
			l.current.cancel()
		}
		return len(l.watchers) == 0
	})
	for _, l := range x.lanes {
		switch st := l.current; {
		case st == nil && !slices.ContainsFunc(l.watchers, func(w *watcher) bool { return w.phase == waiting }):
			// All are paused: their consumers will say when to go on.
		case st == nil && l.reopen.After(now):
			sooner(l.reopen)
		case st == nil:
			x.open(l)
		case !st.opened:
			// It waits for a connection, which is the connection's business.
		case st.waiting() && now.Sub(st.heard) >= x.cfg.patience:
			x.lost(st, errSilent)
			sooner(l.reopen)
		case st.waiting():
			sooner(st.heard.Add(x.cfg.patience))
		case now.Sub(st.heard) >= x.cfg.silence:
			st.heard = now // patience counts from here
			x.heartbeat(st)
			sooner(now.Add(x.cfg.patience))
		default:
			sooner(st.heard.Add(x.cfg.silence))
		}
	}
	return next
}

// lost takes note of a stream's failure.
func (x *machine) lost(st *stream, err error) {
	l := st.lane
	x.giveUp(st)
	var hopeless bool
	if refusesToken(err) {
		l.denials++
		hopeless = l.denials > maxRefusals
	} else {
		l.avoid.add(st.attempt.Endpoint())
		hopeless = final(err, !st.opened)
	}
	if hopeless {
		x.endLane(l, err, false)
	}
}

// giveUp ends a stream. Its watchers wait for the next one.
func (x *machine) giveUp(st *stream) {
	l := st.lane
	st.cancel()
	l.current = nil
	for _, w := range l.watchers {
		if w.phase != paused {
			w.phase, w.partial = waiting, nil
		}
	}
	l.reopen = time.Now().Add(backoff(l.failures))
	l.failures++
}

// good takes note that the lane's stream works.
func (l *lane) good() {
	l.failures, l.denials, l.avoid.list = 0, 0, nil
}

const (
	backoffBase = 10 * time.Millisecond
	backoffMax  = time.Second
)

// backoff is the wait after the given number of earlier failures in a row:
// exponential, and jittered over its upper half.
func backoff(failures int) time.Duration {
	d := min(backoffMax, backoffBase<<min(failures, 10))
	return d/2 + rand.N(d/2)
}

// open opens the lane's stream, in the background.
func (x *machine) open(l *lane) {
	st := newStream(x.ctx, l)
	st.attempt = &balancer.Attempt{Avoid: l.avoid.list}
	l.current = st
	x.m.wg.Go(func() { st.serve(x) })
}
