package wire

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/net/http2"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// message is one gRPC message, or the part of it that is available: its prefix
// and its bytes.
type message struct {
	sent  bool
	bytes []byte
	where []place // where its bytes are, in order
}

// place is a range of bytes in the data of a frame.
type place struct{ frame, from, to int }

// want returns the length of the message including its prefix, or -1 if the
// prefix is cut off.
func (m *message) want() int64 {
	if len(m.bytes) < prefixLen {
		return -1
	}
	return prefixLen + int64(binary.BigEndian.Uint32(m.bytes[1:]))
}

func (m *message) whole() bool { return int64(len(m.bytes)) == m.want() }

// body returns the message without its prefix.
func (m *message) body() []byte { return m.bytes[min(prefixLen, len(m.bytes)):] }

// compressed reports whether the message is compressed with the algorithm in
// grpc-encoding.
func (m *message) compressed() bool { return m.bytes[0] != 0 }

// messages finds the messages in the frames of a record. If frames were left out,
// the messages in them are lost, but later ones are not: each frame knows where
// messages begin in it.
func (r *record) messages() []*message {
	var all []*message
	var open [2]*message
	var next [2]int64 // for each direction, the offset of the next frame's data
	for i, f := range r.frames {
		if f.header.Type != http2.FrameData || f.kind != framed || !f.whole() || f.err != nil || f.alien != "" {
			continue
		}
		data, at := f.bytes[f.data[0]:f.data[1]], 0
		if f.at != next[side(f.sent)] {
			open[side(f.sent)] = nil
		}
		next[side(f.sent)] = f.at + int64(len(data))
		for _, start := range append(f.starts, len(data)) {
			if m := open[side(f.sent)]; m != nil {
				m.take(data, i, at, start)
			}
			if at = start; start < len(data) {
				m := &message{sent: f.sent}
				open[side(f.sent)] = m
				all = append(all, m)
			}
		}
	}
	return all
}

// take takes bytes from a frame, unless the message is complete: the next bytes
// then belong to a message whose beginning was left out.
func (m *message) take(data []byte, frame, from, to int) {
	if len(m.bytes) >= prefixLen {
		to = int(min(int64(to), int64(from)+m.want()-int64(len(m.bytes))))
	}
	if from < to {
		m.bytes = append(m.bytes, data[from:to]...)
		m.where = append(m.where, place{frame, from, to})
	}
}

// list returns the parts of the message, including its prefix. d is its type, or
// nil.
func (m *message) list(d protoreflect.MessageDescriptor, hide hider) []part {
	l := &lister{hide: hide}
	l.add(part{bytes: m.bytes[:min(prefixLen, len(m.bytes))], depth: 1, name: "message", value: m.describe(d)})
	switch {
	case len(m.bytes) < prefixLen:
	case m.compressed():
		l.raw(m.body(), 2, "not decoded, since it is compressed")
	case d == nil:
		l.raw(m.body(), 2, "not decoded: the type is not known")
	default:
		l.message(m.body(), d, 0, 2, !m.whole())
	}
	return l.parts
}

// describe returns the meaning of the prefix (gRPC over HTTP2,
// "Length-Prefixed-Message").
func (m *message) describe(d protoreflect.MessageDescriptor) string {
	if len(m.bytes) < prefixLen {
		return fmt.Sprintf("cut off: %d of the 5 bytes of its prefix", len(m.bytes))
	}
	name := "of an unknown type"
	if d != nil {
		name = string(d.FullName())
	}
	packed := "not compressed"
	switch m.bytes[0] {
	case 0:
	case 1:
		packed = "compressed"
	default:
		packed = fmt.Sprintf("flag %#02x is not gRPC's", m.bytes[0])
	}
	s := fmt.Sprintf("%s, %s, length %d", name, packed, m.want()-prefixLen)
	if !m.whole() {
		s += fmt.Sprintf("; %d bytes of it are here", len(m.body()))
	}
	return s
}

// listData returns, for each frame of r, the parts of its data.
func (r *record) listData(hide hider) [][]part {
	out := make([][]part, len(r.frames))
	at := make([]int, len(r.frames)) // how much of each frame's data is listed
	gap := func(frame, to int) {
		f := r.frames[frame]
		l := &lister{hide: hide}
		b := f.bytes[f.data[0]+at[frame] : f.data[0]+to]
		if f.alien != "" {
			l.body(b, f.alien)
		} else {
			l.raw(b, 1, "not decoded: the beginning of the message is not here")
		}
		out[frame] = append(out[frame], l.parts...)
	}
	for _, m := range r.messages() {
		parts := m.list(r.messageType(m.sent), hide)
		for _, w := range m.where {
			gap(w.frame, w.from)
			var here []part
			here, parts = splitParts(parts, w.to-w.from)
			out[w.frame] = append(out[w.frame], here...)
			at[w.frame] = w.to
		}
	}
	for i, f := range r.frames {
		gap(i, f.data[1]-f.data[0])
	}
	return out
}

// body lists data that are no gRPC.
func (l *lister) body(b []byte, contentType string) {
	p := part{bytes: b, depth: 1, name: "body", note: "no gRPC: " + contentType, hidden: l.hide.unknown()}
	switch {
	case p.hidden:
		p.value = hiddenText
	case isText(b):
		p.value = quote(string(b))
	}
	l.add(p)
}

// splitParts returns the parts of the first n bytes and the remaining parts.
func splitParts(parts []part, n int) (first, rest []part) {
	for i, p := range parts {
		if len(p.bytes) > n {
			if n == 0 {
				return parts[:i], parts[i:]
			}
			a, b := p.cut(n)
			first = append(parts[:i:i], a)
			parts[i] = b
			return first, parts[i:]
		}
		n -= len(p.bytes)
	}
	return parts, nil
}
