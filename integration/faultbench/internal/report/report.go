package report

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// Report has the results of one run of the bench.
type Report struct {
	Setup Setup  `json:"setup"`
	Cells []Cell `json:"cells"`
}

// Setup has the conditions that the numbers depend on.
type Setup struct {
	// Command is the command line of the bench. It is empty if it was not run as
	// a program.
	Command string `json:"command,omitempty"`
	// Clientv3 is the version of etcd's own client. It is empty if it is unknown.
	Clientv3        string  `json:"clientv3,omitempty"`
	Etcd            string  `json:"etcd"`
	Go              string  `json:"go"`
	System          string  `json:"system"`
	CPUs            int     `json:"cpus"`
	Members         int     `json:"members"`
	Secure          bool    `json:"secure"`
	Seed            uint64  `json:"seed"`
	ElectionTimeout Seconds `json:"election_timeout_seconds"`
	FaultTime       Seconds `json:"fault_time_seconds"`
	Recovery        Seconds `json:"recovery_seconds"`
	Workers         int     `json:"workers"`
	Pace            Seconds `json:"pace_seconds"`
	Deadline        Seconds `json:"deadline_seconds"`
}

// Election is the moment when a member became the leader, as it reported itself.
type Election struct {
	At     Seconds `json:"at_seconds"`
	Leader string  `json:"leader"`
	Term   uint64  `json:"term"`
}

// Mishap is one of several random faults.
type Mishap struct {
	Fault string `json:"fault"`
	// Role and Member are the victim's. They are empty if the fault has none.
	Role   string `json:"role,omitempty"`
	Member string `json:"member,omitempty"`
	// At is when it began, and Until is when its repair began.
	At    Seconds `json:"at_seconds"`
	Until Seconds `json:"until_seconds"`
}

// Cell is one fault.
type Cell struct {
	Fault string `json:"fault"`
	// Kind is the only kind of call that was measured. It is empty if there were
	// several.
	Kind string `json:"kind,omitempty"`
	// Text describes the fault.
	Text string `json:"text"`
	// Role is the victim's role, "follower" or "leader". It is empty if the fault
	// has no single victim.
	Role   string `json:"role,omitempty"`
	Victim string `json:"victim,omitempty"`
	// Silent says that the member stopped answering while its connections stayed.
	// Breaks says that connections broke while calls were in progress.
	Silent bool `json:"silent,omitempty"`
	Breaks bool `json:"breaks,omitempty"`
	// Healed is when the repair began, and End is when the measurement ended.
	Healed Seconds `json:"healed_seconds"`
	End    Seconds `json:"end_seconds"`
	// Elections are the elections since the start of the fault.
	Elections []Election `json:"elections"`
	// Mishaps are the random faults.
	Mishaps   []Mishap  `json:"mishaps,omitempty"`
	Rows      []Row     `json:"rows"`
	Histories []History `json:"histories,omitempty"`
	// Costs are what the clients sent, if that was counted.
	Costs []Cost `json:"costs,omitempty"`
	// Series are the single calls, for the timeline.
	Series []Series `json:"-"`
}

// String names the fault and its victim.
func (m Mishap) String() string {
	if m.Member == "" {
		return m.Fault
	}
	return m.Fault + ", the " + m.Role + " (" + m.Member + ")"
}

// History is the result of checking what one client's workers wrote and read.
type History struct {
	Client string `json:"client"`
	Keys   int    `json:"keys"`
	Ops    int    `json:"operations"`
	// Unknown is the number of writes that may or may not have been applied.
	Unknown    int      `json:"unknown"`
	Violations []string `json:"violations,omitempty"`
	// Undecided names keys on which the checker ran out of time.
	Undecided []string `json:"undecided,omitempty"`
}

func (h History) verdict() string {
	switch {
	case len(h.Violations) > 0:
		return fmt.Sprintf("%d VIOLATIONS", len(h.Violations))
	case len(h.Undecided) > 0:
		return fmt.Sprintf("undecided for %d keys, no violation elsewhere", len(h.Undecided))
	default:
		return "linearizable"
	}
}

// Totals sums up the results for all histories.
type Totals struct{ Ops, Unknown, Violations int }

// Totals adds up the histories of all cells.
func (r *Report) Totals() Totals {
	var t Totals
	for i := range r.Cells {
		for _, h := range r.Cells[i].Histories {
			t.Ops += h.Ops
			t.Unknown += h.Unknown
			t.Violations += len(h.Violations)
		}
	}
	return t
}

// Name returns the cell's fault, role and kind in a form that is fit for a file
// name.
func (c *Cell) Name() string {
	name := c.Fault
	if c.Role != "" {
		name += "-" + c.Role
	}
	if c.Kind != "" {
		name += "-" + c.Kind
	}
	return name
}

// title returns the names of the fault and its victim.
func (c *Cell) title() string {
	title := c.Fault
	if c.Role != "" {
		title += ", the " + c.Role
	}
	if c.Victim != "" {
		title += " (" + c.Victim + ")"
	}
	return title
}

// Elected returns when the first new leader was elected because of the fault, and
// not because of the recovery. It returns false if there was none.
func (c *Cell) Elected() (time.Duration, bool) {
	if len(c.Elections) == 0 || c.Elections[0].At > c.Healed {
		return 0, false
	}
	return time.Duration(c.Elections[0].At), true
}

// WriteJSON writes the report as indented JSON.
func (r *Report) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(r); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}

// WriteText writes the report as a table for a terminal.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	s := r.Setup
	fmt.Fprintf(&b, "%s; %s, %s, %d CPUs\n", s.cluster(), s.Go, s.System, s.CPUs)
	if s.Seed != 0 {
		fmt.Fprintf(&b, "seed %d\n", s.Seed)
	}
	fmt.Fprintf(&b, "each client and kind: %s\n", s.load())
	for i := range r.Cells {
		b.WriteByte('\n')
		r.Cells[i].text(&b)
	}
	if t := r.Totals(); t.Ops > 0 {
		fmt.Fprintf(&b, "\nin all: %d operations checked, %d of unknown outcome: %d violations\n", t.Ops, t.Unknown, t.Violations)
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}

func (c *Cell) text(b *strings.Builder) {
	fmt.Fprintf(b, "%s: %s\n", c.title(), c.Text)
	for _, line := range c.events() {
		fmt.Fprintf(b, "  %s\n", line)
	}
	fmt.Fprintf(b, "  healed from %v on\n", c.Healed)

	c.table(b)
	for _, r := range c.Rows {
		for _, fact := range r.Facts {
			fmt.Fprintf(b, "  %s, %s: %s\n", r.Client, r.Kind, fact)
		}
		for _, miss := range r.Misses {
			fmt.Fprintf(b, "  missed: %s, %s: %s\n", r.Client, r.Kind, miss)
		}
	}
	for _, cost := range c.Costs {
		fmt.Fprintf(b, "  cost of %s: %s\n", cost.Client, cost)
	}
	for _, h := range c.Histories {
		fmt.Fprintf(b, "  history of %s: %d operations on %d keys, %d of unknown outcome: %s\n", h.Client, h.Ops, h.Keys, h.Unknown, h.verdict())
		for _, v := range h.Violations {
			fmt.Fprintf(b, "    %s\n", v)
		}
	}
}

// events lists the elections and the random faults in the order of time.
func (c *Cell) events() []string {
	type event struct {
		at   Seconds
		text string
	}
	var all []event
	for _, e := range c.Elections {
		all = append(all, event{e.At, fmt.Sprintf("new leader: %s at %v, term %d", e.Leader, e.At, e.Term)})
	}
	for _, m := range c.Mishaps {
		all = append(all, event{m.At, fmt.Sprintf("%s: at %v, for %v", m, m.At, m.Until-m.At)})
	}
	slices.SortStableFunc(all, func(a, b event) int { return cmp.Compare(a.at, b.at) })
	lines := make([]string, 0, len(all)+1)
	for _, e := range all {
		lines = append(lines, e.text)
	}
	if len(c.Elections) == 0 {
		lines = append(lines, "no election")
	}
	return lines
}

// table writes the rows: names on the left, numbers on the right.
func (c *Cell) table(b *strings.Builder) {
	names := len("client")
	for _, r := range c.Rows {
		names = max(names, len(r.Client))
	}
	// Writing to these never fails.
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	for i, r := range c.Rows {
		if i == 0 {
			_, _ = fmt.Fprintf(t, "%-*s  %-12s\tok\tfailed\tambiguous\tgap\tp99\tmax\t\n", names, "client", "call")
		}
		ambiguous := "–"
		if r.Ambiguous != nil {
			ambiguous = strconv.Itoa(*r.Ambiguous)
		}
		_, _ = fmt.Fprintf(t, "%-*s  %-12s\t%d\t%d\t%s\t%v\t%v\t%v\t\n", names, r.Client, r.Kind, r.OK, r.Failed, ambiguous, r.Gap, r.P99, r.Max)
	}
	_ = t.Flush()
}
