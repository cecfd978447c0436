package integration_test

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/kv"
)

// registers records what is done to a few keys, each of which has to look like one register.
type registers struct {
	begin  time.Time
	values atomic.Int64

	mu        sync.Mutex
	histories [][]registerOp
}

func newRegisters(keys int) *registers {
	return &registers{begin: time.Now(), histories: make([][]registerOp, keys)}
}

// fresh is a value that no other operation writes.
func (r *registers) fresh() string { return strconv.FormatInt(r.values.Add(1), 10) }

// now is when an operation begins.
func (r *registers) now() time.Duration { return time.Since(r.begin) }

// record adds an operation that has just ended.
func (r *registers) record(key int, from time.Duration, o registerOp) {
	o.call, o.ret = from, r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.histories[key] = append(r.histories[key], o)
}

// len is how many operations have ended.
func (r *registers) len() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, ops := range r.histories {
		n += len(ops)
	}
	return n
}

// write writes a key, under that name. Some writes are given up early.
func (r *registers) write(ctx context.Context, store kv.KV, key int, name string) {
	ctx, cancel := context.WithTimeout(ctx, rand.N(5*time.Second))
	defer cancel()
	from, o := r.now(), registerOp{write: true, value: r.fresh()}
	_, err := store.Put(ctx, name, o.value)
	if err != nil && !client.IsAmbiguous(err) {
		return // it is certain that nothing has happened
	}
	o.unknown = err != nil
	r.record(key, from, o)
}

// read reads a key, and reports whether there was an answer.
func (r *registers) read(ctx context.Context, store kv.KV, key int, name string) bool {
	from := r.now()
	resp, err := store.Get(ctx, name)
	if err != nil {
		return false
	}
	r.record(key, from, registerOp{value: readValue(resp)})
	return true
}

// readValue is what a read of a register has returned: nothing at first.
func readValue(resp *kv.GetResponse) string {
	if len(resp.Kvs) == 0 {
		return ""
	}
	return string(resp.Kvs[0].Value)
}

// check fails the test unless each key's history is that of a register, and counts.
func (r *registers) check(t *testing.T) (reads, writes, unknown int) {
	t.Helper()
	for key, ops := range r.histories {
		for _, o := range ops {
			switch {
			case o.unknown:
				unknown++
			case o.write:
				writes++
			default:
				reads++
			}
		}
		if got := linearizable(ops); got != porcupine.Ok {
			t.Errorf("key %d: the history of %d operations is %v, want it linearizable", key, len(ops), got)
		}
	}
	return reads, writes, unknown
}

// disturb kills and stops members in turn, a leader or, in every third round if followers is
// set, a follower, and repairs them after 2 s.
func disturb(ctx context.Context, t *testing.T, c *cluster.Cluster, rounds int, followers bool) {
	t.Helper()
	for round := range rounds {
		m, err := c.Leader(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if followers && round%3 == 2 {
			leader := m
			members := c.Members()
			m = members[slices.IndexFunc(members, func(m *cluster.Member) bool { return m != leader })]
		}
		fail, repair := m.Kill, func() error { return m.Restart(ctx) }
		if round%2 == 1 {
			fail, repair = m.Pause, m.Continue
		}
		if err := fail(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		if err := repair(); err != nil {
			t.Fatal(err)
		}
		if err := c.WaitHealthy(ctx); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
	}
}

// registerOp is one operation in the history of a key: a read, or a write of a
// value that no other operation writes. A swap writes only if the key has an
// expected value.
type registerOp struct {
	call, ret     time.Duration
	write, swap   bool
	expect, value string // value is also what a read returned
	swapped       bool
	unknown       bool // it may be applied at any time after its call
}

// register is a linearizable register with compare-and-swap.
var register = porcupine.Model{
	Init: func() any { return "" },
	Step: func(state, input, _ any) (bool, any) {
		has, o := state.(string), input.(registerOp)
		switch {
		case !o.write:
			return has == o.value, has
		case !o.swap:
			return true, o.value
		case o.unknown && has != o.expect:
			return true, has
		case o.unknown || o.swapped:
			return has == o.expect, o.value
		default:
			return has != o.expect, has
		}
	},
}

// linearizable checks a key's history. It ignores writes with an unknown outcome
// whose values nobody saw: the explanation that they were never applied is as
// good as any.
func linearizable(ops []registerOp) porcupine.CheckResult {
	seen := make(map[string]bool)
	for _, o := range ops {
		if !o.write {
			seen[o.value] = true
		}
		if o.swap {
			seen[o.expect] = true
		}
	}
	var history []porcupine.Operation
	for i, o := range ops {
		end := int64(o.ret)
		if o.unknown {
			end = math.MaxInt64
		}
		if !o.unknown || seen[o.value] {
			history = append(history, porcupine.Operation{ClientId: i, Input: o, Call: int64(o.call), Return: end})
		}
	}
	return porcupine.CheckOperationsTimeout(register, history, limit)
}

// The checker finds violations.
func TestRegistersAreChecked(t *testing.T) {
	at := func(from, to int, o registerOp) registerOp {
		o.call, o.ret = time.Duration(from), time.Duration(to)
		return o
	}
	put := func(v string) registerOp { return registerOp{write: true, value: v} }
	read := func(v string) registerOp { return registerOp{value: v} }
	for name, test := range map[string]struct {
		ops  []registerOp
		want porcupine.CheckResult
	}{
		"in order":           {[]registerOp{at(0, 1, put("a")), at(2, 3, read("a"))}, porcupine.Ok},
		"stale":              {[]registerOp{at(0, 1, put("a")), at(2, 3, put("b")), at(4, 5, read("a"))}, porcupine.Illegal},
		"unknown, and late":  {[]registerOp{at(0, 1, registerOp{write: true, value: "a", unknown: true}), at(2, 3, put("b")), at(4, 5, read("b")), at(6, 7, read("a"))}, porcupine.Ok},
		"unknown, and twice": {[]registerOp{at(0, 1, registerOp{write: true, value: "a", unknown: true}), at(2, 3, read("a")), at(4, 5, put("b")), at(6, 7, read("a"))}, porcupine.Illegal},
		"swapped in vain":    {[]registerOp{at(0, 1, put("a")), at(2, 3, registerOp{write: true, swap: true, swapped: true, expect: "b", value: "c"})}, porcupine.Illegal},
	} {
		if got := linearizable(test.ops); got != test.want {
			t.Errorf("%s: got %v, want %v", name, got, test.want)
		}
	}
}
