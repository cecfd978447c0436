package policy

import (
	"errors"
	"time"
)

// A member can fall silent while its connections stay up: its process is stopped, the
// network drops everything, its disk hangs, or it has lost its peers and has not noticed
// yet. HTTP/2's pings detect the first two after many seconds, and the others never. So
// the policy checks on a member when a request waits for too long, or when a stream falls
// out of its rhythm.
//
// When the oldest request on a connection has waited for longer than the suspicion time,
// the policy probes the member: it asks two questions on that connection, and the same two
// of another member.
//
//	Does it serve?   a linearizable read, which needs the leader and a quorum
//	Is it there?     grpc.health.v1 Check, which etcd answers from memory
//
// A member that serves the read at once is asked nothing else (probe.go).
//
// Slow is not dead: the time in which bytes move on the connection does not count, since
// the questions may be queued behind a large message (rawconn.go).
//
// The policy acts on the answers twice. After its lag, a member is doubted if it is
// silent while the other one speaks, or can't serve while the other one can. New requests
// and the streams then go elsewhere; the requests that wait on it may still be answered.
// When all the time for the answers has passed, the probe ends with one of the outcomes of
// probe.go:
//
//   - silent: the member answers neither question while the other one answers. Its
//     connection is left for good. When both are silent, this process or the whole network
//     may be slow, so it takes a longer silence.
//   - cantServe: it is there, but can't serve while the other one can. It is demoted.
//   - full: the server allows no more streams on the connection, so the member could not be
//     asked. It is demoted, and calls that may wait long, such as locks, keep their streams.
//     gRPC's pings tell whether the connection still lives.
//   - nobodyServes: an election is going on, or there is no quorum; see gate.go.
//   - serves: its slow requests are left alone, except for a write that it has lost.
//
// After the first three outcomes there is a verdict on the connection: the calls on it are
// not expected to be answered. Those that can be sent again are given up at once. When to
// give up the others, writes above all, is decided in leave.go.
const (
	minSuspicion     = 100 * time.Millisecond
	maxSuspicion     = time.Second
	defaultSuspicion = 500 * time.Millisecond // while no latency is known
	suspicionFactor  = 8                      // times the usual latency
	// again is after how long a member is probed again if its requests still wait.
	again = 250 * time.Millisecond
	// minLag is the least lag of a member. It is lagFactor times the usual latency of a member that
	// is far away, or overrun together with all others.
	minLag    = 50 * time.Millisecond
	lagFactor = 2
	// minPatience is the least time that a member has to answer both questions.
	minPatience = 400 * time.Millisecond
	// maxSilence is how long a member must be silent to be left when the other one is
	// silent too, or when there is no other.
	maxSilence = 2 * time.Second
	// muteTime is for how long two members that are silent together are passed over.
	muteTime = time.Second
	// maxQueueing is the most that waiting requests add to the time for the answers.
	maxQueueing = time.Second
)

// ErrSilent is why a call was given up (attempt.Attempt.GivenUp), or an endpoint left: its
// member answered nothing while another one did.
var ErrSilent = errors.New("the member stopped answering: requests and probes stay unanswered")

// ErrLostWrite is why a write was given up that an election, or its member, has lost. It says nothing
// against the member.
var ErrLostWrite = errors.New("an election, or the member, has lost the write")

var errFull = errors.New("the connection has as many streams as the server allows, and none ends")

var errCantRead = errors.New("stalled: it answers no linearizable read while another member does")

// suspicion returns how long a request on m may wait before m is probed.
func (m *member) suspicion() time.Duration {
	usual := time.Duration(m.latency.Load())
	if usual == 0 {
		return defaultSuspicion
	}
	return min(max(suspicionFactor*usual, minSuspicion), maxSuspicion)
}

// lag is how much later than another member m may answer without being doubted.
func (m *member) lag() time.Duration {
	return min(max(minLag, lagFactor*time.Duration(m.latency.Load())), maxSuspicion)
}

// rest keeps c from being probed for twice as long as a probe took that was begun at start and
// accused nobody. When a whole cluster is overrun, by all its clients who come back for instance,
// everything waits for too long, and probes that follow each other would make it worse. A new
// raft term ends the rest.
func (c *conn) rest(start time.Time) {
	now := time.Now()
	c.rested = now.Add(2 * now.Sub(start))
}

// askable reports whether a probe of c could tell anything new.
func (c *conn) askable(now time.Time) bool {
	return !c.dead && !c.silent() && (c.verdict == nil || !c.member.demotion.lasts(now))
}

// suspectIn returns the time from now until something on c will have waited for too
// long. ok is false when nothing waits.
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

// superseded reports whether a write has waited on c for longer than the suspicion time
// and was sent before the newest raft term was known. Its proposal went to a former
// leader. (A later write may have been sent in the new term.)
func (c *conn) superseded(now time.Time) bool {
	for _, k := range losable {
		start, _, ok := c.calls.oldest(k)
		if ok && start < c.clock.termSince.Load() && time.Duration(c.clock.at(now)-start) >= c.member.suspicion() {
			return true
		}
	}
	return false
}
