package lease

import (
	"math/rand/v2"
	"time"
)

// renewLocked hands over what is due on a lane and ends leases that are past their
// deadline. In a round it hands over what is due soon as well (early), so that one wake-up,
// one write and one read serve many leases. All lanes have their rounds together, for they
// share a connection.
func (m *manager) renewLocked(l *lane, now time.Time, round bool) {
	for len(l.due) > 0 {
		e, at := l.due[0].e, l.due[0].at
		if at.After(now) && (!round || e.pending || at.Sub(now) > early(e.ttl)) {
			return
		}
		switch {
		case m.expireLocked(e, now):
		case e.pending, e.next.Sub(now) > early(e.ttl):
			l.due.move(e, e.appointment(now))
		default:
			l.hand(e, now)
		}
	}
}

// dueAt reports whether a lease has to be looked at.
func (l *lane) dueAt(now time.Time) bool { return len(l.due) > 0 && !l.due[0].at.After(now) }

// appointment is when the lease has to be looked at: when its next renewal is due, or,
// while one is pending, which is the lane's business, when it ends.
func (e *entry) appointment(now time.Time) time.Time {
	switch {
	case !e.pending:
		return e.next
	case e.deadline.IsZero():
		return now.Add(idle)
	default:
		return e.deadline
	}
}

// hand takes over a renewal that is due. It is sent when the sender is roused. The lease is
// looked at again when the next one is due, so that a renewal that is answered in time
// costs the heap no more than that.
func (l *lane) hand(e *entry, now time.Time) {
	e.pending, e.again = true, false
	e.chance = rand.Float32()
	at := e.appointment(now)
	if e.ttl != 0 {
		if next := now.Add(interval(e.ttl, false, e.chance)); next.Before(at) {
			at = next
		}
	}
	l.due.move(e, at)

	l.waiting = append(l.waiting, e)
	l.pending++
	if l.pending == 1 {
		l.await(now)
	}
}

// early is how much earlier than it is due a renewal may be sent, together with others: a
// thirtieth of the TTL, and half a second at most, as long as clientv3's rounds, so that no
// more come to the server at once.
func early(ttl time.Duration) time.Duration { return min(ttl/30, 500*time.Millisecond) }

// interval is the time from one renewal to when the next is due (period), less by up to a
// twentieth of it by chance (from 0 to 1), so that leases that were granted together drift apart.
// After the first renewal, and after one that was sent again, when many are in step, it is spread
// over half of it.
func interval(ttl time.Duration, inStep bool, chance float32) time.Duration {
	most := period(ttl)
	spread := most / 20
	if inStep {
		spread = most / 2
	}
	return most - time.Duration(float64(chance)*float64(spread))
}

// period is the most of a TTL that passes before a renewal is due: a third, or up to three eighths
// if enough is left after that to ask a few members and to wait for an election.
func period(ttl time.Duration) time.Duration {
	const enough = 8 * time.Second
	return max(ttl/3, min(ttl/8*3, ttl-enough))
}
