package report

import (
	"fmt"
	"slices"
	"time"
)

// What a client with failover is held to: no more than these beyond the floor,
// which is one election when the leader is lost, and nothing otherwise.
const (
	readAllowance        = 300 * time.Millisecond
	followerWriteAllowed = time.Second
	leaderWriteAllowance = 500 * time.Millisecond
	// writePatience is how long getcd leaves a write with a silent member: the
	// default of client.Config.WritePatience, or the most that it may be.
	writePatience = 2 * time.Second
	// patienceAllowance is how much longer such a write may take to return.
	patienceAllowance = 300 * time.Millisecond
	// aloneAllowed is for a watch, or a wait for a lock, that is a client's only
	// traffic: a second of silence by default until it asks, and half a one to find
	// another member.
	aloneAllowed = 1500 * time.Millisecond
)

// The kinds of calls with bounds of their own.
const (
	onlyWatch = "only-watch"
	onlyLock  = "only-lock"
	put       = "put"
	// ours and theirs are the clients that Compare compares.
	ours   = "getcd"
	theirs = "clientv3"
)

// Misses says in words which bounds the row of a series does not keep: reads do
// not fail, and have a gap of at most 0.3 s; writes fail at most as often as
// there were calls in flight, each marked ambiguous, and have a gap of at most
// 1 s, or getcd's patience and 0.3 s with a member that is silent. When the leader is the victim, gaps may last for 0.3 s (reads) and 0.5 s
// (writes) longer than until the new leader was there. Serializable reads need
// no leader, so no election excuses them. A watch is a read whose gaps are
// silence, and of a lease only its survival counts. What is wrong in itself is
// always a miss. Cells without a victim have no other bounds,
// and leases none at
// all there: nobody can keep a lease while the whole cluster is gone for longer
// than it lives. Clients that are not held to any bounds miss none.
func (c *Cell) Misses(s Series, r Row) []string {
	if !s.Held {
		return nil
	}
	if c.Victim == "" {
		if s.Kind == "lease" {
			return nil
		}
		return slices.Clone(r.Wrongs)
	}
	floor, elected := c.Elected()
	if c.Role != "leader" || s.Kind == "serializable" {
		floor, elected = 0, false
	}
	allowed := floor + readAllowance
	switch {
	case s.Write && elected:
		allowed = floor + leaderWriteAllowance
	case s.Write:
		allowed = followerWriteAllowed
	}
	switch {
	case s.Alone:
		allowed = floor + aloneAllowed
	case s.Write && c.Silent:
		allowed = max(allowed, writePatience+patienceAllowance)
	}

	misses := slices.Clone(r.Wrongs)
	if s.Kind == "lease" {
		return misses // its renewals are seconds apart
	}
	if gap := time.Duration(r.Gap); gap > allowed {
		misses = append(misses, fmt.Sprintf("a gap of %v, at most %v wanted", r.Gap, Seconds(allowed)))
	}
	switch {
	case !s.Write && r.Failed > 0:
		misses = append(misses, fmt.Sprintf("%d failed, none wanted", r.Failed))
	case s.Write && r.Failed > len(s.Workers):
		misses = append(misses, fmt.Sprintf("%d failed, at most the %d in flight wanted", r.Failed, len(s.Workers)))
	}
	if s.Write && r.Ambiguous != nil && *r.Ambiguous < r.Failed {
		misses = append(misses, fmt.Sprintf("%d of %d failures not marked ambiguous", r.Failed-*r.Ambiguous, r.Failed))
	}
	return misses
}

// Compare adds to the misses of getcd's puts that more of them failed than of
// clientv3's: giving up a write that its member would have answered is a failure of
// the client. Where connections died under the calls in flight it is not judged.
func (c *Cell) Compare() {
	mine, other := c.row(ours, put), c.row(theirs, put)
	if c.Breaks || mine == nil || other == nil || mine.Failed <= other.Failed {
		return
	}
	mine.Misses = append(mine.Misses, fmt.Sprintf("%d failed, of %s only %d", mine.Failed, theirs, other.Failed))
}
