package balancer

import "sync"

// calls are the RPCs under way on one connection. A call adds itself when it is
// picked, and takes itself out when it ends; the oldest of each kind is found at
// once, and nothing is allocated.
type calls struct {
	mu    sync.Mutex // a leaf; guards the lists and their links in the Attempts
	lists [3]callList
	n     [3]int
}

// kind is what a call costs whoever gives it up, and whether its age tells
// something of its member.
type kind uint8

const (
	prompt  kind = iota // answered soon, and sent again elsewhere for nothing
	costly              // answered soon, and in doubt when it is given up
	patient             // waits by its nature: says nothing of its member
)

func kindOf(a *Attempt) kind {
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
type callList struct{ first, last *Attempt }

// place is where an Attempt stands in its connection's calls. Guarded by calls.mu.
type place struct {
	prev, next *Attempt
	kind       kind
	listed     bool
}

func (c *calls) add(a *Attempt) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if a.place.listed {
		return
	}
	k := kindOf(a)
	l := &c.lists[k]
	a.place = place{prev: l.last, kind: k, listed: true}
	if l.last == nil {
		l.first = a
	} else {
		l.last.place.next = a
	}
	l.last = a
	c.n[k]++
}

// remove takes a out, and reports whether no call is left.
func (c *calls) remove(a *Attempt) (empty bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := a.place; p.listed {
		l := &c.lists[p.kind]
		if p.prev == nil {
			l.first = p.next
		} else {
			p.prev.place.next = p.next
		}
		if p.next == nil {
			l.last = p.prev
		} else {
			p.next.place.prev = p.prev
		}
		c.n[p.kind]--
		a.place = place{}
	}
	return c.n == [3]int{}
}

// oldest returns when the oldest call of kind k was picked, in nanoseconds of the
// policy's clock, and how late the process had been until then.
func (c *calls) oldest(k kind) (at, late int64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if a := c.lists[k].first; a != nil {
		return a.start, a.late, true
	}
	return 0, 0, false
}

// count returns how many calls are under way: of those that wait for a prompt answer,
// and of those that can't be moved elsewhere for nothing.
func (c *calls) count() (waiting, held, all int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n[prompt] + c.n[costly], c.n[costly] + c.n[patient], c.n[prompt] + c.n[costly] + c.n[patient]
}

// large reports whether a call with a large request is under way that is not to be sent
// again.
func (c *calls) large() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for a := c.lists[costly].first; a != nil; a = a.place.next {
		if a.Large {
			return true
		}
	}
	return false
}

// giveUp cancels each call that doomed says is to be given up, for cause. It returns
// how many it has cancelled, how many are waited for all the same, and how many
// nobody but their connection's end can end. It cancels with mu held: a call that has
// ended meanwhile may have passed its context on to the next one.
func (c *calls) giveUp(cause error, doomed func(a *Attempt, k kind) bool) (given, kept, stuck int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k := range c.lists {
		for a := c.lists[k].first; a != nil; a = a.place.next {
			switch {
			case a.givenUp.Load() != nil:
			case !doomed(a, kind(k)):
				kept++
			case a.Cancel == nil:
				stuck++
			default:
				a.givenUp.Store(&cause)
				a.Cancel()
				given++
			}
		}
	}
	return given, kept, stuck
}
