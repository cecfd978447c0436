package history_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/getcd/getcd/integration/faultbench/internal/history"
)

// at sets the operation's start and end in milliseconds.
func at(from, to int, o history.Op) history.Op {
	o.Call, o.Return = time.Duration(from)*time.Millisecond, time.Duration(to)*time.Millisecond
	return o
}

func put(v string) history.Op { return history.Op{Kind: history.Put, Value: v} }

func lostPut(v string) history.Op { return history.Op{Kind: history.Put, Value: v, Unknown: true} }

func read(got string) history.Op { return history.Op{Kind: history.Read, Got: got} }

func swap(expect, v string) history.Op {
	return history.Op{Kind: history.Swap, Expect: expect, Value: v, Swapped: true}
}

func refused(expect, v, got string) history.Op {
	return history.Op{Kind: history.Swap, Expect: expect, Value: v, Got: got}
}

func lostSwap(expect, v string) history.Op {
	return history.Op{Kind: history.Swap, Expect: expect, Value: v, Unknown: true}
}

func TestCheck(t *testing.T) {
	const unchecked = -1
	for name, test := range map[string]struct {
		ops     []history.Op
		version int64
		want    string // part of the violation; empty if there is none
	}{
		"nothing": {},
		"one after the other": {
			ops: []history.Op{
				at(0, 1, read("")), at(2, 3, put("a")), at(4, 5, swap("a", "b")), at(6, 7, refused("a", "c", "b")), at(8, 9, read("b")),
			},
			version: 2,
		},
		"a read beside a write sees either": {
			ops:     []history.Op{at(0, 9, put("a")), at(1, 2, read("")), at(3, 4, read("a"))},
			version: 1,
		},
		"a read goes back in time": {
			ops:     []history.Op{at(0, 9, put("a")), at(1, 2, read("a")), at(3, 4, read(""))},
			version: 1, want: "no order",
		},
		"a stale read": {
			ops:     []history.Op{at(0, 1, put("a")), at(2, 3, put("b")), at(4, 5, read("a"))},
			version: 2, want: "no order",
		},
		"an acknowledged write is lost": {
			ops:     []history.Op{at(0, 1, put("a")), at(2, 3, read(""))},
			version: 1, want: "no order",
		},
		"two swaps of one value succeed": {
			ops:     []history.Op{at(0, 1, put("a")), at(2, 9, swap("a", "b")), at(2, 9, swap("a", "c"))},
			version: 3, want: "no order",
		},
		"a swap is refused without cause": {
			ops:     []history.Op{at(0, 1, put("a")), at(2, 3, refused("a", "b", "a"))},
			version: 1, want: "no order",
		},
		"a doubtful write is seen": {
			ops:     []history.Op{at(0, 1, put("a")), at(2, 3, lostPut("b")), at(4, 5, read("b"))},
			version: 2,
		},
		"a doubtful write is never seen": {
			ops:     []history.Op{at(0, 1, put("a")), at(2, 3, lostPut("b")), at(4, 5, read("a"))},
			version: 1,
		},
		"a doubtful write is applied late": {
			ops:     []history.Op{at(0, 1, lostPut("a")), at(2, 3, put("b")), at(4, 5, read("b")), at(6, 7, read("a"))},
			version: 2,
		},
		"a doubtful write is seen before its call": {
			ops:     []history.Op{at(0, 1, read("a")), at(2, 3, lostPut("a"))},
			version: 1, want: "no order",
		},
		"a doubtful write is applied twice, and seen": {
			ops: []history.Op{
				at(0, 1, lostPut("a")), at(2, 3, read("a")), at(4, 5, put("b")), at(6, 7, read("b")), at(8, 9, read("a")),
			},
			version: unchecked, want: "no order",
		},
		"a write is applied twice in a row": {
			ops:     []history.Op{at(0, 1, put("a")), at(2, 3, read("a"))},
			version: 2, want: "written 2 times, but 1 writes were acknowledged and 0 more",
		},
		"a write is lost that nobody read": {
			ops:     []history.Op{at(0, 1, put("a")), at(2, 3, put("b"))},
			version: 1, want: "written 1 times",
		},
		"a chain of doubtful swaps": {
			ops:     []history.Op{at(0, 1, put("a")), at(2, 3, lostSwap("a", "b")), at(4, 5, lostSwap("b", "c")), at(6, 7, read("c"))},
			version: 3,
		},
		"a doubtful swap of what never was": {
			ops:     []history.Op{at(0, 1, put("a")), at(2, 3, lostSwap("b", "c")), at(4, 5, read("c"))},
			version: unchecked, want: "no order",
		},
		"a write that was said not to be applied": {
			ops:     []history.Op{at(0, 1, put("a")), at(2, 3, read("b"))},
			version: unchecked, want: `"b" was found, which no operation wrote`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			k := history.Key{Name: "k", Ops: test.ops, Version: test.version}
			got := k.Check(time.Minute)
			if got.Undecided {
				t.Error("undecided")
			}
			if test.want == "" && got.Violation != "" {
				t.Errorf("got the violation %q, want none", got.Violation)
			}
			if test.want != "" && !strings.Contains(got.Violation, test.want) {
				t.Errorf("got the violation %q, want one with %q", got.Violation, test.want)
			}
		})
	}
}

// An outage in which hundreds of calls fail at once must not make the search
// endless.
func TestCheckManyDoubtful(t *testing.T) {
	k := history.Key{Name: "k", Version: -1}
	now := 0
	add := func(o history.Op) { k.Ops = append(k.Ops, at(now, now+1, o)); now += 2 }
	for i := range 1000 {
		add(put("p" + strconv.Itoa(i)))
		if i%3 > 0 {
			add(lostPut("q" + strconv.Itoa(i)))
		}
		add(read("p" + strconv.Itoa(i)))
	}
	add(read("q7"))
	if got := k.Check(time.Minute); got != (history.Result{}) {
		t.Errorf("got %+v, want no finding", got)
	}
	add(read("p3"))
	if got := k.Check(time.Minute); got.Violation == "" {
		t.Errorf("got %+v, want a violation", got)
	}
	if got, want := k.Unknown(), 666; got != want {
		t.Errorf("got %d of unknown outcome, want %d", got, want)
	}
}
