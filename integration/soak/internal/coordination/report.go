package coordination

import (
	"fmt"
	"strings"
	"time"
)

// Report is what Run has found.
type Report struct {
	// Lasted is for how long Run worked, without the settling.
	Lasted time.Duration
	// Locks are those of the mutexes and lockers, which all contend for the same;
	// RWLocks those of readers and writers, Elections those of candidates.
	Locks, RWLocks, Elections Holds
	// Proclaimed are the proclamations that have succeeded, Observed those that an
	// observer has seen.
	Proclaimed, Observed int
	// Queue and PriorityQueue are the figures of the two.
	Queue, PriorityQueue Items
	// Counters are those of software transactions.
	Counters Commits
	// DoubleBarriers and Barriers are the rounds in which all have gone through, and
	// BarriersBroken those in which somebody has given up or lost its session.
	DoubleBarriers, Barriers, BarriersBroken int
	// Revoked are the leases that were revoked behind their owners' backs.
	Revoked int
	// Compacted is how often history was compacted here.
	Compacted int
	// LeasesLeft are those that were there when everybody had ended; they are to end
	// by themselves. LeasesGone is how long that took.
	LeasesLeft int
	LeasesGone time.Duration
	// Violations say what is wrong; empty means nothing.
	Violations []string
}

// Holds are the figures of something that one holds at a time.
type Holds struct {
	// Acquired were got; GivenUp ended with their context before that, and Failed
	// with another error.
	Acquired, GivenUp, Failed int
	// Writes were accepted; of Ambiguous ones it was not learned; Refused were those
	// of who had lost it.
	Writes, Ambiguous, Refused int
	// Lost were lost while held; Stale are the unlocks by those who had lost it and
	// were succeeded, and Superseded the late returns of who was succeeded already.
	Lost, Stale, Superseded int
	// Overlaps are moments in which two believed, by their clocks, to hold it.
	Overlaps int
	// LeftBehind are waiters with a session who gave up in an outage, and whose keys
	// went when it was over.
	LeftBehind int
	// Told is the longest that a holder took to be told of a revoked lease.
	Told time.Duration
	// Beyond is the longest that one who gave up took to return.
	Beyond time.Duration
	// Gap is the longest time from one acquisition to the next.
	Gap time.Duration
}

// Items are the figures of a queue.
type Items struct {
	// Enqueued are those whose Enqueue succeeded, Doubtful those of which it was not
	// learned, and Refused those that it told were not enqueued.
	Enqueued, Doubtful, Refused int
	// Dequeued are those that came out; DoubtfulOut of them were doubtful.
	Dequeued, DoubtfulOut int
	// Unsettled are the Dequeues that could not tell whether they have taken an item,
	// and Unknown those that never could, since the history was compacted.
	Unsettled, Unknown int
	// GivenUp are the Dequeues that ended with their context, empty-handed.
	GivenUp int
}

// Commits are the figures of software transactions.
type Commits struct {
	// Committed, Ambiguous and Failed are the transactions; Counted is the sum of the
	// counters at the end.
	Committed, Ambiguous, Failed, Counted int
}

// String is the report in a few lines.
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
	fmt.Fprintf(&b, "%-10s double %d, single %d, broken %d\n", "barriers", r.DoubleBarriers, r.Barriers, r.BarriersBroken)
	fmt.Fprintf(&b, "violations %d", len(r.Violations))
	for _, v := range r.Violations {
		fmt.Fprintf(&b, "\n  %s", v)
	}
	return b.String()
}
