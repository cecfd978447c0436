package history

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

// Kind is what an operation does.
type Kind uint8

// The kinds of operations.
const (
	// Put writes Value.
	Put Kind = iota
	// Swap writes Value if the key holds Expect, and otherwise reads.
	Swap
	// Read reads.
	Read
)

// Op is one operation on the key, as its caller saw it. The empty string stands
// for a key that does not exist.
type Op struct {
	Kind Kind
	// Call and Return are the times when it began and returned, on one clock for
	// all operations.
	Call, Return time.Duration
	// Value is what a Put or Swap writes. Every operation writes a different
	// value.
	Value string
	// Expect is the value that a Swap expects.
	Expect string
	// Swapped is the result of a Swap.
	Swapped bool
	// Got is the value that a Read, or a failed Swap, found.
	Got string
	// Unknown says that there was no response and that the operation may have
	// been applied. Return and the results then have no meaning.
	Unknown bool
}

func (o Op) writes() bool { return o.Kind == Put || o.Kind == Swap }

// Key is the history of one key: all operations of all workers on it, in any
// order, except those that failed and were certainly not applied.
type Key struct {
	Name string
	Ops  []Op
	// Version is how many times the key was written, according to etcd's own
	// count of the key's changes, after all operations. Negative means that it is
	// unknown and not checked.
	Version int64
}

// Result is what the checker found.
type Result struct {
	// Violation describes an impossible result. It is empty if there is none.
	Violation string
	// Undecided says that the search took too long. It found nothing wrong until
	// then.
	Undecided bool
}

// Unknown returns the number of operations with an unknown outcome.
func (k Key) Unknown() int {
	n := 0
	for _, o := range k.Ops {
		if o.Unknown && o.writes() {
			n++
		}
	}
	return n
}

// Check checks whether the history is one of a linearizable register without an
// initial value, and whether each write was applied as often as its result says.
// It stops searching after timeout; 0 means no limit.
func (k Key) Check(timeout time.Duration) Result {
	if v := k.checkVersion(); v != "" {
		return Result{Violation: v}
	}
	ops := make([]porcupine.Operation, 0, len(k.Ops))
	for i, o := range relevant(k.Ops) {
		end := int64(o.Return)
		if o.Unknown {
			end = math.MaxInt64
		}
		ops = append(ops, porcupine.Operation{ClientId: i, Input: o, Call: int64(o.Call), Return: end})
	}
	switch porcupine.CheckOperationsTimeout(register(), ops, timeout) {
	case porcupine.Illegal:
		return Result{Violation: fmt.Sprintf("%s: no order of its %d operations explains what they returned%s", k.Name, len(ops), k.stranger())}
	case porcupine.Unknown:
		return Result{Undecided: true}
	default:
		return Result{}
	}
}

// checkVersion compares the number of writes with the results. It finds what a
// register cannot show: a write that was applied twice in a row.
func (k Key) checkVersion() string {
	if k.Version < 0 {
		return ""
	}
	var applied, unknown int64
	for _, o := range k.Ops {
		switch {
		case !o.writes():
		case o.Unknown:
			unknown++
		case o.Kind == Put || o.Swapped:
			applied++
		}
	}
	if k.Version >= applied && k.Version <= applied+unknown {
		return ""
	}
	return fmt.Sprintf("%s: was written %d times, but %d writes were acknowledged and %d more are of unknown outcome", k.Name, k.Version, applied, unknown)
}

// stranger returns a value that was found although no operation in the history
// wrote it. This happens if a write is applied although its result says that it
// was not.
func (k Key) stranger() string {
	written := map[string]bool{"": true}
	for _, o := range k.Ops {
		if o.writes() {
			written[o.Value] = true
		}
	}
	for _, o := range k.Ops {
		if !o.Unknown && !o.Swapped && o.Kind != Put && !written[o.Got] {
			return fmt.Sprintf("; %q was found, which no operation wrote that may have been applied", o.Got)
		}
	}
	return ""
}

// relevant removes the writes with an unknown outcome whose values nobody saw:
// the explanation that such a write was never applied is as good as any.
// Otherwise each of them would double the work of the search. The result is in
// the order of the calls.
func relevant(ops []Op) []Op {
	seen := make(map[string]bool) // values that somebody saw, or may have seen
	var kept, doubtful []Op
	for _, o := range ops {
		switch {
		case o.Unknown && o.writes():
			doubtful = append(doubtful, o)
			continue
		case o.Unknown: // a read without a response
			continue
		case o.Kind == Swap && o.Swapped:
			seen[o.Expect] = true
		case o.Kind != Put:
			seen[o.Got] = true
		}
		kept = append(kept, o)
	}
	// An unknown swap that matters has seen the value that it expects.
	for found := true; found; {
		found = false
		doubtful = slices.DeleteFunc(doubtful, func(o Op) bool {
			if !seen[o.Value] {
				return false
			}
			if o.Kind == Swap {
				seen[o.Expect] = true
			}
			kept = append(kept, o)
			found = true
			return true
		})
	}
	slices.SortStableFunc(kept, func(a, b Op) int { return cmp.Compare(a.Call, b.Call) })
	return kept
}

// register is the model of a register with compare-and-swap. Its state is its
// value, which is "" at the beginning.
func register() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return "" },
		Step: func(state, input, _ any) (bool, any) {
			value, o := state.(string), input.(Op)
			switch {
			case o.Kind == Put:
				return true, o.Value
			case o.Kind == Read:
				return value == o.Got, value
			case o.Unknown && value == o.Expect, o.Swapped && value == o.Expect:
				return true, o.Value
			case o.Unknown: // it took effect too late to matter
				return true, value
			case o.Swapped:
				return false, value
			default:
				return value == o.Got && value != o.Expect, value
			}
		},
	}
}
