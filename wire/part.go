package wire

import (
	"fmt"
)

// part is a range of bytes and its meaning. The parts of a frame, joined in
// order, are the frame. Its texts are safe to show.
type part struct {
	bytes  []byte
	depth  int    // nesting depth
	name   string // of a field, a setting or a frame type
	value  string
	note   string // about the encoding
	hidden bool   // the bytes must not be shown
}

// cut splits p before its n-th byte.
func (p part) cut(n int) (part, part) {
	rest := p
	rest.bytes, rest.value, rest.note = p.bytes[n:], "", "continued"
	p.bytes = p.bytes[:n]
	return p, rest
}

// lister builds parts.
type lister struct {
	hide  hider
	parts []part
}

// maxParts limits the number of parts of one frame or message: a field takes as
// little as two bytes, and a part a hundred times as much.
const maxParts = 1 << 14

func (l *lister) full() bool { return len(l.parts) >= maxParts }

// add adds a part, unless it is empty. It is not inlined, since each of its many calls would be
// some 200 bytes of machine code.
//
//go:noinline
func (l *lister) add(p part) {
	if len(p.bytes) > 0 {
		l.parts = append(l.parts, p)
	}
}

// raw adds bytes that could not be decoded, with the reason. They may contain
// anything.
func (l *lister) raw(b []byte, depth int, format string, args ...any) {
	l.add(part{bytes: b, depth: depth, note: fmt.Sprintf(format, args...), hidden: l.hide.unknown()})
}
