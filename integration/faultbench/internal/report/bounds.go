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
)

// Misses says in words which bounds the row of a series does not keep: reads do
// not fail, and have a gap of at most 0.3 s; writes fail at most as often as
// there were calls in flight, each marked ambiguous, and have a gap of at most
// 1 s. When the leader is the victim, gaps may last for 0.3 s (reads) and 0.5 s
// (writes) longer than until the new leader was there. Serializable reads need
// no leader, so no election excuses them. A watch is a read whose gaps are
// silence, and of a lease only its survival counts. What is wrong in itself is
// always a miss. Cells without a victim have no other bounds, and leases none at
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
