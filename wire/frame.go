package wire

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"regexp"
	"strings"

	"golang.org/x/net/http2"
)

// listFrame returns the parts of f. For a DATA frame, data has the parts of its
// data.
func listFrame(f *frame, data []part, hide hider) []part {
	l := &lister{hide: hide}
	switch f.kind {
	case preface:
		l.add(part{bytes: f.bytes, name: "connection preface", note: "RFC 9113, section 3.4"})
		return l.parts
	case noHTTP2:
		l.alien(f.bytes)
		return l.parts
	case unframed:
		l.raw(f.bytes, 0, "not decoded: bytes before it were not recorded")
		return l.parts
	case framed:
	}
	l.add(part{bytes: f.bytes[:min(frameHeaderLen, len(f.bytes))], name: f.header.Type.String(), note: f.describe()})
	p := f.payload()
	if f.err != nil || !f.whole() {
		l.hide.harmless = l.hide.harmless && !isBlock(f.header.Type) // a header field may be a token, whatever the method
	}
	switch {
	case len(p) == 0:
	case f.err != nil:
		l.raw(p, 1, "malformed: %s", clean(f.err.Error()))
	case !f.whole():
		l.raw(p, 1, "not decoded: not all of it is here")
	default:
		l.payload(f, p, data)
	}
	return l.parts
}

// alien lists bytes that are not HTTP/2. Those of HTTP/1 are shown up to the end of
// the start line: tokens and passwords, such as those for the JSON gateway, come
// after it.
func (l *lister) alien(b []byte) {
	line, _, _ := bytes.Cut(b, []byte("\r\n"))
	p := part{bytes: line, name: "no HTTP/2", value: quote(string(line))}
	if l.hide.unknown() && !startLine.Match(line) {
		p.value, p.hidden = hiddenText, true
	}
	l.add(p)
	l.raw(b[len(line):], 1, "not decoded")
}

// startLine matches the first line of a response or a request (RFC 9112, sections 4
// and 3), unless its target may have a secret: a query or a password.
var startLine = regexp.MustCompile(`^(HTTP/1\.[01] [0-9]{3}( .*)?|[A-Z]+ [^ ?@]+ HTTP/1\.[01])$`)

// describe returns the meaning of a frame's header (RFC 9113, section 4.1),
// except for the type.
func (f *frame) describe() string {
	if len(f.bytes) < frameHeaderLen {
		return fmt.Sprintf("cut off: %d of the 9 bytes of a frame's header", len(f.bytes))
	}
	s := fmt.Sprintf("stream %d, length %d", f.header.StreamID, f.header.Length)
	if flags := flagNames(f.header); flags != "" {
		s += ", " + flags
	}
	if !f.whole() {
		s += fmt.Sprintf("; %d bytes of it are here", len(f.payload()))
	}
	return s
}

// flagNames returns the names that the flags have for the frame's type.
func flagNames(h http2.FrameHeader) string {
	// http2.FrameHeader.String is "[FrameHeader DATA flags=END_STREAM|PADDED …]".
	_, s, ok := strings.Cut(h.String(), "flags=")
	if !ok {
		return ""
	}
	s, _, _ = strings.Cut(s, " ")
	return strings.TrimSuffix(s, "]")
}

// payload lists the payload of a complete frame that http2.Framer has found to be
// well-formed.
func (l *lister) payload(f *frame, p []byte, data []part) {
	switch f.header.Type {
	case http2.FrameData: // RFC 9113, section 6.1
		p = l.padLength(f, p, http2.FlagDataPadded)
		n := f.data[1] - f.data[0]
		l.parts = append(l.parts, data...)
		l.padding(p[n:])
	case http2.FrameHeaders: // section 6.2
		p = l.padLength(f, p, http2.FlagHeadersPadded)
		if f.header.Flags.Has(http2.FlagHeadersPriority) {
			l.add(priority(p[:5]))
			p = p[5:]
		}
		l.block(f, p)
	case http2.FrameContinuation: // section 6.10
		l.block(f, p)
	case http2.FramePushPromise: // section 6.6
		p = l.padLength(f, p, http2.FlagPushPromisePadded)
		l.add(part{bytes: p[:4], depth: 1, name: "promised stream", value: fmt.Sprint(u31(p))})
		l.block(f, p[4:])
	case http2.FramePriority: // section 6.3
		l.add(priority(p))
	case http2.FrameRSTStream: // section 6.4
		l.add(part{bytes: p, depth: 1, name: "error", value: http2.ErrCode(binary.BigEndian.Uint32(p)).String()})
	case http2.FrameSettings: // section 6.5
		for ; len(p) >= 6; p = p[6:] {
			s := http2.Setting{ID: http2.SettingID(binary.BigEndian.Uint16(p)), Val: binary.BigEndian.Uint32(p[2:])}
			l.add(part{bytes: p[:6], depth: 1, name: s.ID.String(), value: fmt.Sprint(s.Val)})
		}
	case http2.FramePing: // section 6.7
		l.add(part{bytes: p, depth: 1, name: "opaque data", note: pings[string(p)]})
	case http2.FrameGoAway: // section 6.8
		l.add(part{bytes: p[:4], depth: 1, name: "last stream", value: fmt.Sprint(u31(p))})
		l.add(part{bytes: p[4:8], depth: 1, name: "error", value: http2.ErrCode(binary.BigEndian.Uint32(p[4:])).String()})
		l.add(part{bytes: p[8:], depth: 1, name: "debug data", value: quote(string(p[8:]))})
	case http2.FrameWindowUpdate: // section 6.9
		l.add(part{bytes: p, depth: 1, name: "increment", value: fmt.Sprint(u31(p))})
	default: // section 5.5
		l.raw(p, 1, "an extension's: not decoded")
	}
}

// pings maps the data of the pings of gRPC-Go to their meanings.
var pings = map[string]string{
	"\x02\x04\x10\x10\x09\x0e\x07\x07": "gRPC measures how much data is under way (internal/transport/bdp_estimator.go)",
	"\x00\x00\x00\x00\x00\x00\x00\x00": "gRPC asks whether the other side is there (keepalive)",
	"\x01\x06\x01\x08\x00\x03\x03\x09": "gRPC is about to close the connection (internal/transport/defaults.go)",
}

// u31 returns the 31-bit integer after a reserved bit.
func u31(p []byte) uint32 { return binary.BigEndian.Uint32(p) & (1<<31 - 1) }

func priority(p []byte) part {
	return part{bytes: p, depth: 1, name: "priority", note: "deprecated, without effect (RFC 9113, section 5.3.2)"}
}

func (l *lister) padLength(f *frame, p []byte, flag http2.Flags) []byte {
	if !f.header.Flags.Has(flag) {
		return p
	}
	l.add(part{bytes: p[:1], depth: 1, name: "pad length", value: fmt.Sprint(p[0])})
	return p[1:]
}

func (l *lister) padding(p []byte) { l.add(part{bytes: p, depth: 1, name: "padding"}) }

// block lists a part of a header block and the padding after it.
func (l *lister) block(f *frame, p []byte) {
	at := 0
	for _, h := range f.fields {
		at = h.to
		switch {
		case !h.known:
			l.add(part{bytes: p[h.from:h.to], depth: 1, note: h.instruction + ", continued in the next frame", hidden: !l.hide.secrets})
		case l.hide.header(h.name):
			l.add(part{bytes: p[h.from:h.to], depth: 1, name: clean(h.name), value: hiddenText, note: h.instruction, hidden: true})
		default:
			l.add(part{bytes: p[h.from:h.to], depth: 1, name: clean(h.name), value: orEmpty(clean(h.value), h.name), note: h.instruction})
		}
	}
	rest := p[at:]
	if f.lost != nil {
		l.add(part{bytes: rest, depth: 1, note: "not decoded: " + clean(f.lost.Error()), hidden: !l.hide.secrets})
		return
	}
	l.padding(rest)
}

// orEmpty returns s or, if s is empty, a placeholder for it.
func orEmpty(s, name string) string {
	if s == "" && name != "" {
		return `""`
	}
	return s
}
