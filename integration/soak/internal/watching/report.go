package watching

import (
	"fmt"
	"strings"
	"time"
)

// Report has the results of a run.
type Report struct {
	// Revisions is the number of revisions written, and Changes the number of
	// their changes of keys.
	Revisions, Changes int64
	// Acknowledged, Ambiguous and Refused are numbers of writes by their results.
	// Applied is the number of ambiguous writes that were applied.
	Acknowledged, Ambiguous, Applied, Refused int
	// Leases is the number of granted leases, and Expired the number of those
	// that were not revoked.
	Leases, Expired int
	Compactions     int

	// Watches is the number of concurrent watches, and Sessions is how many times
	// they were opened. Events and Progress are the numbers of events and
	// progress notifications delivered, and Resyncs is how many times watches
	// reported a compaction.
	Watches          int
	Sessions         int
	Events, Progress int64
	Resyncs          int
	// Arrival is how long after the last revision the last watch had seen it.
	Arrival time.Duration
	Stuck   []Stuck
	// Violations are descriptions of what is wrong.
	Violations []string
}

func (r *run) sum(report *Report) {
	f := settle(r.h, r.writers, r.complain)
	report.Acknowledged, report.Ambiguous, report.Applied, report.Refused = f.acknowledged, f.ambiguous, f.applied, f.refused
	report.Revisions, report.Changes = r.h.head()-r.h.base, int64(len(r.h.changes))
	for _, w := range r.writers {
		report.Leases += w.leases
		report.Expired += w.expired
	}
	for _, w := range r.watchers {
		report.Sessions += w.sessions
		report.Resyncs += int(w.told.Load())
		report.Events += w.cur.events
		report.Progress += w.cur.progresses
	}
	report.Violations = r.violations
}

// String returns the report in several lines.
func (r *Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "watch: %d revisions with %d changes; %d writes acknowledged, %d in doubt (%d of them applied), %d refused; %d leases, %d left to expire; %d compactions\n",
		r.Revisions, r.Changes, r.Acknowledged, r.Ambiguous, r.Applied, r.Refused, r.Leases, r.Expired, r.Compactions)
	fmt.Fprintf(&b, "watch: %d watches, opened %d times: %d events and %d progress notifications, %d resyncs after compaction; all at the last revision %v after it\n",
		r.Watches, r.Sessions, r.Events, r.Progress, r.Resyncs, r.Arrival.Round(time.Millisecond))
	for _, s := range r.Stuck {
		fmt.Fprintf(&b, "watch: %v\n", s)
	}
	fmt.Fprintf(&b, "watch: %d violations\n", len(r.Violations))
	for _, v := range r.Violations[:min(20, len(r.Violations))] {
		fmt.Fprintf(&b, "watch: VIOLATION: %s\n", v)
	}
	return b.String()
}

// String returns the measurement in one line.
func (s Stuck) String() string {
	return fmt.Sprintf("%s for %v: %s written, %s received; heap %s before, %s after, of it held for watches %s and %s; then %d resyncs, %s received in %v",
		s.Name, s.For.Round(time.Second), mib(s.Passed), mib(s.Received), mib(s.Before.InUse), mib(s.After.InUse), mib(s.Before.Watch), mib(s.After.Watch),
		s.Resyncs, mib(s.Fetched), s.Drained.Round(time.Millisecond))
}
