package bench_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/getcd/getcd/integration/faultbench/internal/bench"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestJudgeVersions(t *testing.T) {
	for name, test := range map[string]struct {
		seen                      []int64
		written                   int64
		lost, doubled, disordered int
	}{
		"nothing":             {},
		"all":                 {seen: []int64{1, 2, 3}, written: 3},
		"the last is missing": {seen: []int64{1, 2}, written: 3, lost: 1},
		"a gap":               {seen: []int64{1, 3}, written: 3, lost: 1},
		"none came":           {written: 3, lost: 3},
		"one twice":           {seen: []int64{1, 2, 2, 3}, written: 3, doubled: 1},
		"all again":           {seen: []int64{1, 2, 1, 2, 3}, written: 3, doubled: 2, disordered: 1},
		"swapped":             {seen: []int64{1, 3, 2}, written: 3, disordered: 1},
	} {
		t.Run(name, func(t *testing.T) {
			lost, doubled, disordered := bench.JudgeVersions(test.seen, test.written)
			got, want := [3]int{lost, doubled, disordered}, [3]int{test.lost, test.doubled, test.disordered}
			if got != want {
				t.Errorf("got %v lost, doubled, out of order; want %v", got, want)
			}
		})
	}
}

func TestPlan(t *testing.T) {
	for name, test := range map[string]struct {
		cfg  bench.Config
		want []string
	}{
		"the order of the lists": {
			bench.Config{Faults: []string{"sigstop", "kill"}, Roles: []string{"leader", "follower"}, Kinds: []string{"put"}},
			[]string{"kill, follower", "kill, leader", "sigstop, follower", "sigstop, leader"},
		},
		"no role in what hits all": {
			bench.Config{Faults: []string{"restart-all"}},
			[]string{"restart-all"},
		},
		"kinds alone, in faults that silence": {
			bench.Config{Faults: []string{"slow", "cut"}, Roles: []string{"leader"}, Kinds: []string{"only-lock", "put", "get"}},
			[]string{"cut, leader", "cut, leader, only-lock", "slow, leader"},
		},
		"each kind by itself": {
			bench.Config{Faults: []string{"cut"}, Roles: []string{"leader"}, Kinds: []string{"get", "put"}, Apart: true},
			[]string{"cut, leader, put", "cut, leader, get"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := bench.Plan(test.cfg)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// A choice that this system does not support is not included by default and
// cannot be requested.
func TestChooseMissing(t *testing.T) {
	among := []bench.Choice{{Name: "kill"}, {Name: "disk", Missing: "no such call"}, {Name: "none", Unasked: true}}
	if got, err := bench.Choose("fault", nil, among); err != nil || !slices.Equal(got, []string{"kill"}) {
		t.Errorf("all: got %q, %v, want kill", got, err)
	}
	if got, err := bench.Choose("fault", []string{"none"}, among); err != nil || !slices.Equal(got, []string{"none"}) {
		t.Errorf("what is unasked: got %q, %v, want none", got, err)
	}
	const want = `"disk" is not to be had here (no such call); there are kill, none`
	if _, err := bench.Choose("fault", []string{"disk"}, among); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("what is missing: got %v, want %q", err, want)
	}
}

// The default includes everything that is available, except choices that must be
// requested.
func TestPlanEverything(t *testing.T) {
	got, err := bench.Plan(bench.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range bench.List().Faults {
		want := f.Missing == "" && !f.Unasked
		is := slices.Contains(got, f.Name) || slices.Contains(got, f.Name+", leader") && slices.Contains(got, f.Name+", follower")
		if is != want {
			t.Errorf("%s is in the plan: %v, want %v", f.Name, is, want)
		}
	}
}
