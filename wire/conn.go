package wire

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// conn is the tracer's state for one connection. The tracer's mutex guards it.
type conn struct {
	tracer   *Tracer
	channel  *channel // nil if nothing reports attempts
	n        int      // the first connection is 1
	member   string   // its address
	host     string   // the host name that was dialed
	secure   bool
	recorded bool      // by another program
	clock    time.Time // if recorded: when its last bytes passed; zero if unknown

	halves  [2]*half
	streams map[uint32]*stream // in progress
	past    map[uint32]*stream // ended, and already shown
	ended   []uint32           // the keys of past, the oldest first
	closed  bool
	unsent  int // bytes that were shown but could not be written
}

func (c *conn) feedLocked(now time.Time, sent bool, p []byte) {
	if c.tracer.err != nil {
		return // the trace has ended
	}
	h := c.halves[side(sent)]
	h.feed(now, p, func(f *frame) {
		h.parse(f, c.halves[side(!sent)])
		c.frameLocked(f)
	})
}

// frameLocked assigns a frame to its stream.
func (c *conn) frameLocked(f *frame) {
	s := c.streamLocked(f)
	size := frameSize(f)
	// One stream must not use all of the memory.
	kept := (s == nil || int64(s.size+size) <= c.tracer.memory/2) && c.tracer.reserveLocked(size)
	if !kept {
		c.tracer.dropLocked(f)
	}
	if s == nil {
		if kept {
			c.tracer.deliverLocked(&record{conn: c, frames: []*frame{f}, size: size})
		}
		return
	}
	s.add(f)
	if kept {
		s.size += size
	} else {
		s.frames = s.frames[:len(s.frames)-1] // the frames after it are decoded nevertheless
	}
	if c.channel != nil && s.call == nil && !s.past {
		c.channel.bindLocked(s)
	}
	c.settleLocked(s)
}

// streamLocked returns the stream that a frame belongs to. It returns nil for
// frames of the connection itself (RFC 9113, section 5.1.1), of a stream that
// ended long ago, and of a stream for which the tracer has no memory.
func (c *conn) streamLocked(f *frame) *stream {
	if f.kind != framed || f.header.StreamID == 0 || f.length < frameHeaderLen {
		return nil
	}
	s := c.streams[f.header.StreamID]
	if s == nil {
		s = c.past[f.header.StreamID]
	}
	if s != nil || len(f.fields) == 0 || c.closed {
		return s
	}
	if !f.sent && c.halves[0].offset > 0 && f.header.StreamID%2 == 1 {
		return nil // late or invalid: the client has opened no such stream (section 5.1.1)
	}
	if !c.tracer.reserveLocked(streamSize) {
		c.tracer.omitted++
		return nil
	}
	s = &stream{conn: c, id: f.header.StreamID}
	c.streams[s.id] = s
	return s
}

// settleLocked delivers the frames of s, if they are ready.
func (c *conn) settleLocked(s *stream) {
	if !s.ready() || c.awaitsLocked(s) {
		return
	}
	c.flushLocked(s)
}

// awaitsLocked reports whether it is still open which attempt s is, or how that
// attempt ended.
func (c *conn) awaitsLocked(s *stream) bool {
	switch {
	case c.channel == nil:
		return false
	case s.call != nil:
		// The RST_STREAM of a canceled stream may be traced before the call's end is told.
		return !s.call.done && (!s.streams() || s.ended && !c.closed)
	}
	return slices.ContainsFunc(c.channel.open, func(a *attempt) bool { return a.mayBe(s) })
}

// flushLocked delivers the frames of s. Their memory is released when they are
// written, and that of s itself with its last ones.
func (c *conn) flushLocked(s *stream) {
	r := &record{
		conn: c, frames: s.frames, size: s.size,
		stream: s.id, method: s.method, desc: s.desc, status: s.status, broken: s.broken, last: s.ended, late: s.past,
	}
	if s.call != nil {
		r.tellLocked(s.call)
	}
	s.frames, s.size, s.piece = nil, 0, false
	if s.ended && !s.past {
		r.size += streamSize
		c.retireLocked(s)
	}
	if len(r.frames) > 0 || !r.late {
		c.tracer.deliverLocked(r)
	}
}

// maxPast is the number of ended streams whose late frames are still decoded. A connection
// that stalls may get the responses to everything that was canceled meanwhile.
const maxPast = 1024

// retireLocked keeps a stream for a while after it has ended: if the client has
// canceled it, the server's response may still be on its way (RFC 9113, section
// 5.1, "closed").
func (c *conn) retireLocked(s *stream) {
	s.past = true
	delete(c.streams, s.id)
	if c.closed {
		return
	}
	c.past[s.id] = s
	c.ended = append(c.ended, s.id)
	if len(c.ended) > maxPast {
		c.flushLocked(c.past[c.ended[0]])
		delete(c.past, c.ended[0])
		c.ended = c.ended[1:]
	}
}

// endLocked ends the connection and all of its streams.
func (c *conn) endLocked(event string) {
	if c.closed {
		return
	}
	for _, h := range c.halves {
		if f := h.rest(); f != nil {
			h.parse(f, c.halves[side(!h.sent)])
			c.frameLocked(f)
		}
	}
	c.closed = true
	for _, id := range c.ended {
		c.flushLocked(c.past[id])
	}
	c.past, c.ended = nil, nil
	for _, s := range c.sortedLocked() {
		s.ended, s.broken = true, !s.ended
		c.settleLocked(s)
	}
	r := c.eventLocked(event)
	r.total = [2]int64{c.halves[0].offset, c.halves[1].offset}
	c.tracer.deliverLocked(r)
	if c.channel != nil {
		c.channel.leftLocked(c)
	}
}

// sortedLocked is the streams that are under way, in the order in which they began.
func (c *conn) sortedLocked() []*stream {
	return slices.SortedFunc(maps.Values(c.streams), func(a, b *stream) int { return cmp.Compare(a.id, b.id) })
}

func (c *conn) eventLocked(event string) *record {
	r := &record{conn: c, event: event}
	if r.begun = c.clock; !c.recorded {
		r.begun = time.Now()
	}
	return r
}
