package coordination

import (
	"fmt"
	"strings"
	"time"
)

// Report has the findings of Run.
type Report struct {
	// Lasted is how long Run worked, without the settling.
	Lasted time.Duration
	// Locks are the figures of the mutexes and lockers, which all contend for the
	// same lock. RWLocks are those of readers and writers, and Elections those of
	// candidates.
	Locks, RWLocks, Elections Holds
	// Proclaimed is the number of successful proclamations, and Observed the
	// number of those that an observer has seen.
	Proclaimed, Observed int
	// Queue and PriorityQueue are the figures of the two queues.
	Queue, PriorityQueue Items
	// Counters are the figures of software transactions.
	Counters Commits
	// Marked are the figures of transactions with a marker.
	Marked Settled
	// DoubleBarriers and Barriers are the numbers of rounds that everybody has
	// passed. BarriersBroken is the number of rounds in which somebody gave up or
	// lost its session.
	DoubleBarriers, Barriers, BarriersBroken int
	// Revoked is the number of leases that were revoked behind their owners'
	// backs.
	Revoked int
	// Compacted is how many times Run has compacted the history.
	Compacted int
	// LeasesLeft is the number of leases that were left when all workers had
	// ended. They must expire by themselves. LeasesGone is how long that took.
	LeasesLeft int
	LeasesGone time.Duration
	// Violations are descriptions of what is wrong. Empty means none.
	Violations []string
}

// Holds are the figures of a lock or an election.
type Holds struct {
	// Acquired, GivenUp and Failed are the numbers of attempts that succeeded,
	// that ended with their context, and that ended with another error.
	Acquired, GivenUp, Failed int
	// Writes is the number of accepted writes, Ambiguous the number of writes
	// with an unknown outcome, and Refused the number of writes of former
	// holders.
	Writes, Ambiguous, Refused int
	// Lost is the number of locks lost while held. Stale is the number of unlocks
	// by former holders that already had a successor. Superseded is the number of
	// acquisitions that returned late, when there was already a successor.
	Lost, Stale, Superseded int
	// Overlaps is the number of moments in which two holders believed, by their
	// clocks, to hold the lock.
	Overlaps int
	// LeftBehind is the number of waiters with a session that gave up in an
	// outage and whose keys disappeared when it was over.
	LeftBehind int
	// Told is the longest time until a holder was notified of a revoked lease.
	Told time.Duration
	// Beyond is the longest time that a waiter took to return after it gave up.
	Beyond time.Duration
	// Gap is the longest time from one acquisition to the next.
	Gap time.Duration
}

// Items are the figures of a queue.
type Items struct {
	// Enqueued, Doubtful and Refused are the numbers of items whose Enqueue
	// succeeded, whose outcome was unknown, and that were certainly not enqueued.
	Enqueued, Doubtful, Refused int
	// Dequeued is the number of items that were dequeued, and DoubtfulOut the
	// number of doubtful ones among them.
	Dequeued, DoubtfulOut int
	// Unsettled is the number of Dequeues that could not tell whether they had
	// taken an item. Unknown is the number of those that could never tell, since
	// the history was compacted.
	Unsettled, Unknown int
	// GivenUp is the number of Dequeues that ended with their context and without
	// an item.
	GivenUp int
}

// Commits are the figures of software transactions.
type Commits struct {
	// Committed, Ambiguous and Failed are numbers of transactions. Counted is the
	// sum of the counters at the end.
	Committed, Ambiguous, Failed, Counted int
}

// Settled are the figures of transactions with a marker.
type Settled struct {
	// Committed is the number of transactions that were answered. Applied and Refused
	// are the numbers of those of an unknown fate that were found to be applied, and
	// not to be. Failed is the number of those that certainly were not.
	Committed, Applied, Refused, Failed int
}

// String returns the report in a few lines.
func (r Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "lasted %v; %d leases revoked from outside; history compacted %d times; %d leases left at the end, gone after %v\n",
		r.Lasted.Round(time.Second), r.Revoked, r.Compacted, r.LeasesLeft, r.LeasesGone.Round(time.Millisecond))
	for _, h := range []struct {
		name string
		Holds
	}{{"locks", r.Locks}, {"rwlocks", r.RWLocks}, {"elections", r.Elections}} {
		fmt.Fprintf(&b, "%-10s acquired %d, given up %d, failed %d; writes %d, ambiguous %d, refused %d; lost %d, stale unlocks %d, superseded %d, overlaps by the clock %d, left behind %d; longest: told after %v, returned after %v, gap %v\n",
			h.name, h.Acquired, h.GivenUp, h.Failed, h.Writes, h.Ambiguous, h.Refused, h.Lost, h.Stale, h.Superseded, h.Overlaps, h.LeftBehind,
			h.Told.Round(time.Millisecond), h.Beyond.Round(time.Millisecond), h.Gap.Round(time.Millisecond))
	}
	fmt.Fprintf(&b, "%-10s proclaimed %d, observed %d\n", "observers", r.Proclaimed, r.Observed)
	for _, q := range []struct {
		name string
		Items
	}{{"queue", r.Queue}, {"priority", r.PriorityQueue}} {
		fmt.Fprintf(&b, "%-10s enqueued %d, doubtful %d, refused %d; dequeued %d, of them doubtful %d; unsettled %d, of them for ever %d; given up %d\n",
			q.name, q.Enqueued, q.Doubtful, q.Refused, q.Dequeued, q.DoubtfulOut, q.Unsettled, q.Unknown, q.GivenUp)
	}
	fmt.Fprintf(&b, "%-10s committed %d, ambiguous %d, failed %d; counted %d\n", "counters",
		r.Counters.Committed, r.Counters.Ambiguous, r.Counters.Failed, r.Counters.Counted)
	fmt.Fprintf(&b, "%-10s committed %d, settled: applied %d, refused %d; failed %d\n", "markers",
		r.Marked.Committed, r.Marked.Applied, r.Marked.Refused, r.Marked.Failed)
	fmt.Fprintf(&b, "%-10s double %d, single %d, broken %d\n", "barriers", r.DoubleBarriers, r.Barriers, r.BarriersBroken)
	fmt.Fprintf(&b, "violations %d", len(r.Violations))
	for _, v := range r.Violations {
		fmt.Fprintf(&b, "\n  %s", v)
	}
	return b.String()
}
