package policy

import (
	"sync"
	"time"

	grpcbalancer "google.golang.org/grpc/balancer"

	"github.com/getcd/getcd/internal/attempt"
)

// call is one RPC in flight on a connection. The policy takes it from a pool when the RPC
// is picked and puts it back when the RPC has ended, so that it costs no allocation.
type call struct {
	// Read-only while the RPC is in flight.
	attempt *attempt.Attempt
	on      *target
	stream  *streamHealth // nil unless the RPC is a stream with Attempt.Flow
	start   time.Time
	at      int64 // start, in nanoseconds of the policy's clock
	late    int64 // clock.late then

	done func(grpcbalancer.DoneInfo) // finish, bound to this call

	// Where it stands in its connection's calls. Guarded by calls.mu.
	prev, next *call
	kind       kind
}

// newCall returns a call on c, which begins now.
func (p *policy) newCall(a *attempt.Attempt, c *target) *call {
	r, ok := p.calls.Get().(*call)
	if !ok {
		r = &call{}
		r.done = func(info grpcbalancer.DoneInfo) { p.finish(r, info) }
	}
	r.attempt, r.on = a, c
	r.start = time.Now()
	r.at, r.late = p.clock.at(r.start), p.watchdog.lateness(r.start)
	return r
}

// free puts a call back into the pool. It must be in no list.
func (p *policy) free(r *call) {
	r.attempt, r.on, r.stream = nil, nil, nil
	p.calls.Put(r)
}

// calls are the RPCs in flight on one connection. The oldest of each kind is known at
// once.
type calls struct {
	mu    sync.Mutex // a leaf; guards the lists and their links in the calls
	lists [4]callList
	n     [4]int
}

// kind says what it costs to give a call up, and whether the call's age tells something
// about its member.
type kind uint8

const (
	prompt     kind = iota // answered soon; to send it again elsewhere costs nothing
	repeatable             // likewise, but a write: its member may lose it
	costly                 // answered soon; if it is given up its fate is unknown
	patient                // may wait long, such as a watch or a lock: its age tells nothing
)

var (
	awaited = [...]kind{prompt, repeatable, costly} // the age of these tells something
	losable = [...]kind{repeatable, costly}         // a member can lose these
)

func kindOf(a *attempt.Attempt) kind {
	switch {
	case !a.Measure:
		return patient
	case a.Once:
		return costly
	case a.Write:
		return repeatable
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
	return c.n == [4]int{}
}

// oldest returns when the oldest call of kind k was picked, in nanoseconds of the
// policy's clock, and clock.late then.
func (c *calls) oldest(k kind) (at, late int64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r := c.lists[k].first; r != nil {
		return r.at, r.late, true
	}
	return 0, 0, false
}

// count returns how many calls in flight should be answered soon, how many are bound to
// the connection, since sending them elsewhere is not free, and how many there are.
func (c *calls) count() (waiting, bound, all int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	waiting, bound = c.n[prompt]+c.n[repeatable]+c.n[costly], c.n[costly]+c.n[patient]
	return waiting, bound, waiting + c.n[patient]
}

// large reports whether a write with a large request is in flight.
func (c *calls) large() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range losable {
		for r := c.lists[k].first; r != nil; r = r.next {
			if r.attempt.Large {
				return true
			}
		}
	}
	return false
}

// giveUp cancels, for cause, each call for which doomed returns true. It returns how many
// calls it has canceled, how many doomed has kept, and how many are stuck: only the end of
// the connection can end them. It cancels with mu held, because a call that ends may pass
// its context on to the next one.
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
