package wire

import (
	"hash/crc64"
	"slices"
	"time"

	"google.golang.org/grpc/status"
)

// attempt is one RPC as gRPC sees it: one of the attempts of a call of getcd's
// client, or a whole call of any other client. It becomes an HTTP/2 stream, but
// gRPC does not say which one. It is the stream on the same connection with the
// same method and the same first message. The tracer's mutex guards attempt.
type attempt struct {
	call   *call
	method string
	own    bool  // made by the client itself, not for a call of the program
	conn   *conn // nil until it is known
	sum    digest
	asked  bool // sum is the digest of the first message
	packed bool // the first message was compressed, so sum does not match what is sent
	stream *stream
	done   bool // outcome is set

	omitted int // Tracer.omitted when it began
	outcome
}

// call is the common state of a call's attempts.
type call struct {
	n        int // the first call is 1
	tried    int
	attempts []*attempt // only the first ones
}

// maxAttempts is the number of attempts per call that are remembered.
const maxAttempts = 32

// mayBe reports whether a and s may be the same, as far as is known.
func (a *attempt) mayBe(s *stream) bool {
	switch {
	case a.stream != nil || s.past || a.method != s.method || a.conn != nil && a.conn != s.conn:
		return false
	case !a.asked || a.packed || s.halves[0].whole == 0:
		return true
	}
	return a.sum == s.halves[0].sum
}

// is reports whether a and s are the same. Without a message, or with a
// compressed one, only the method decides.
func (a *attempt) is(s *stream) bool {
	if a.conn == nil || !a.mayBe(s) {
		return false
	}
	return a.asked && s.halves[0].whole > 0 || a.done && s.ended
}

// tellLocked stores in r which attempt it belongs to.
func (r *record) tellLocked(a *attempt) {
	r.call, r.own, r.outcome = a.call.n, a.own, a.outcome
	for _, b := range a.call.attempts {
		if b.n < a.n {
			r.before = append(r.before, b.outcome)
		}
	}
}

// endLocked records how the RPC ended. cause is the policy's reason for canceling
// it, if it did.
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

// bindLocked finds the attempt that became s.
func (ch *channel) bindLocked(s *stream) {
	if i := slices.IndexFunc(ch.open, func(a *attempt) bool { return a.is(s) }); i >= 0 {
		ch.joinLocked(ch.open[i], s)
	}
}

func (ch *channel) joinLocked(a *attempt, s *stream) {
	a.stream, s.call = s, a
	ch.closeLocked(a)
}

// closeLocked stops looking for a's stream. Streams that might have been it need
// not wait for it any longer.
func (ch *channel) closeLocked(a *attempt) {
	ch.open = slices.DeleteFunc(ch.open, func(b *attempt) bool { return a == b })
	ch.settleLocked(a.method)
}

// settleLocked delivers streams that may have waited for an attempt.
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

// pruneLocked forgets connections that have nothing left to show.
func (ch *channel) pruneLocked() {
	ch.conns = slices.DeleteFunc(ch.conns, func(c *conn) bool { return c.closed && len(c.streams) == 0 })
}

// tellLocked is called when something new is known about a.
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
	if a.done && a.omitted != ch.tracer.omitted {
		ch.closeLocked(a) // its stream is one that there was no memory for, if it was sent at all
		return
	}
	ch.settleLocked(a.method)
}

// leftLocked is called when c has ended. Attempts that were assigned to c and are
// over, but have no stream, were never sent.
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

// digest is a hash by which messages are told apart.
type digest uint64

func (d *digest) write(p []byte) { *d = digest(crc64.Update(uint64(*d), table, p)) }

var table = crc64.MakeTable(crc64.ECMA)
