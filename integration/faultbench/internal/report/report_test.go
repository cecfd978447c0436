package report_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/getcd/getcd/integration/faultbench/internal/report"
)

// calls makes the samples of a worker. Each has an end and a duration in
// milliseconds.
func calls(samples ...[3]int) []report.Sample {
	var all []report.Sample
	for _, s := range samples {
		end := time.Duration(s[0]) * time.Millisecond
		all = append(all, report.Sample{Start: end - time.Duration(s[1])*time.Millisecond, End: end, Outcome: report.Outcome(s[2])})
	}
	return all
}

const (
	ok        = int(report.OK)
	failed    = int(report.Failed)
	ambiguous = int(report.Ambiguous)
)

func TestSummarize(t *testing.T) {
	type numbers struct {
		ok, failed, ambiguous int // -1 if not known
		gap, p99, max         int // ms
	}
	for name, test := range map[string]struct {
		series report.Series
		want   numbers
	}{
		"nothing": {
			series: report.Series{Workers: [][]report.Sample{nil}},
			want:   numbers{ambiguous: -1, gap: 1000},
		},
		"what ended before the fault does not count": {
			series: report.Series{Workers: [][]report.Sample{calls([3]int{-500, 400, failed}, [3]int{-10, 5, ok}, [3]int{990, 5, ok})}},
			want:   numbers{ok: 1, ambiguous: -1, gap: 1000, p99: 5, max: 5},
		},
		"in flight at the fault": {
			series: report.Series{Write: true, Marks: true, Workers: [][]report.Sample{calls([3]int{-10, 5, ok}, [3]int{300, 305, ambiguous}, [3]int{310, 5, ok}, [3]int{700, 5, failed}, [3]int{900, 100, ok})}},
			want:   numbers{ok: 2, failed: 2, ambiguous: 1, gap: 590, p99: 305, max: 305},
		},
		"the gap is one worker's": {
			series: report.Series{Write: true, Workers: [][]report.Sample{
				calls([3]int{400, 5, ok}, [3]int{800, 5, ok}),
				calls([3]int{200, 5, ok}, [3]int{600, 5, ok}),
			}},
			want: numbers{ok: 4, ambiguous: -1, gap: 400, p99: 5, max: 5},
		},
		"the last call takes longer than the measurement": {
			series: report.Series{Workers: [][]report.Sample{calls([3]int{500, 5, ok}, [3]int{5500, 5000, failed})}},
			want:   numbers{ok: 1, failed: 1, ambiguous: -1, gap: 5000, p99: 5000, max: 5000},
		},
	} {
		t.Run(name, func(t *testing.T) {
			row := report.Summarize(test.series, time.Second)
			ms := func(s report.Seconds) int { return int(time.Duration(s).Milliseconds()) }
			got := numbers{ok: row.OK, failed: row.Failed, ambiguous: -1, gap: ms(row.Gap), p99: ms(row.P99), max: ms(row.Max)}
			if row.Ambiguous != nil {
				got.ambiguous = *row.Ambiguous
			}
			if got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestP99IsTheNearestRank(t *testing.T) {
	var samples [][3]int
	for i := 1; i <= 200; i++ {
		samples = append(samples, [3]int{1000 * i, i, ok})
	}
	row := report.Summarize(report.Series{Workers: [][]report.Sample{calls(samples...)}}, 0)
	if got, want := time.Duration(row.P99), 198*time.Millisecond; got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestMisses(t *testing.T) {
	elected := []report.Election{{At: report.Seconds(1200 * time.Millisecond), Leader: "m2", Term: 3}}
	leader := report.Cell{Role: "leader", Victim: "m1", Elections: elected, Healed: report.Seconds(15 * time.Second)}
	follower := report.Cell{Role: "follower", Victim: "m1"}
	late := leader // the repair has caused the election
	late.Healed = report.Seconds(time.Second)
	put := report.Series{Kind: "put", Write: true, Marks: true, Held: true, Workers: make([][]report.Sample, 4)}
	get := report.Series{Kind: "get", Held: true, Workers: make([][]report.Sample, 4)}
	serializable := get
	serializable.Kind = "serializable"
	watch, lease := get, get
	watch.Kind, lease.Kind = "watch", "lease"
	rival := put
	rival.Held = false
	sure := put
	sure.Sure = true
	prompt := sure
	prompt.Prompt = true
	silent := follower
	silent.Silent = true
	alone := watch
	alone.Alone = true
	gap := func(ms int) report.Row { return report.Row{Gap: report.Seconds(time.Duration(ms) * time.Millisecond)} }
	fails := func(n, marked int) report.Row { return report.Row{Failed: n, Ambiguous: &marked} }

	for name, test := range map[string]struct {
		cell   report.Cell
		series report.Series
		row    report.Row
		want   []string
	}{
		"a follower's write":               {follower, put, gap(1000), nil},
		"a follower's slow write":          {follower, put, gap(1001), []string{"a gap of 1.001 s, at most 1.000 s wanted"}},
		"a follower's read":                {follower, get, gap(300), nil},
		"a follower's slow read":           {follower, get, gap(301), []string{"a gap of 0.301 s, at most 0.300 s wanted"}},
		"a leader's write":                 {leader, put, gap(1700), nil},
		"a leader's slow write":            {leader, put, gap(1701), []string{"a gap of 1.701 s, at most 1.700 s wanted"}},
		"a leader's read":                  {leader, get, gap(1500), nil},
		"a leader's slow read":             {leader, get, gap(1501), []string{"a gap of 1.501 s, at most 1.500 s wanted"}},
		"no election for serializable":     {leader, serializable, gap(301), []string{"a gap of 0.301 s, at most 0.300 s wanted"}},
		"an election after the repair":     {late, put, gap(1001), []string{"a gap of 1.001 s, at most 1.000 s wanted"}},
		"a read that failed":               {leader, get, report.Row{Failed: 1}, []string{"1 failed, none wanted"}},
		"the writes in flight":             {leader, put, fails(4, 4), nil},
		"a write not marked":               {leader, put, fails(4, 3), []string{"1 of 4 failures not marked ambiguous"}},
		"more writes than in flight":       {leader, put, fails(5, 5), []string{"5 failed, at most the 4 in flight wanted"}},
		"a watch's silence":                {follower, watch, gap(301), []string{"a gap of 0.301 s, at most 0.300 s wanted"}},
		"a watch that lost events":         {follower, watch, report.Row{Wrongs: []string{"events lost"}}, []string{"events lost"}},
		"a lease that survived":            {follower, lease, gap(1700), nil},
		"a lease that did not":             {follower, lease, report.Row{Wrongs: []string{"4 leases lost"}}, []string{"4 leases lost"}},
		"a silent follower's write":        {silent, put, gap(2300), nil},
		"a silent follower's slow write":   {silent, put, gap(2301), []string{"a gap of 2.301 s, at most 2.300 s wanted"}},
		"a silent follower's read":         {silent, get, gap(301), []string{"a gap of 0.301 s, at most 0.300 s wanted"}},
		"a sure client's failed write":     {leader, sure, fails(1, 1), []string{"1 failed, none wanted"}},
		"a sure client's patient write":    {silent, sure, gap(2300), nil},
		"a prompt client's write":          {silent, prompt, gap(300), nil},
		"a prompt client's slow write":     {silent, prompt, gap(301), []string{"a gap of 0.301 s, at most 0.300 s wanted"}},
		"after an election":                {leader, prompt, gap(1500), nil},
		"late after an election":           {leader, prompt, gap(1501), []string{"a gap of 1.501 s, at most 1.500 s wanted"}},
		"nothing but a watch":              {silent, alone, gap(1500), nil},
		"nothing but a late watch":         {silent, alone, gap(1501), []string{"a gap of 1.501 s, at most 1.500 s wanted"}},
		"the whole cluster":                {report.Cell{}, put, gap(9000), nil},
		"a client that is held to nothing": {follower, rival, gap(9000), nil},
	} {
		t.Run(name, func(t *testing.T) {
			if got := test.cell.Misses(test.series, test.row); !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// sample returns a report with everything in it.
func sample() *report.Report {
	four := 4
	return &report.Report{
		Setup: report.Setup{
			Etcd: "3.7.3", Go: "go1.26", System: "linux/amd64", CPUs: 2, Members: 3, Workers: 4,
			ElectionTimeout: report.Seconds(time.Second), FaultTime: report.Seconds(15 * time.Second), Recovery: report.Seconds(3 * time.Second),
			Pace: report.Seconds(20 * time.Millisecond), Deadline: report.Seconds(5 * time.Second),
		},
		Cells: []report.Cell{
			{
				Fault: "kill", Text: `a "crash" & <restart>`, Role: "leader", Victim: "m1",
				Healed: report.Seconds(15 * time.Second), End: report.Seconds(18 * time.Second),
				Elections: []report.Election{{At: report.Seconds(1234 * time.Millisecond), Leader: "m2", Term: 3}},
				Rows: []report.Row{
					{Client: "getcd", Kind: "put", OK: 3000, Failed: 4, Ambiguous: &four, Gap: report.Seconds(1300 * time.Millisecond), P99: report.Seconds(9 * time.Millisecond), Max: report.Seconds(time.Second)},
					{Client: "clientv3-tuned", Kind: "serializable", OK: 31, Failed: 16, Misses: []string{"much"}, Facts: []string{"a fact"}},
				},
				Histories: []report.History{
					{Client: "getcd", Keys: 4, Ops: 9000, Unknown: 4},
					{Client: "clientv3-tuned", Keys: 4, Ops: 90, Violations: []string{"k: what can't be"}},
					{Client: "other", Keys: 4, Ops: 90, Undecided: []string{"k"}},
				},
				Series: []report.Series{
					{Client: "getcd", Kind: "put", Write: true, Marks: true, Workers: [][]report.Sample{
						calls([3]int{-100, 5, ok}, [3]int{500, 505, ambiguous}, [3]int{1300, 5, ok}), calls([3]int{10, 5, ok}),
					}},
					{Client: "clientv3-tuned", Kind: "serializable", Workers: [][]report.Sample{calls([3]int{20000, 5000, failed})}},
				},
			},
			{Fault: "restart-all", Text: "all at once"},
		},
	}
}

func TestWriteText(t *testing.T) {
	var b strings.Builder
	if err := sample().WriteText(&b); err != nil {
		t.Fatal(err)
	}
	const want = `etcd 3.7.3, 3 members, election timeout 1s; go1.26, linux/amd64, 2 CPUs
each client and kind: 4 workers, one call every 20ms, deadline 5s; fault for 15s, then 3s of recovery

kill, the leader (m1): a "crash" & <restart>
  new leader: m2 at 1.234 s, term 3
  healed from 15.000 s on
  client          call            ok  failed  ambiguous      gap      p99      max
  getcd           put           3000       4          4  1.300 s  0.009 s  1.000 s
  clientv3-tuned  serializable    31      16          –  0.000 s  0.000 s  0.000 s
  clientv3-tuned, serializable: a fact
  missed: clientv3-tuned, serializable: much
  history of getcd: 9000 operations on 4 keys, 4 of unknown outcome: linearizable
  history of clientv3-tuned: 90 operations on 4 keys, 0 of unknown outcome: 1 VIOLATIONS
    k: what can't be
  history of other: 90 operations on 4 keys, 0 of unknown outcome: undecided for 1 keys, no violation elsewhere

restart-all: all at once
  no election
  healed from 0.000 s on

in all: 9180 operations checked, 4 of unknown outcome: 1 violations
`
	if got := b.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s\ngot  %q\nwant %q", got, want, got, want)
	}
}

func TestWriteMarkdown(t *testing.T) {
	r := sample()
	r.Setup.Command, r.Setup.Clientv3, r.Setup.Seed = "go run ./bench -x", "v3.7.3", 42
	r.Cells[0].Mishaps = []report.Mishap{{Fault: "cut", Role: "leader", Member: "m3", At: report.Seconds(time.Second), Until: report.Seconds(3 * time.Second)}}
	var b strings.Builder
	if err := r.WriteMarkdown(&b, report.Page{Pictures: "failover", JSON: "failover/all.json"}); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	for _, want := range []string{
		"`go run ./bench -x` repeats",
		"- Cluster: etcd 3.7.3, 3 members, election timeout 1s,",
		"client/v3 v3.7.3.", "2 CPUs", "Random seed: 42.", "[JSON](failover/all.json)",
		"checked 9180 operations, 4 of them of unknown outcome, for linearizability: **1 violations**",
		"## At a glance: put\n", "| fault | victim | new leader | getcd | clientv3-tuned |\n",
		"| [kill](#kill) | leader | 1.23 s | 4 / 1.30 s | |\n",
		"| [kill](#kill) | leader | 1.23 s | | 16 / 0.00 s † |\n",
		"## kill\n", "### kill, the leader\n", "Victim: m1. The fault ended at 15.00 s; measured until 18.00 s.",
		"- cut, the leader (m3): at 1.000 s, for 2.000 s\n- new leader: m2 at 1.234 s, term 3\n",
		"![Timeline: kill, the leader](failover/kill-leader.svg)",
		"| put | getcd | 3000 | 4 | 4 | 1.300 s | 0.009 s | 1.000 s |\n",
		"- clientv3-tuned, serializable: a fact\n", "- **missed**: clientv3-tuned, serializable: much\n",
		"- history of clientv3-tuned: 90 operations on 4 keys, 0 of unknown outcome: 1 VIOLATIONS\n",
		"## restart-all\n\nAll at once.\n", "\n  new leader: m2 at 1.234 s, term 3\n",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("want %q in\n%s", want, page)
		}
	}
	b.Reset()
	if err := r.WriteMarkdown(&b, report.Page{}); err != nil {
		t.Fatal(err)
	}
	for _, unwanted := range []string{"![", "JSON"} {
		if strings.Contains(b.String(), unwanted) {
			t.Errorf("there is %q in a page without pictures and numbers elsewhere:\n%s", unwanted, b.String())
		}
	}
}

func TestWriteJSON(t *testing.T) {
	var b bytes.Buffer
	want := sample()
	if err := want.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{`"gap_seconds": 1.3,`, `"ambiguous": 4,`, `"ambiguous": null,`, `"at_seconds": 1.234,`, `a \"crash\" & <restart>`} {
		if !strings.Contains(b.String(), text) {
			t.Errorf("want %s in\n%s", text, b.String())
		}
	}
	var got report.Report
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	for i := range want.Cells {
		want.Cells[i].Series = nil // which JSON does not include
	}
	if !reflect.DeepEqual(&got, want) {
		t.Errorf("read back\n%+v\nwant\n%+v", &got, want)
	}
}

func TestWriteSVG(t *testing.T) {
	for _, c := range sample().Cells {
		var b strings.Builder
		if err := c.WriteSVG(&b); err != nil {
			t.Fatal(err)
		}
		drawing := b.String()
		elements := make(map[string]int) // by class, and by name
		for d := xml.NewDecoder(strings.NewReader(drawing)); ; {
			token, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s is not XML: %v\n%s", c.Name(), err, drawing)
			}
			if e, isStart := token.(xml.StartElement); isStart {
				elements[e.Name.Local]++
				for _, a := range e.Attr {
					if a.Name.Local == "class" {
						elements["."+a.Value]++
					}
				}
			}
		}
		want := map[string]int{"svg": 1, "title": 1, ".moment": 2 + len(c.Elections)}
		if len(c.Series) > 0 {
			want[".ok"], want[".ambiguous"], want[".failed"] = 2, 2, 2 // one is in the legend
		}
		for name, n := range want {
			if elements[name] != n {
				t.Errorf("%s: got %d of %s, want %d in\n%s", c.Name(), elements[name], name, n, drawing)
			}
		}
		if len(c.Series) == 0 {
			continue
		}
		for _, text := range []string{"getcd put", "clientv3-tuned serializable", "m2 leads, 1.234 s", "healed, 15.000 s", "a &#34;crash&#34; &amp; &lt;restart&gt;"} {
			if !strings.Contains(drawing, text) {
				t.Errorf("want %q in\n%s", text, drawing)
			}
		}
	}
}

// An ambiguous call is drawn from its start to its end at the right position.
func TestWriteSVGPlaces(t *testing.T) {
	c := report.Cell{
		Fault: "kill", Healed: report.Seconds(time.Second), End: report.Seconds(2 * time.Second),
		Series: []report.Series{{Client: "c", Kind: "put", Workers: [][]report.Sample{calls([3]int{1500, 500, failed}, [3]int{2000, 10, ok})}}},
	}
	var b strings.Builder
	if err := c.WriteSVG(&b); err != nil {
		t.Fatal(err)
	}
	// 2 s take 1000 pixels and begin at 190.
	for _, text := range []string{"M690 79h250", "M1190 79h1", `d="M690 38V`} {
		if !strings.Contains(b.String(), text) {
			t.Errorf("want %q in\n%s", text, b.String())
		}
	}
}

// The pictures go into a repository, so they have no more elements than are
// visible.
func TestCost(t *testing.T) {
	for want, c := range map[string]report.Cost{
		"1010 requests for 1000 calls (+1.000 %): Put 500, Range 510": {
			Calls: 1000, Requests: map[string]int{"Range": 510, "Put": 500},
		},
		"2 requests for 0 calls: LeaseGrant 1, LeaseKeepAlive 1; messages: LeaseKeepAlive 7": {
			Requests: map[string]int{"LeaseGrant": 1, "LeaseKeepAlive": 1}, Messages: map[string]int{"LeaseKeepAlive": 7},
		},
	} {
		if got := c.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestWriteSVGIsSmall(t *testing.T) {
	c := report.Cell{Fault: "kill", Healed: report.Seconds(15 * time.Second), End: report.Seconds(18 * time.Second)}
	for i := range 15 {
		s := report.Series{Client: "c", Kind: "k"}
		for j := range 4 {
			var samples [][3]int
			for at := -2000; at < 18000; at += 10 + ((at+2000)*7919+i*31+j)%180 {
				samples = append(samples, [3]int{at, 5, ok})
			}
			s.Workers = append(s.Workers, calls(samples...))
		}
		c.Series = append(c.Series, s)
	}
	var b strings.Builder
	if err := c.WriteSVG(&b); err != nil {
		t.Fatal(err)
	}
	if got, want := b.Len(), 30_000; got >= want {
		t.Errorf("got %d bytes, want less than %d", got, want)
	}
	if !strings.Contains(b.String(), " ms apart") {
		t.Errorf("the legend doesn't say how coarse it is:\n%s", b.String())
	}
}

func TestName(t *testing.T) {
	for want, c := range map[string]report.Cell{
		"kill":            {Fault: "kill"},
		"kill-leader":     {Fault: "kill", Role: "leader"},
		"kill-leader-put": {Fault: "kill", Role: "leader", Kind: "put"},
	} {
		if got := c.Name(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestCompare(t *testing.T) {
	for name, test := range map[string]struct {
		cell report.Cell
		want []string
	}{
		"more":                     {report.Cell{Rows: []report.Row{{Client: "getcd", Kind: "put", Failed: 2}, {Client: "clientv3", Kind: "put", Failed: 1}}}, []string{"2 failed, of clientv3 only 1"}},
		"as many":                  {report.Cell{Rows: []report.Row{{Client: "getcd", Kind: "put", Failed: 2}, {Client: "clientv3", Kind: "put", Failed: 2}}}, nil},
		"connections died":         {report.Cell{Breaks: true, Rows: []report.Row{{Client: "getcd", Kind: "put", Failed: 2}, {Client: "clientv3", Kind: "put"}}}, nil},
		"nobody to compare with":   {report.Cell{Rows: []report.Row{{Client: "getcd", Kind: "put", Failed: 2}}}, nil},
		"other kinds don't matter": {report.Cell{Rows: []report.Row{{Client: "getcd", Kind: "get", Failed: 2}, {Client: "clientv3", Kind: "get"}}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			test.cell.Compare()
			if got := test.cell.Rows[0].Misses; !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// For the few calls of a client without other traffic, only their lateness
// counts.
func TestSummarizeAlone(t *testing.T) {
	s := report.Series{Kind: "only-lock", Alone: true, Workers: [][]report.Sample{{{Start: 500 * time.Millisecond, End: 2 * time.Second}}}}
	if got, want := report.Summarize(s, 18*time.Second).Gap, report.Seconds(1500*time.Millisecond); got != want {
		t.Errorf("got a gap of %v, want %v", got, want)
	}
}
