package report

import (
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"
	"time"
)

// Page has the relative addresses of what a page of Markdown refers to.
type Page struct {
	// Pictures is the directory with the pictures of Cell.WriteSVG. Each file is
	// called after its cell, with ".svg". Empty means that there are none.
	Pictures string
	// JSON is the output of WriteJSON. Empty means that there is none.
	JSON string
}

// WriteMarkdown writes the report as a page: how it was run, a table of all
// faults for each kind of call, each fault with its numbers and its picture, and
// finally the output of WriteText.
func (r *Report) WriteMarkdown(w io.Writer, page Page) error {
	var b strings.Builder
	b.WriteString("# What faults do to etcd's clients\n\n")
	r.how(&b, page)
	for _, k := range r.kinds() {
		r.glance(&b, k)
	}
	fault := ""
	for i := range r.Cells {
		c := &r.Cells[i]
		if c.Fault != fault {
			fault = c.Fault
			fmt.Fprintf(&b, "## %s\n\n%s.\n\n", c.Fault, sentence(c.Text))
		}
		c.markdown(&b, page)
	}
	b.WriteString("## Raw output\n\n<details><summary>The tables as text, with all notes</summary>\n\n```text\n")
	if err := r.WriteText(&b); err != nil {
		return err
	}
	b.WriteString("```\n\n</details>\n")
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}

// how explains how the numbers were measured and what they mean.
func (r *Report) how(b *strings.Builder, page Page) {
	s := r.Setup
	if s.Command != "" {
		fmt.Fprintf(b, "`%s` repeats all of this.\n\n", s.Command)
	}
	fmt.Fprintf(b, "- Cluster: %s, each in its own process.\n", s.cluster())
	if s.Clientv3 != "" {
		fmt.Fprintf(b, "- Compared with: go.etcd.io/etcd/client/v3 %s.\n", s.Clientv3)
	}
	fmt.Fprintf(b, "- Machine: %s, %s, %d CPUs, shared by the members and all clients.\n", s.Go, s.System, s.CPUs)
	if s.Seed != 0 {
		fmt.Fprintf(b, "- Random seed: %d.\n", s.Seed)
	}
	fmt.Fprintf(b, "- Load: all clients run at once; for each kind of call, each has %s.\n", s.load())
	if t := r.Totals(); t.Ops > 0 {
		fmt.Fprintf(b, "- Histories: porcupine checked %d operations, %d of them of unknown outcome, for linearizability: **%d violations**.\n", t.Ops, t.Unknown, t.Violations)
	}
	if page.JSON != "" {
		fmt.Fprintf(b, "- All numbers: [JSON](%s).\n", page.JSON)
	}
	b.WriteString(`
The victim is the member that getcd uses when the fault begins. The tables count the calls
that ended after that moment. ` + "`gap`" + ` is the longest time that any one worker went without a
success; ` + "`p99` and `max`" + ` are the durations of calls, including failed ones. A failed call is
` + "`ambiguous`" + ` if its client says that it may have been applied; – means that the client does
not say. Elections are observed through connections that no fault affects, and timed from the
start of the fault.

The puts that getcd fails in a silent fault were in flight on the victim when it fell silent,
one for each worker. getcd waits 2 s for each (` + "`Config.WritePatience`" + `) before it reports that
the outcome is unknown. If a connection dies (kill, replace), every client fails the puts in
flight on it. clientv3 spreads its calls over all members, so it has fewer of them on the
victim. It also spreads its watches: where its gap is shorter than getcd's, its watches were
not on the victim.

` + "`getcd-once` has `middleware/once`" + `, which sends an ambiguous write again without applying it
twice, and ` + "`getcd-once-batch`" + ` has ` + "`middleware/batch`" + ` above that. ` + "`getcd-cached`" + ` has
` + "`middleware/cache`" + `, which answers reads from memory. ` + "`getcd-safe`" + ` declares its puts
repeatable, and its compare-and-swaps find out whether they were applied (` + "`concurrency/cas`" + `); since its puts
may be applied twice, its histories are not checked. No write may fail of those that write once,
nor of the safe one. ` + "`dropin`" + `
is a program of clientv3 with one import path changed.

`)
}

// cluster describes the members.
func (s Setup) cluster() string {
	secure := ""
	if s.Secure {
		secure = " with TLS and authentication"
	}
	return fmt.Sprintf("etcd %s, %d members%s, election timeout %v", s.Etcd, s.Members, secure, time.Duration(s.ElectionTimeout))
}

// load describes what the clients do.
func (s Setup) load() string {
	return fmt.Sprintf("%d workers, one call every %v, deadline %v; fault for %v, then %v of recovery",
		s.Workers, time.Duration(s.Pace), time.Duration(s.Deadline), time.Duration(s.FaultTime), time.Duration(s.Recovery))
}

// kinds returns the kinds of all rows, and clients returns their clients, in
// order of appearance.
func (r *Report) kinds() []string {
	return r.distinct(func(row Row) string { return row.Kind })
}

func (r *Report) clients() []string {
	return r.distinct(func(row Row) string { return row.Client })
}

func (r *Report) distinct(of func(Row) string) []string {
	var all []string
	seen := make(map[string]bool)
	for i := range r.Cells {
		for _, row := range r.Cells[i].Rows {
			if v := of(row); !seen[v] {
				seen[v] = true
				all = append(all, v)
			}
		}
	}
	return all
}

// glance writes the table of one kind over all faults.
func (r *Report) glance(b *strings.Builder, kind string) {
	clients := r.clients()
	fmt.Fprintf(b, "## At a glance: %s\n\nFailed calls, and the longest gap", kind)
	if kind == "watch" || kind == "lease" {
		b.WriteString(", and violations")
	}
	b.WriteString(".")
	if kind == "lease" {
		// No client can prevent it, and whether it happens depends on a race.
		b.WriteString(" A leader that was stopped for longer than a lease's remaining time may\n" +
			"revoke the lease when it continues, although its successor has renewed it (etcd 3.7.3). So\n" +
			"leases that are lost to sigstop of the leader are lost by the servers.")
	}
	switch kind {
	case onlyWatch:
		b.WriteString(" This client only watches one key. Another client writes the key half a second\n" +
			"after the fault begins, and then every 3 s. The gap is the longest delay of an event.")
	case onlyLock:
		b.WriteString(" This client only waits for a lock. Its holder frees the lock half a second\n" +
			"after the fault begins; the gap is how late the waiter gets it.")
	}
	b.WriteString("\n\n| fault | victim | new leader |")
	for _, c := range clients {
		fmt.Fprintf(b, " %s |", c)
	}
	b.WriteString("\n|---|---|---:|" + strings.Repeat("---:|", len(clients)) + "\n")
	for i := range r.Cells {
		c := &r.Cells[i]
		elected := "–"
		if at, ok := c.Elected(); ok {
			elected = short(Seconds(at))
		}
		var line strings.Builder
		has := false
		for _, name := range clients {
			row := c.row(name, kind)
			has = has || row != nil
			fmt.Fprintf(&line, " %s|", row.glance())
		}
		if has {
			fmt.Fprintf(b, "| [%s](#%s) | %s | %s |%s\n", c.Fault, c.Fault, orDash(c.Role), elected, line.String())
		}
	}
	b.WriteString("\n")
	if r.missed(kind) {
		b.WriteString("† exceeds a bound that getcd must meet; the fault's section says which one.\n\n")
	}
}

// glance returns the row's entry in a table of all faults, or nothing for nil.
func (r *Row) glance() string {
	if r == nil {
		return ""
	}
	numbers := fmt.Sprintf("%d / %s", r.Failed, short(r.Gap))
	text := strings.Join(append([]string{numbers}, r.Wrongs...), "; ")
	if len(r.Misses) > 0 {
		text += " †"
	}
	return text + " "
}

func (r *Report) missed(kind string) bool {
	for i := range r.Cells {
		for _, row := range r.Cells[i].Rows {
			if row.Kind == kind && len(row.Misses) > 0 {
				return true
			}
		}
	}
	return false
}

func (c *Cell) row(client, kind string) *Row {
	for i := range c.Rows {
		if c.Rows[i].Client == client && c.Rows[i].Kind == kind {
			return &c.Rows[i]
		}
	}
	return nil
}

// markdown writes the section of one cell.
func (c *Cell) markdown(b *strings.Builder, page Page) {
	heading := c.Fault
	if c.Role != "" {
		heading += ", the " + c.Role
	}
	if c.Kind != "" {
		heading += ", " + c.Kind
	}
	if heading != c.Fault {
		fmt.Fprintf(b, "### %s\n\n", heading)
	}
	if c.Victim != "" {
		fmt.Fprintf(b, "Victim: %s. ", c.Victim)
	}
	fmt.Fprintf(b, "The fault ended at %s; measured until %s.\n\n", short(c.Healed), short(c.End))
	for _, line := range c.events() {
		fmt.Fprintf(b, "- %s\n", line)
	}
	b.WriteString("\n")
	if page.Pictures != "" && len(c.Series) > 0 {
		fmt.Fprintf(b, "![Timeline: %s](%s)\n\n", heading, path.Join(page.Pictures, c.Name()+".svg"))
	}
	b.WriteString("| call | client | ok | failed | ambiguous | gap | p99 | max |\n|---|---|---:|---:|---:|---:|---:|---:|\n")
	var kinds []string
	seen := make(map[string]bool)
	for _, r := range c.Rows {
		if !seen[r.Kind] {
			seen[r.Kind] = true
			kinds = append(kinds, r.Kind)
		}
	}
	for _, kind := range kinds {
		for _, r := range c.Rows {
			if r.Kind != kind {
				continue
			}
			ambiguous := "–"
			if r.Ambiguous != nil {
				ambiguous = strconv.Itoa(*r.Ambiguous)
			}
			fmt.Fprintf(b, "| %s | %s | %d | %d | %s | %v | %v | %v |\n", r.Kind, r.Client, r.OK, r.Failed, ambiguous, r.Gap, r.P99, r.Max)
		}
	}
	b.WriteString("\n")
	n := b.Len()
	for _, r := range c.Rows {
		for _, fact := range r.Facts {
			fmt.Fprintf(b, "- %s, %s: %s\n", r.Client, r.Kind, fact)
		}
		for _, miss := range r.Misses {
			fmt.Fprintf(b, "- **missed**: %s, %s: %s\n", r.Client, r.Kind, miss)
		}
	}
	for _, cost := range c.Costs {
		fmt.Fprintf(b, "- cost of %s: %s\n", cost.Client, cost)
	}
	for _, h := range c.Histories {
		fmt.Fprintf(b, "- history of %s: %d operations on %d keys, %d of unknown outcome: %s\n", h.Client, h.Ops, h.Keys, h.Unknown, h.verdict())
	}
	if b.Len() > n {
		b.WriteString("\n")
	}
}

// short formats the seconds with two digits, for wide tables.
func short(s Seconds) string { return fmt.Sprintf("%.2f s", time.Duration(s).Seconds()) }

func orDash(s string) string {
	if s == "" {
		return "–"
	}
	return s
}

// sentence capitalizes the text if it begins with a word.
func sentence(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
