package batch

import (
	"context"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// kind says what travels together.
type kind uint8

const (
	linearizable kind = iota // small reads
	serializable             // likewise
	puts
	deletes // not with puts, since those may be refused for want of space (api/v3rpc/quota.go), and maybe applied
	kinds
	large kind = iota // a read that travels alone, but is asked once at a time
)

// laneKey is what calls that travel together have in common.
type laneKey struct {
	kind     kind
	metadata string
	options  string
	read     string // all of it, if it is large
}

// lane has the calls of one kind that wait for a batch.
type lane struct {
	// Read-only after newLane.
	conn *conn
	key  laneKey
	md   metadata.MD
	opts []grpc.CallOption

	// Guarded by conn.mu.
	head, tail *question            // in the order in which they came
	waiting    int                  // questions between head and tail
	asked      map[uint64]*question // those of them that are reads, by their hashes
	inflight   int                  // batches
	draining   int                  // batches whose callers are about to call again
	touched    bool                 // see conn.touched
	timed      bool                 // a timer limits how long the first of them waits
	room       room
}

func newLane(c *conn, key laneKey, md metadata.MD, opts []grpc.CallOption) *lane {
	return &lane{conn: c, key: key, md: md, opts: opts, asked: make(map[uint64]*question), room: newRoom()}
}

// laneLocked returns the lane of calls with this key, and with the metadata and the options
// that have led to the key.
func (c *conn) laneLocked(key laneKey, ctx context.Context, opts []grpc.CallOption) *lane { //nolint:revive // the context is not the call's
	if key.kind < kinds && key.metadata == "" && key.options == "" {
		return c.lanes[key.kind]
	}
	l := c.others[key]
	if l == nil {
		var md metadata.MD
		if key.metadata != "" {
			md, _ = metadata.FromOutgoingContext(ctx)
		}
		l = newLane(c, key, md, slices.Clone(opts))
		c.others[key] = l
	}
	return l
}

// forgetLocked lets go of a lane that has nothing to do, and is not one of those that stay.
func (c *conn) forgetLocked(l *lane) {
	if l.waiting == 0 && l.inflight == 0 && c.others[l.key] == l {
		delete(c.others, l.key)
	}
}

func (l *lane) pushLocked(a *call) {
	q := a.q
	a.state, a.lane = queued, l
	if q.prev = l.tail; q.prev != nil {
		q.prev.next = q
	} else {
		l.head = q
	}
	l.tail = q
	l.waiting++
}

func (l *lane) removeLocked(q *question) {
	if q.prev != nil {
		q.prev.next = q.next
	} else {
		l.head = q.next
	}
	if q.next != nil {
		q.next.prev = q.prev
	} else {
		l.tail = q.prev
	}
	q.prev, q.next = nil, nil
	l.waiting--
	if l.asked[q.hash] == q {
		delete(l.asked, q.hash)
	}
}

// dropLocked forgets a call that waits.
func (l *lane) dropLocked(a *call) {
	if a.q.dropLocked(a) {
		l.removeLocked(a.q)
	}
}

// dueLocked reports whether a batch should be sent now. When nothing is under way, the first
// call goes at once. The more batches are under way, the more calls have to come together
// for the next; so few callers hardly wait for each other, and many fill their batches. A
// full batch always goes.
func (l *lane) dueLocked() bool {
	if l.waiting == 0 {
		return false
	}
	if l.key.kind == large {
		return l.inflight == 0
	}
	limit := l.limitLocked()
	if l.draining > 0 {
		return l.waiting >= limit
	}
	return l.waiting >= min(limit, enough(l.inflight))
}

// longestWait is how long a call may wait for company, give or take as much again: those who
// come behind batches that are stuck on a member that has stalled should not be stuck as well.
const longestWait = 100 * time.Millisecond

// timeLocked limits how long the first call waits.
func (l *lane) timeLocked() {
	if l.waiting == 0 || l.timed || l.key.kind == large {
		return
	}
	l.timed = true
	first := l.head
	time.AfterFunc(longestWait, func() { l.conn.overdue(l, first) })
}

// overdue sends a batch if the question that was the first one still is.
func (c *conn) overdue(l *lane, first *question) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l.timed = false
	if l.waiting > 0 && l.head == first {
		c.sendLocked(l, nil)
	}
	c.launchLocked(l, nil)
}

// enough is how many calls are worth another batch when n batches are under way: 1, 1, 4,
// 16, 64. Measured (integration/callbench): twos make many small batches of 256 callers'
// calls, and one batch at a time doubles the latency of two callers.
func enough(n int) int { return 1 << min(2*max(n-1, 0), 30) }

// takeLocked takes a batch out of the lane, or a call that is one by itself: its caller has
// to send it.
func (l *lane) takeLocked() (_ *batch, solo *call) {
	l.inflight++
	limit, bytes := l.limitLocked(), l.conn.limits.bytes
	if q := l.head; (q.next == nil || limit == 1) && len(q.more) == 0 {
		l.removeLocked(q)
		q.first.state, q.first.slot = going, true
		return nil, q.first
	}
	b := &batch{lane: l, questions: make([]*question, 0, min(limit, l.waiting))}
	for q := l.head; q != nil && len(b.questions) < limit; q = l.head {
		if bytes -= q.size; bytes < 0 && len(b.questions) > 0 {
			break
		}
		b.size += q.size
		l.removeLocked(q)
		b.questions = append(b.questions, q)
	}
	b.packLocked()
	return b, nil
}
