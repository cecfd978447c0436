package policy

import (
	"sync"
	"time"

	grpcbalancer "google.golang.org/grpc/balancer"

	"github.com/getcd/getcd/internal/attempt"
)

// call is one RPC under way on a connection. It is taken from the policy's pool when
// the RPC is picked, and goes back there when the RPC has ended, so that a call
// costs no allocation.
type call struct {
	// Read-only while the RPC is under way.
	attempt *attempt.Attempt
	on      *target
	stream  *streamHealth // of a stream that is watched over
	start   time.Time
	at      int64 // start, in nanoseconds of the policy's clock
	late    int64 // how late the process had been until then

	done func(grpcbalancer.DoneInfo) // finish, bound once

	// Where it stands in its connection's calls. Guarded by calls.mu.
	prev, next *call
	kind       kind
}

// newCall returns a call of a's on c, which begins now.
func (p *policy) newCall(a *attempt.Attempt, c *target) *call {
	r, ok := p.calls.Get().(*call)
	if !ok {
		r = &call{}
		r.done = func(info grpcbalancer.DoneInfo) { p.finish(r, info) }
	}
	r.attempt, r.on = a, c
	r.start = time.Now()
	r.at, r.late = p.clock.at(r.start), p.clock.late.Load()
	return r
}

// free puts back a call that has been taken out of its connection's calls.
func (p *policy) free(r *call) {
	r.attempt, r.on, r.stream = nil, nil, nil
	p.calls.Put(r)
}

// calls are the RPCs under way on one connection. A call adds itself when it is
// picked, and takes itself out when it ends; the oldest of each kind is found at
// once.
type calls struct {
	mu    sync.Mutex // a leaf; guards the lists and their links in the calls
	lists [3]callList
	n     [3]int
}

// kind is what a call costs whoever gives it up, and whether its age tells
// something of its member.
type kind uint8

const (
	prompt  kind = iota // answered soon, and sent again elsewhere for nothing
	costly              // answered soon, and its fate is unknown when it is given up
	patient             // waits by its nature: says nothing of its member
)

func kindOf(a *attempt.Attempt) kind {
	switch {
	case !a.Measure:
		return patient
	case a.Once:
		return costly
	default:
		return prompt
	}
}

// callList is a doubly linked list, the oldest call first.
type callList struct{ first, last *call }

func (c *calls) add(r *call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r.kind = kindOf(r.attempt)
	l := &c.lists[r.kind]
	r.prev, r.next = l.last, nil
	if l.last == nil {
		l.first = r
	} else {
		l.last.next = r
	}
	l.last = r
	c.n[r.kind]++
}

// remove takes r out, and reports whether no call is left.
func (c *calls) remove(r *call) (empty bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := &c.lists[r.kind]
	if r.prev == nil {
		l.first = r.next
	} else {
		r.prev.next = r.next
	}
	if r.next == nil {
		l.last = r.prev
	} else {
		r.next.prev = r.prev
	}
	c.n[r.kind]--
	r.prev, r.next = nil, nil
	return c.n == [3]int{}
}

// oldest returns when the oldest call of kind k was picked, in nanoseconds of the
// policy's clock, and how late the process had been until then.
func (c *calls) oldest(k kind) (at, late int64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r := c.lists[k].first; r != nil {
		return r.at, r.late, true
	}
	return 0, 0, false
}

// count returns how many calls are under way: of those that wait for a prompt answer,
// and of those that can't be moved elsewhere for nothing.
func (c *calls) count() (waiting, bound, all int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n[prompt] + c.n[costly], c.n[costly] + c.n[patient], c.n[prompt] + c.n[costly] + c.n[patient]
}

// large reports whether a call with a large request is under way that is not to be sent
// again.
func (c *calls) large() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for r := c.lists[costly].first; r != nil; r = r.next {
		if r.attempt.Large {
			return true
		}
	}
	return false
}

// giveUp cancels each call that doomed says is to be given up, for cause. It returns
// how many it has canceled, how many are waited for all the same, and how many
// nobody but their connection's end can end. It cancels with mu held: a call that has
// ended meanwhile may have passed its context on to the next one.
func (c *calls) giveUp(cause error, doomed func(r *call) bool) (given, kept, stuck int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k := range c.lists {
		for r := c.lists[k].first; r != nil; r = r.next {
			switch {
			case r.attempt.GivenUp() != nil:
			case !doomed(r):
				kept++
			case r.attempt.GiveUp(cause):
				given++
			default:
				stuck++
			}
		}
	}
	return given, kept, stuck
}
