package wire

import (
	"fmt"
	"time"
)

// Recording is a connection that another program has recorded, for example in a
// packet capture. It is shown like a live connection, but without calls and
// attempts, which only gRPC reports. Only one goroutine may use a Recording. Its
// methods return when everything that is complete has been written. They return
// the writer's first error.
type Recording struct{ conn *conn }

// Record starts a recording of a connection from client to member. at is the time
// when it was opened, or the zero time if that is unknown.
func (t *Tracer) Record(at time.Time, client, member string) *Recording {
	r := t.record(member)
	_ = r.do(func() { // the next step returns the error, too
		r.conn.clock = at
		t.deliverLocked(r.conn.eventLocked("opened by " + clean(client)))
	})
	return r
}

func (t *Tracer) record(member string) *Recording {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.newConnLocked(nil, member, "", false)
	c.recorded = true
	return &Recording{c}
}

// Add adds the next bytes that the client has sent or, if sent is false,
// received. It does not keep p.
func (r *Recording) Add(at time.Time, sent bool, p []byte) error {
	return r.do(func() {
		r.conn.clock = at
		r.conn.feedLocked(at, sent, p)
	})
}

// Skip says that the next n bytes in that direction were not recorded. n is 0 if
// the number is unknown. Later bytes in that direction are shown without their
// meaning, since it is unknown where frames begin and what the header fields
// refer to.
func (r *Recording) Skip(sent bool, n int64) error {
	return r.do(func() { r.conn.skipLocked(sent, n) })
}

// End ends the connection and everything that was in progress on it. how says how
// it ended, such as "closed".
func (r *Recording) End(how string) error {
	return r.do(func() { r.conn.endLocked(clean(how)) })
}

func (r *Recording) do(step func()) error {
	t := r.conn.tracer
	t.mu.Lock()
	step()
	t.mu.Unlock()
	t.Flush(-1)
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}

func (c *conn) skipLocked(sent bool, n int64) {
	h, from := c.halves[side(sent)], "server"
	if sent {
		from = "client"
	}
	if f := h.rest(); f != nil {
		h.parse(f, c.halves[side(!sent)])
		c.frameLocked(f)
	}
	h.lost = true
	h.offset += n
	what := "bytes"
	if n > 0 {
		what = fmt.Sprintf("%d bytes", n)
	}
	c.tracer.deliverLocked(c.eventLocked(fmt.Sprintf("%s from the %s were not recorded; what follows them is not decoded", what, from)))
}
