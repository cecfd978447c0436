package wire

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"
	"unicode/utf16"
)

// lines shows records as JSON, one per line (https://jsonlines.org). A test in
// this repository reads them, and other programs may, too.
type lines struct {
	w    io.Writer
	hide hider
}

type jsonRecord struct {
	Connection int           `json:"connection,omitempty"`
	Member     string        `json:"member,omitempty"`
	Host       string        `json:"host,omitempty"` // as asked for in TLS
	TLS        bool          `json:"tls,omitempty"`
	Event      string        `json:"event,omitempty"` // of the connection
	Sent       int64         `json:"sent,omitempty"`  // bytes that it has carried, when it has ended
	Received   int64         `json:"received,omitempty"`
	Stream     uint32        `json:"stream,omitempty"`
	Method     string        `json:"method,omitempty"`
	Call       int           `json:"call,omitempty"`
	Attempt    *jsonAttempt  `json:"attempt,omitempty"`
	Earlier    []jsonAttempt `json:"earlier_attempts,omitempty"`
	Status     string        `json:"grpc_status,omitempty"` // as the trailers have it
	Last       bool          `json:"last,omitempty"`        // the stream has ended
	Late       bool          `json:"late,omitempty"`        // and this came after that
	Frames     []jsonFrame   `json:"frames,omitempty"`
	Dropped    *jsonDropped  `json:"dropped,omitempty"` // before this record
}

type jsonAttempt struct {
	N      int       `json:"n"`
	Own    bool      `json:"own,omitempty"` // the client's own, nobody's call
	Member string    `json:"member,omitempty"`
	Begun  time.Time `json:"begun"`
	Micros int64     `json:"us,omitempty"`
	Result string    `json:"result,omitempty"` // empty while it is under way
}

type jsonFrame struct {
	Time   time.Time  `json:"time"`
	From   string     `json:"from"`   // client or server
	Offset int64      `json:"offset"` // of the first byte in its direction
	Length int        `json:"length"` // with the header
	Type   string     `json:"type"`
	Error  string     `json:"error,omitempty"`
	Parts  []jsonPart `json:"parts"`
}

type jsonPart struct {
	Bytes string `json:"bytes,omitempty"` // hexadecimal; not there when hidden
	N     int    `json:"n"`               // how many
	Depth int    `json:"depth,omitempty"`
	Name  string `json:"name,omitempty"`
	Value string `json:"value,omitempty"`
	Note  string `json:"note,omitempty"`
}

type jsonDropped struct {
	Frames int   `json:"frames"`
	Bytes  int64 `json:"bytes"`
}

func (l *lines) render(r *record) error {
	hide := l.hide.of(r.method)
	out := jsonRecord{
		Event: r.event, Sent: r.total[0], Received: r.total[1], Stream: r.stream, Method: r.method, Call: r.call, Status: r.status, Last: r.last, Late: r.late,
	}
	if c := r.conn; c != nil {
		out.Connection, out.Member, out.Host, out.TLS = c.n, c.member, c.host, c.secure
	}
	if r.call != 0 {
		a := r.json()
		a.Own = r.own
		out.Attempt = &a
		for _, o := range r.before {
			out.Earlier = append(out.Earlier, o.json())
		}
	}
	data := r.listData(hide)
	for i, f := range r.frames {
		out.Frames = append(out.Frames, f.json(listFrame(f, data[i], hide)))
	}
	if r.dropped != (dropped{}) {
		out.Dropped = &jsonDropped{r.dropped.frames, r.dropped.bytes}
	}
	return l.line(out)
}

// bare implements bareRenderer.
func (l *lines) bare(offset int64, parts []part) error {
	return l.line(struct {
		Offset int64      `json:"offset"`
		Parts  []jsonPart `json:"parts"`
	}{offset, jsonParts(parts)})
}

func (l *lines) line(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = l.w.Write(append(ascii(b), '\n'))
	return err
}

func (o outcome) json() jsonAttempt {
	return jsonAttempt{N: o.n, Member: o.member, Begun: o.begun, Micros: o.took.Microseconds(), Result: o.status}
}

func (f *frame) json(parts []part) jsonFrame {
	out := jsonFrame{Time: f.time, From: "server", Offset: f.offset, Length: f.length, Type: f.header.Type.String(), Parts: jsonParts(parts)}
	if f.sent {
		out.From = "client"
	}
	switch f.kind {
	case preface:
		out.Type = "preface"
	case noHTTP2:
		out.Type = "no HTTP/2"
	case unframed:
		out.Type = "unframed"
	case framed:
	}
	if f.err != nil {
		out.Error = f.err.Error()
	}
	return out
}

func jsonParts(parts []part) []jsonPart {
	out := make([]jsonPart, len(parts))
	for i, p := range parts {
		out[i] = jsonPart{N: len(p.bytes), Depth: p.depth, Name: p.name, Value: p.value, Note: p.note}
		if !p.hidden {
			out[i].Bytes = hex.EncodeToString(p.bytes)
		}
	}
	return out
}

// ascii escapes what JSON allows in strings and a terminal may not take for text: all
// that is not ASCII (RFC 8259, section 7).
func ascii(b []byte) []byte {
	if !slices.ContainsFunc(b, func(c byte) bool { return c >= 0x7f }) {
		return b
	}
	var out bytes.Buffer
	for _, r := range string(b) {
		switch {
		case r < 0x7f:
			out.WriteByte(byte(r))
		case r < 0x10000:
			fmt.Fprintf(&out, `\u%04x`, r)
		default:
			hi, lo := utf16.EncodeRune(r)
			fmt.Fprintf(&out, `\u%04x\u%04x`, hi, lo)
		}
	}
	return out.Bytes()
}
