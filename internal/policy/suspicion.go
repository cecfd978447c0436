package policy

import (
	"errors"
	"time"
)

// A member can fall silent and keep its connections: a stopped process, a network
// that swallows everything, a disk that hangs, a member that has lost its peers
// and not noticed yet. HTTP/2's pings find the first two after many seconds, and
// the others never. So the policy looks after requests that wait too long, and
// after streams that fall out of their rhythm.
//
// When the oldest request on a connection has waited for longer than the
// suspicion time, the policy asks the member two questions, on that same
// connection, and another member too:
//
//	is it there?     grpc.health.v1 Check, which etcd answers from memory
//	does it serve?   a linearizable read, which takes the leader and a quorum
//	would another?   both, asked of the other
//
// Slow is not dead: while bytes move on the connection the questions have time,
// for they may be queued behind a large message (rawconn.go).
//
// What the answers mean comes in two steps. After doubtAfter a member that
// is silent while the other speaks, or can't serve while the other can, is
// doubted: new requests and the streams go elsewhere; what waits on it may yet
// be answered. After its whole patience the probe ends.
//
// A member that answers neither question, while the other answers, is silent: its
// connection is left for good. When both are silent it may be this process or the
// whole network that is slow, and it takes a longer silence. One that is there and
// can't serve, while the other can, is demoted. When neither can, an election is
// going on, or there is no quorum; gate.go says what then. One that serves has
// slow requests, which are left alone, or has lost a write.
//
// A verdict gives up at once what can be sent again. What can't, a write above all,
// is another decision, with a patience of its own: leave.go.
const (
	minSuspicion     = 100 * time.Millisecond
	maxSuspicion     = time.Second
	defaultSuspicion = 500 * time.Millisecond // while no latency is known
	suspicionFactor  = 8                      // times the usual latency
	// again is when a member whose requests still wait is asked again.
	again = 250 * time.Millisecond
	// doubtAfter is how long after the questions a member is doubted.
	doubtAfter = 60 * time.Millisecond
	// minPatience is the least time that a member has to answer them.
	minPatience = 400 * time.Millisecond
	// maxSilence is when a member is silent that is as silent as the others, or
	// the only one.
	maxSilence = 2 * time.Second
	// muteTime is for how long two members that are silent together are passed over
	// for others.
	muteTime = time.Second
	// maxQueueing bounds what requests that wait add to the patience.
	maxQueueing = time.Second
)

// ErrSilent is why a call was given up (GivenUp of its Attempt), or an endpoint left, whose
// member answered nothing while another one did.
var ErrSilent = errors.New("stalled: requests and probes stay unanswered")

var (
	errCantRead  = errors.New("stalled: it answers no linearizable read while another member does")
	errLostWrite = errors.New("it serves, but has lost the write")
)

// suspicion is how long a request on m may wait before it is looked after.
func (m *member) suspicion() time.Duration {
	c := time.Duration(m.latency.Load())
	if c == 0 {
		return defaultSuspicion
	}
	return min(max(suspicionFactor*c, minSuspicion), maxSuspicion)
}

// askable reports whether a probe of c could tell anything new.
func (c *conn) askable(now time.Time) bool {
	return !c.dead && !c.silent() && (c.verdict == nil || !c.member.demotion.lasts(now))
}

// suspectIn is the time from now until something on c will have waited for too
// long; ok is false when nothing waits.
func (c *conn) suspectIn(now time.Time) (left time.Duration, ok bool) {
	suspicion := c.member.suspicion()
	at := c.clock.at(now)
	if since, waits := c.oldest(); waits {
		left, ok = suspicion-time.Duration(at-since), true
	}
	for _, s := range c.streams {
		if due, waits := s.suspectAt(suspicion); waits {
			in := time.Duration(due - at)
			if !ok || in < left {
				left, ok = in, true
			}
		}
	}
	return left, ok
}

// superseded reports whether a write waits on c, for a suspiciously long time,
// that was sent before the newest raft term was known. Its proposal went to a
// leader that is no more. (Younger ones may have been sent in the new term.)
func (c *conn) superseded(now time.Time) bool {
	start, _, ok := c.calls.oldest(costly)
	return ok && start < c.clock.termSince.Load() && time.Duration(c.clock.at(now)-start) >= c.member.suspicion()
}
