package report

import (
	"fmt"
	"slices"
	"time"
)

// The bounds for a client with failover. They apply beyond the unavoidable time:
// one election if the leader is lost, and otherwise none.
const (
	readAllowance        = 300 * time.Millisecond
	followerWriteAllowed = time.Second
	leaderWriteAllowance = 500 * time.Millisecond
	// writePatience is how long getcd stays with a silent member for a write: the
	// default of client.Config.WritePatience.
	writePatience = 2 * time.Second
	// patienceAllowance is how much longer such a write may take to return.
	patienceAllowance = 300 * time.Millisecond
	// aloneAllowed is for a watch, or a wait for a lock, that is a client's only
	// traffic. By default a client asks after one second of silence; finding
	// another member may take half a second.
	aloneAllowed = 1500 * time.Millisecond
)

// The kinds of calls with separate bounds.
const (
	onlyWatch = "only-watch"
	onlyLock  = "only-lock"
	put       = "put"
	// ours and theirs are the clients that Compare compares.
	ours   = "getcd"
	theirs = "clientv3"
)

// Misses returns a text for each bound that the row of a series exceeds. Reads
// must not fail, and their gap is at most 0.3 s. Writes may fail at most as often
// as there were calls in progress, each marked ambiguous. Their gap is at most 1
// s or, if a member is silent, getcd's patience plus 0.3 s. If the leader is the
// victim, gaps may last 0.3 s (reads) and 0.5 s (writes) beyond the election of
// the new leader. Serializable reads need no leader, so an election does not
// excuse them. The writes of a sure client must not fail, and those of a prompt one are held
// to what reads are. A watch counts as a read whose gaps are times without events. For
// a lease only its survival counts. A wrong result is always a miss. Cells
// without a victim have no other bounds. For leases they have none at all: nobody
// can keep a lease alive while the whole cluster is gone for longer than the
// lease lives. Clients that are not held to bounds have no misses.
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
	case s.Write && s.Prompt: // as a read
	case s.Write && elected:
		allowed = floor + leaderWriteAllowance
	case s.Write:
		allowed = followerWriteAllowed
	}
	switch {
	case s.Alone:
		allowed = floor + aloneAllowed
	case s.Write && c.Silent && !s.Prompt:
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
	case (!s.Write || s.Sure) && r.Failed > 0:
		misses = append(misses, fmt.Sprintf("%d failed, none wanted", r.Failed))
	case s.Write && r.Failed > len(s.Workers):
		misses = append(misses, fmt.Sprintf("%d failed, at most the %d in flight wanted", r.Failed, len(s.Workers)))
	}
	if s.Write && r.Ambiguous != nil && *r.Ambiguous < r.Failed {
		misses = append(misses, fmt.Sprintf("%d of %d failures not marked ambiguous", r.Failed-*r.Ambiguous, r.Failed))
	}
	return misses
}

// Compare adds a miss if more of getcd's puts failed than of clientv3's: giving
// up a write that its member would have answered is the client's fault. It does
// not judge faults that break connections while calls are in progress.
func (c *Cell) Compare() {
	mine, other := c.row(ours, put), c.row(theirs, put)
	if c.Breaks || mine == nil || other == nil || mine.Failed <= other.Failed {
		return
	}
	mine.Misses = append(mine.Misses, fmt.Sprintf("%d failed, of %s only %d", mine.Failed, theirs, other.Failed))
}
