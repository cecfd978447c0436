package bench

import (
	"reflect"
	"testing"
)

func TestJudge(t *testing.T) {
	for name, test := range map[string]struct {
		timed        bool
		ours, theirs []Result
		want         []string
	}{
		"as quick":              {true, []Result{{OK: 1, Seconds: 10}}, []Result{{OK: 1, Seconds: 9}}, nil},
		"little more of little": {true, []Result{{OK: 1, Seconds: 0.2}}, []Result{{OK: 1, Seconds: 0.05}}, nil},
		"slower":                {true, []Result{{OK: 1, Seconds: 20}}, []Result{{OK: 1, Seconds: 10}}, []string{"2.00 times clientv3's time, at most 1.2 wanted"}},
		"slower, not judged":    {false, []Result{{OK: 1, Seconds: 20}}, []Result{{OK: 1, Seconds: 10}}, nil},
		"the median": {
			true,
			[]Result{{OK: 1, Seconds: 10}, {OK: 1, Seconds: 90}, {OK: 1, Seconds: 9}},
			[]Result{{OK: 1, Seconds: 10}, {OK: 1, Seconds: 9}, {OK: 1, Seconds: 9}},
			nil,
		},
		"a long call":     {false, []Result{{OK: 9, Longest: 2.5}}, []Result{{OK: 9, Longest: 0.4}}, []string{"the longest call took 2.50 s, clientv3's 0.40 s: at most 2 s more wanted"}},
		"no long call":    {false, []Result{{OK: 9, Longest: 2.3}}, []Result{{OK: 9, Longest: 0.4}}, nil},
		"sent often":      {false, []Result{{Failed: 10, Sent: 16}}, []Result{{Failed: 10, Sent: 10}}, []string{"sent 16 times, at most 15 wanted"}},
		"both sent often": {false, []Result{{Failed: 10, Sent: 21}}, []Result{{Failed: 10, Sent: 90}}, []string{"sent 21 times, at most 20 wanted"}},
		"sent again some": {false, []Result{{Failed: 10, Sent: 12}}, []Result{{Failed: 10, Sent: 10}}, nil},
		"failures":        {true, []Result{{OK: 1}, {Failed: 2}}, []Result{{OK: 2}, {Failed: 1}}, []string{"2 failed, clientv3 1"}},
		"as many failing": {true, []Result{{Failed: 1, Seconds: 9}}, []Result{{Failed: 1, Seconds: 1}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			row := Row{Timed: test.timed, Lasting: !test.timed, Results: map[string][]Result{Getcd: test.ours, Clientv3: test.theirs}}
			row.judge()
			if !reflect.DeepEqual(row.Misses, test.want) {
				t.Errorf("got %q, want %q", row.Misses, test.want)
			}
		})
	}
}

// Writes that happen once have to be as good as getcd's own, however long clientv3's take.
func TestJudgeMiddleware(t *testing.T) {
	row := Row{Timed: true, Results: map[string][]Result{
		Getcd: {{OK: 1, Seconds: 10}}, Clientv3: {{OK: 1, Seconds: 20}},
		Once: {{OK: 1, Seconds: 14}}, OnceBatch: {{Failed: 1, Seconds: 1}},
	}}
	row.judge()
	want := []string{"once: 1.40 times getcd's time, at most 1.3 wanted", "once+batch: 1 failed, 0 wanted"}
	if !reflect.DeepEqual(row.Misses, want) {
		t.Errorf("got %q, want %q", row.Misses, want)
	}
}

// Names are unique, since -run and the table use them.
func TestCaseNames(t *testing.T) {
	seen := make(map[string]bool)
	quick := 0
	for _, c := range Cases() {
		if seen[c.Name()] {
			t.Errorf("%q is twice among the cases", c.Name())
		}
		seen[c.Name()] = true
		if c.Quick {
			quick++
		}
	}
	if quick == 0 || quick == len(seen) {
		t.Errorf("%d of %d cases are quick ones, want some", quick, len(seen))
	}
}
