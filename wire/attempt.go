package wire

import (
	"hash/crc64"
	"slices"
	"time"

	"google.golang.org/grpc/status"
)

// attempt is one RPC as gRPC sees it: one of the attempts of a call of getcd's client,
// or all of the call of another. It becomes an HTTP/2 stream, but gRPC does not tell
// which: it is the one on the same connection with the same method and the same first
// message. Guarded by the tracer's mutex.
type attempt struct {
	call   *call
	method string
	own    bool  // nobody's call: the client asks for itself
	conn   *conn // nil until it has one
	sum    digest
	asked  bool // sum is that of its first message
	packed bool // that was compressed: its sum is not that of what is sent
	stream *stream
	done   bool // outcome is set
	outcome
}

// call is what its attempts have in common.
type call struct {
	n        int // the first call is 1
	tried    int
	attempts []*attempt // the first ones
}

// maxAttempts is how many attempts of a call are remembered.
const maxAttempts = 32

// mayBe reports whether a and s may be the same, as far as it is known.
func (a *attempt) mayBe(s *stream) bool {
	switch {
	case a.stream != nil || s.past || a.method != s.method || a.conn != nil && a.conn != s.conn:
		return false
	case !a.asked || a.packed || s.halves[0].whole == 0:
		return true
	}
	return a.sum == s.halves[0].sum
}

// is reports whether a and s are the same. What has ended without a message is told by
// the method alone, and so is a compressed one.
func (a *attempt) is(s *stream) bool {
	if a.conn == nil || !a.mayBe(s) {
		return false
	}
	return a.asked && s.halves[0].whole > 0 || a.done && s.ended
}

// tellLocked notes in r which attempt it is.
func (r *record) tellLocked(a *attempt) {
	r.call, r.own, r.outcome = a.call.n, a.own, a.outcome
	for _, b := range a.call.attempts {
		if b.n < a.n {
			r.before = append(r.before, b.outcome)
		}
	}
}

// endLocked notes how the RPC ended. cause is why the policy has cancelled it.
func (a *attempt) endLocked(now time.Time, err, cause error) {
	a.done, a.took = true, now.Sub(a.begun)
	a.took -= a.took % time.Microsecond
	s := status.Convert(err)
	a.status = s.Code().String()
	if err != nil {
		a.status += ": " + s.Message()
	}
	if cause != nil {
		a.status += " (given up: " + cause.Error() + ")"
	}
}

// bindLocked finds the attempt that s is.
func (ch *channel) bindLocked(s *stream) {
	if i := slices.IndexFunc(ch.open, func(a *attempt) bool { return a.is(s) }); i >= 0 {
		ch.joinLocked(ch.open[i], s)
	}
}

func (ch *channel) joinLocked(a *attempt, s *stream) {
	a.stream, s.call = s, a
	ch.closeLocked(a)
}

// closeLocked ends the search for a's stream. Streams that might have been it need not
// wait for it any more.
func (ch *channel) closeLocked(a *attempt) {
	ch.open = slices.DeleteFunc(ch.open, func(b *attempt) bool { return a == b })
	ch.settleLocked(a.method)
}

// settleLocked looks again at the streams that may have waited for an attempt.
func (ch *channel) settleLocked(method string) {
	for _, c := range ch.conns {
		for _, s := range c.sortedLocked() {
			if s.method == method {
				c.settleLocked(s)
			}
		}
	}
	ch.pruneLocked()
}

// pruneLocked forgets connections of which nothing is to be shown any more.
func (ch *channel) pruneLocked() {
	ch.conns = slices.DeleteFunc(ch.conns, func(c *conn) bool { return c.closed && len(c.streams) == 0 })
}

// tellLocked is called when something has been learned of a.
func (ch *channel) tellLocked(a *attempt) {
	if a.stream != nil {
		ch.settleLocked(a.method)
		return
	}
	if a.conn != nil {
		for _, s := range a.conn.sortedLocked() {
			if s.call == nil && a.is(s) {
				ch.joinLocked(a, s)
				return
			}
		}
	}
	if a.done && (a.conn == nil || a.conn.closed) {
		ch.unsentLocked(a)
		return
	}
	ch.settleLocked(a.method)
}

// leftLocked is called when c has ended. What was to be sent on it, and is over, was not.
func (ch *channel) leftLocked(c *conn) {
	for _, a := range slices.Clone(ch.open) {
		if a.conn == c && a.done {
			ch.unsentLocked(a)
		}
	}
	ch.pruneLocked()
}

// unsentLocked shows an attempt that did not become a stream.
func (ch *channel) unsentLocked(a *attempt) {
	ch.closeLocked(a)
	r := &record{conn: a.conn, method: a.method, desc: findMethod(a.method), last: true}
	r.tellLocked(a)
	ch.tracer.deliverLocked(r)
}

// digest tells messages apart.
type digest uint64

func (d *digest) write(p []byte) { *d = digest(crc64.Update(uint64(*d), table, p)) }

var table = crc64.MakeTable(crc64.ECMA)
