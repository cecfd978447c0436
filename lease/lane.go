package lease

import (
	"cmp"
	"context"
	"slices"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/getcd/getcd/internal/attempt"
	"github.com/getcd/getcd/internal/backoff"
	"github.com/getcd/getcd/internal/etcderr"
)

const (
	// leasesPerLane and maxLanes: a follower forwards each renewal to the leader
	// over HTTP before it reads the next one of the same stream, so one stream
	// carries on the order of a thousand renewals a second.
	leasesPerLane = 1000
	maxLanes      = 8
	// maxRetired is how many silent streams per lane may still answer. With
	// patience as it is, no more than these are given up from when a renewal is
	// due until its lease is.
	maxRetired = 9
	// manyRefusals is how many streams in a row are ended by servers that seem to renew no leases
	// before a keeper believes them. With the pauses between them that takes about a second: a proxy
	// may say the same for a moment.
	manyRefusals = 10
)

// pauses are those before a stream that failed is opened again. The first is all
// but none, because losing one member is the common case and another one is
// there; the longest is short, because leases can have a TTL of two seconds.
var pauses = backoff.Exponential{First: 5 * time.Millisecond, Max: 250 * time.Millisecond}

// lane is a share of the leases and the stream that renews them. Its fields are
// guarded by manager.mu.
type lane struct {
	due      due      // its leases, by when they have to be looked at, or earlier
	pending  int      // those of them that wait for an answer
	waiting  []*entry // renewals to be sent; also those of leases that have ended
	current  *stream  // nil while none is open or opening
	retired  []*stream
	avoid    attempt.Avoidance // endpoints that were silent or failed since the last answer
	failures int               // streams lost since the last answer
	refusals int               // how many of the latest were ended by servers that seem to renew no leases
	reopen   time.Time         // not before
	last     error             // why the last stream was lost; nil after an answer

	ttl     time.Duration // the shortest of its leases' so far; zero before any answer
	latency latency       // of its answers
	quiet   time.Time     // since when a pending renewal might have been answered, and none was
	moves   int           // how many streams in a row were given up for silent
}

// firstPatience is a quarter of the least TTL that servers grant by default.
const firstPatience = 500 * time.Millisecond

// blindPatience is how long a renewal may stay unanswered before another member
// is asked, when no TTL is known, after so many that were silent.
func blindPatience(moves int) time.Duration { return firstPatience << min(moves, 5) }

// patience is how long the lane's stream may be silent while it owes an answer,
// before what is pending is sent again to another member. The server answers a
// stream's renewals in order, so silence means that the first one is stuck.
//
// The first member is given what answers usually take, from a twentieth of the
// TTL to a third of it. Then, with a third or more gone before the renewal was due, time
// is short: the next member may be the very one whose silence the first was
// waiting for (a follower passes renewals on to the leader), and one that waits
// for a leader that is no more has to be asked again after the election. So each
// one after that is given a fifteenth.
func (l *lane) patience() time.Duration {
	switch {
	case l.ttl == 0:
		return blindPatience(l.moves)
	case l.moves == 0:
		return min(max(l.latency.bound(), l.ttl/20), l.ttl/3)
	default:
		return l.ttl / 15
	}
}

// latency is what answers take, estimated as TCP does for round trips (RFC 6298).
type latency struct{ mean, deviation time.Duration }

func (l *latency) add(d time.Duration) {
	if l.mean == 0 {
		l.mean, l.deviation = d, d/2
		return
	}
	l.deviation += ((l.mean - d).Abs() - l.deviation) / 4
	l.mean += (d - l.mean) / 8
}

// bound is the time within which all but few answers come.
func (l *latency) bound() time.Duration { return 2*l.mean + 4*l.deviation }

// laneLocked chooses the lane of a new lease: the emptiest one, or a further one
// when all are full and there may be more.
func (m *manager) laneLocked() *lane {
	var best *lane
	for _, l := range m.lanes {
		if best == nil || len(l.due) < len(best.due) {
			best = l
		}
	}
	if best == nil || len(best.due) >= leasesPerLane && len(m.lanes) < maxLanes {
		best = &lane{}
		m.lanes = append(m.lanes, best)
	}
	return best
}

func (m *manager) dropLaneLocked(l *lane) {
	l.end()
	m.lanes = slices.DeleteFunc(m.lanes, func(o *lane) bool { return o == l })
}

// tendLocked does what is due for a lane, and returns when to look at it again,
// or zero if nothing is pending.
func (m *manager) tendLocked(ctx context.Context, l *lane, now time.Time) time.Time {
	if l.pending == 0 {
		return time.Time{}
	}
	l.rouse()
	if l.current != nil {
		if silent := l.quiet.Add(l.patience()); silent.After(now) {
			return silent
		}
		l.move()
	}
	if l.reopen.After(now) {
		return l.reopen
	}
	m.openLocked(ctx, l)
	l.await(now)
	return now.Add(l.patience())
}

// join adds a lease.
func (l *lane) join(e *entry, now time.Time) { l.due.push(e, now) }

// part removes a lease, and reports whether it was the last one.
func (l *lane) part(e *entry) (last bool) {
	l.due.remove(e)
	return len(l.due) == 0
}

// end closes the lane's streams.
func (l *lane) end() {
	for _, st := range l.retired {
		st.cancel()
	}
	if l.current != nil {
		l.current.cancel()
	}
	l.current, l.retired, l.waiting = nil, nil, nil
}

// open makes st the stream that renews.
func (l *lane) open(st *stream) { l.current = st }

// await counts the stream's silence from now.
func (l *lane) await(now time.Time) { l.quiet = now }

// relieve takes note that a renewal is no longer pending.
func (l *lane) relieve() { l.pending-- }

// next takes the first renewal that waits to be sent; nil when there is none.
func (l *lane) next() *entry {
	for len(l.waiting) > 0 {
		e := l.waiting[0]
		l.waiting[0] = nil
		l.waiting = l.waiting[1:]
		if !e.ended {
			return e
		}
	}
	return nil
}

// timed takes note of how long an answer took.
func (l *lane) timed(d time.Duration) { l.latency.add(d) }

// granted takes note of the TTL of one of the lane's leases.
func (l *lane) granted(ttl time.Duration) {
	if l.ttl == 0 || ttl < l.ttl {
		l.ttl = ttl
	}
}

// failed takes note of why the stream to an endpoint was lost.
func (l *lane) failed(endpoint string, err error) {
	l.last = err
	l.avoid.Add(endpoint)
	if strange(err) || etcderr.Code(err) == codes.Unimplemented {
		l.refusals++
	} else {
		l.refusals = 0
	}
}

// retreat makes what is outstanding wait for another stream, which is opened after a
// pause.
func (l *lane) retreat(now time.Time) {
	l.takeBack()
	l.reopen = now.Add(pauses.Pause(l.failures))
	l.failures++
}

// rouse has the stream's sender send what waits: once for all that was handed over.
func (l *lane) rouse() {
	if l.current != nil && len(l.waiting) > 0 {
		signal(l.current.wake)
	}
}

// heard takes note of a sign of life. From a stream that was given up it means
// that members are slow rather than dead, and more of them would not help.
func (l *lane) heard(st *stream, now time.Time) {
	l.quiet, l.moves = now, 0
	if st == l.current {
		l.last, l.failures, l.refusals, l.avoid = nil, 0, 0, nil
	}
}

// move gives up a silent stream, so that another one is opened, on another
// member if there is one. What the silent one still answers counts.
func (l *lane) move() {
	st := l.current
	l.moves++
	l.avoid.Add(st.endpoint)
	l.takeBack()
	if len(st.sent) == 0 {
		st.cancel() // not even open
		return
	}
	l.retired = append(l.retired, st)
	if len(l.retired) > maxRetired {
		l.cancelRetired(l.retired[0])
	}
}

// takeBack makes what is outstanding on the current stream wait for the next
// one, most urgent first.
func (l *lane) takeBack() {
	for _, p := range l.current.sent {
		l.waiting = append(l.waiting, p.e)
	}
	l.waiting = slices.DeleteFunc(l.waiting, func(e *entry) bool { return e.ended })
	slices.SortFunc(l.waiting, byUrgency)
	for _, e := range l.waiting {
		e.again = true
	}
	l.current = nil
}

func byUrgency(a, b *entry) int {
	return cmp.Or(a.deadline.Compare(b.deadline), cmp.Compare(a.id, b.id))
}

// cancelRetired closes a stream from which nothing more is expected.
func (l *lane) cancelRetired(st *stream) {
	st.cancel()
	l.forget(st)
}

// forget drops a stream that was given up.
func (l *lane) forget(st *stream) {
	l.retired = slices.DeleteFunc(l.retired, func(o *stream) bool { return o == st })
}

// forgetRetired drops what silent streams owe to a lease that another stream has
// renewed since.
func (l *lane) forgetRetired(e *entry) {
	for _, st := range slices.Clone(l.retired) {
		if p, ok := st.sent[e.id]; ok && p.e == e {
			delete(st.sent, e.id)
			if len(st.sent) == 0 {
				l.cancelRetired(st)
			}
		}
	}
}
