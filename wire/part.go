package wire

import (
	"fmt"
)

// part is a run of bytes and what it means. The parts of a frame, joined in order, are
// the frame. Its texts are safe to show.
type part struct {
	bytes  []byte
	depth  int    // of what it is in
	name   string // of a field, a setting, a type of frame
	value  string
	note   string // of the encoding
	hidden bool   // bytes are not to be shown
}

// cut splits p before its n-th byte.
func (p part) cut(n int) (part, part) {
	rest := p
	rest.bytes, rest.value, rest.note = p.bytes[n:], "", "continued"
	p.bytes = p.bytes[:n]
	return p, rest
}

// lister makes parts.
type lister struct {
	hide  hider
	parts []part
}

// maxParts bounds the parts of one frame or message: a field takes two bytes, and a
// part a hundred times as much.
const maxParts = 1 << 14

func (l *lister) full() bool { return len(l.parts) >= maxParts }

// add adds a part, unless it has no bytes.
func (l *lister) add(p part) {
	if len(p.bytes) > 0 {
		l.parts = append(l.parts, p)
	}
}

// raw adds bytes that are not understood, as why says. They may be any.
func (l *lister) raw(b []byte, depth int, format string, args ...any) {
	l.add(part{bytes: b, depth: depth, note: fmt.Sprintf(format, args...), hidden: l.hide.unknown()})
}
