package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

const (
	// MostRatio is the maximum ratio of getcd's time to clientv3's.
	MostRatio = 1.2
	// Slack is the difference in seconds that is always allowed.
	Slack = 0.25
	// MostOnceRatio is the maximum ratio of the time of getcd with middleware to
	// that of getcd without.
	MostOnceRatio = 1.3
	// LongestSlack is how many seconds longer than clientv3's longest call
	// getcd's may take, if calls continue while a member hangs or the process has
	// little CPU. getcd stays with a silent member for a write's patience, which
	// is at most 2 s (client.Config.WritePatience), and then knows the outcome.
	// If a call takes longer, the cause is not something that clientv3 waits for,
	// too.
	LongestSlack = 2
	// MostSentRatio limits how many more puts than clientv3 getcd may send if
	// they are refused as too much. The budget for resending is 100 plus 10 per
	// second, which is a fifth for 1,000 calls in ten seconds.
	MostSentRatio = 1.5
	// MostSent is the limit per call.
	MostSent = 2
)

// Report has the results of one run.
type Report struct {
	Setup Setup `json:"setup"`
	Rows  []Row `json:"rows"`
}

// Setup has the conditions that the numbers depend on.
type Setup struct {
	Command  string `json:"command,omitempty"`
	Clientv3 string `json:"clientv3,omitempty"`
	Etcd     string `json:"etcd"`
	Go       string `json:"go"`
	System   string `json:"system"`
	CPUs     int    `json:"cpus"`
}

// Row is one case.
type Row struct {
	Case string `json:"case"`
	// Timed says that the time is judged.
	Timed bool `json:"timed"`
	// Lasting says that calls continue for a fixed time, so that the longest call
	// is judged.
	Lasting bool `json:"lasting,omitempty"`
	// Results has the results by client, in the order of the measurements.
	Results map[string][]Result `json:"results"`
	// Misses has the limits that getcd exceeds.
	Misses []string `json:"misses,omitempty"`
}

// sum adds up the calls of a client, with the median of its times.
func (r *Row) sum(client string) Result {
	var total Result
	var took []float64
	for _, one := range r.Results[client] {
		total.OK += one.OK
		total.Failed += one.Failed
		total.Ambiguous += one.Ambiguous
		total.Sent += one.Sent
		total.Longest = max(total.Longest, one.Longest)
		if one.Error != "" {
			total.Error = one.Error
		}
		took = append(took, one.Seconds)
	}
	slices.Sort(took)
	if n := len(took); n > 0 {
		total.Seconds = (took[(n-1)/2] + took[n/2]) / 2
	}
	return total
}

// ratio returns a client's time divided by another's, or 0 if there is nothing to
// compare.
func (r *Row) ratio(client, other string) float64 {
	ours, theirs := r.sum(client), r.sum(other)
	if !r.Timed || ours.Failed > 0 || theirs.Failed > 0 || theirs.Seconds == 0 {
		return 0
	}
	return ours.Seconds / theirs.Seconds
}

// slower reports a ratio that is above most, but for the slack.
func (r *Row) slower(client, other string, most float64) (float64, bool) {
	ratio := r.ratio(client, other)
	return ratio, ratio > most && r.sum(client).Seconds > most*r.sum(other).Seconds+Slack
}

func (r *Row) judge() {
	ours, theirs := r.sum(Getcd), r.sum(Clientv3)
	if ours.Failed > theirs.Failed {
		r.Misses = append(r.Misses, fmt.Sprintf("%d failed, clientv3 %d", ours.Failed, theirs.Failed))
	}
	if r.Lasting && ours.Longest > theirs.Longest+LongestSlack {
		r.Misses = append(r.Misses, fmt.Sprintf("the longest call took %.2f s, clientv3's %.2f s: at most %d s more wanted", ours.Longest, theirs.Longest, LongestSlack))
	}
	if most := min(MostSentRatio*float64(theirs.Sent), float64(MostSent*(ours.OK+ours.Failed))); float64(ours.Sent) > most {
		r.Misses = append(r.Misses, fmt.Sprintf("sent %d times, at most %.0f wanted", ours.Sent, most))
	}
	if ratio, slower := r.slower(Getcd, Clientv3, MostRatio); slower {
		r.Misses = append(r.Misses, fmt.Sprintf("%.2f times clientv3's time, at most %.1f wanted", ratio, MostRatio))
	}
	for _, name := range []string{Once, OnceBatch} {
		if failed := r.sum(name).Failed; failed > 0 {
			r.Misses = append(r.Misses, fmt.Sprintf("%s: %d failed, 0 wanted", name, failed))
		}
		if ratio, slower := r.slower(name, Getcd, MostOnceRatio); slower {
			r.Misses = append(r.Misses, fmt.Sprintf("%s: %.2f times getcd's time, at most %.1f wanted", name, ratio, MostOnceRatio))
		}
	}
}

// Misses returns the misses of all cases.
func (r *Report) Misses() []string {
	var all []string
	for _, row := range r.Rows {
		for _, miss := range row.Misses {
			all = append(all, row.Case+": "+miss)
		}
	}
	return all
}

var header = []string{"case", "getcd", "clientv3", "ratio", "once", "ratio", "once+batch", "ratio", "missed"}

func (r *Row) cells() []string {
	cells := []string{r.Case, r.sum(Getcd).text()}
	for _, pair := range [][2]string{{Getcd, Clientv3}, {Once, Getcd}, {OnceBatch, Getcd}} {
		shown := pair[0]
		if shown == Getcd {
			shown = Clientv3
		}
		if r.Results[shown] == nil {
			cells = append(cells, "–", "–")
			continue
		}
		ratio := "–"
		if n := r.ratio(pair[0], pair[1]); n > 0 {
			ratio = fmt.Sprintf("%.2f", n)
		}
		cells = append(cells, r.sum(shown).text(), ratio)
	}
	return append(cells, strings.Join(r.Misses, "; "))
}

func (r Result) text() string {
	text := fmt.Sprintf("%d ok", r.OK)
	if r.Failed > 0 {
		text = fmt.Sprintf("%d of %d failed", r.Failed, r.OK+r.Failed)
		if r.Ambiguous > 0 {
			text += fmt.Sprintf(" (%d ambiguous)", r.Ambiguous)
		}
	}
	if r.Sent > 0 {
		text += fmt.Sprintf(", sent %d times", r.Sent)
	}
	text += fmt.Sprintf(", %.2f s", r.Seconds)
	if r.OK+r.Failed > 1 {
		text += fmt.Sprintf(" (longest %.2f s)", r.Longest)
	}
	return text
}

func (s Setup) String() string {
	text := fmt.Sprintf("3 members of etcd %s, clientv3 %s; %s, %s, %d CPUs", s.Etcd, s.Clientv3, s.Go, s.System, s.CPUs)
	if s.Command != "" {
		text += "; `" + s.Command + "`"
	}
	return text
}

// WriteText writes a table for a terminal.
func (r *Report) WriteText(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintf(t, "%s\n\n%s\n", r.Setup, strings.Join(header, "\t"))
	for i := range r.Rows {
		_, _ = fmt.Fprintln(t, strings.Join(r.Rows[i].cells(), "\t"))
	}
	for i := range r.Rows {
		for _, name := range []string{Getcd, Clientv3, Once, OnceBatch} {
			if text := r.Rows[i].sum(name).Error; text != "" {
				_, _ = fmt.Fprintf(t, "\n%s, %s: %s", r.Rows[i].Case, name, text)
			}
		}
	}
	_, _ = fmt.Fprintln(t)
	return t.Flush() // returns the first error of all
}

// WriteMarkdown writes the table of docs/measurements/slow.md.
func (r *Report) WriteMarkdown(w io.Writer) error {
	var b strings.Builder
	b.WriteString(page)
	fmt.Fprintf(&b, "%s.\n\n| %s |\n%s\n", r.Setup, strings.Join(header, " | "), strings.Repeat("|---", len(header))+"|")
	for i := range r.Rows {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(r.Rows[i].cells(), " | "))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteJSON writes everything.
func (r *Report) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(r)
}

const page = `# Large values and slow links

` + "`go run ./integration/slowbench -markdown docs/measurements/slow.md -json docs/measurements/slow.json`" + ` writes
this page. getcd and etcd's own client take turns at making the same calls to a real cluster,
over a line with a limited bandwidth. All members share one line for each client, unless a
row says that each member has its own. The time runs from the start of the first call to the
end of the last one, and is the median of all runs; failures are added up. A deadline is a
minute plus twice the time that the line needs, so a call fails only if its client gives it
up.

` + "`once`" + ` is getcd with package [once](../../middleware/once/doc.go), by which each write happens
exactly once, and ` + "`once+batch`" + ` has package [batch](../../middleware/batch/doc.go) above it. Their
ratios are to getcd's time. Reads pass through both, so only puts are measured. Each client
makes one call before its time begins. A burst that is over within hundredths of a second shows
that ` + "`once`" + ` makes a slot for each of the writes under way when it first has so many.

"One stalls" means that the member that has transferred the most bytes, which was made a
follower, hangs (SIGSTOP) when half of the bytes have passed. The first ratio is getcd's time
divided by clientv3's. A ratio is given only if all calls of both succeeded. There is no ratio if
several calls run at once and either each member has its own line or one of several members
stalls: clientv3 spreads its calls over all members, so only some of them meet the stall,
while getcd uses one member at a time, so all of them do. "With little CPU" is a process with
GOMAXPROCS=1 and 100 busy goroutines. "Stubs refuse all" means that the members are stubs
that answer each put with "etcdserver: too many requests", and the deadline is 10 s; the
cell shows how often the puts were sent.

With ` + "`-check`" + ` the program exits with an error if getcd fails more calls than clientv3; if it takes
longer than 1.2 times clientv3's time plus 0.25 s; if, in the cases that go on for a set time,
its longest call takes more than 2 s longer than clientv3's; or if it sends refused calls more
than 1.5 times as often as clientv3 or more than twice per call; and if ` + "`once`" + ` or ` + "`once+batch`" + `
fails a call, or takes longer than 1.3 times getcd's time plus 0.25 s.

`
