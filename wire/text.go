package wire

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
)

// text shows records for people: bytes on the left, their meaning on the right.
type text struct {
	w      io.Writer
	hide   hider
	color  bool
	frames bool // all frames, not only the messages in them
	last   *conn
}

// colored reports whether w is a terminal that wants colors (https://no-color.org).
func colored(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// Escapes of ECMA-48, section 8.3.117 (SGR).
const (
	bold  = "\x1b[1m"
	faint = "\x1b[2m"
	blue  = "\x1b[34m"
	green = "\x1b[32m"
	plain = "\x1b[0m"
)

func (t *text) paint(how, s string) string {
	if !t.color || s == "" {
		return s
	}
	return how + s + plain
}

func (t *text) render(r *record) error {
	if !t.frames && !r.asked() {
		return nil
	}
	w := &bytes.Buffer{}
	hide := t.hide.of(r.method)
	// Frames that belong only to the connection do not each need a title.
	if r.method != "" || r.event != "" || r.stream != 0 || t.last != r.conn {
		fmt.Fprintf(w, "\n%s\n", t.paint(bold, "# "+r.clock()+r.title()))
	}
	t.last = r.conn
	if r.method != "" || r.event != "" {
		t.last = nil
	}
	for _, n := range r.notes() {
		fmt.Fprintf(w, "# %s\n", n)
	}
	if t.frames {
		data := r.listData(hide)
		for i, f := range r.frames {
			t.parts(w, direction(f.sent), f.offset, listFrame(f, data[i], hide))
		}
		return t.write(w)
	}
	for _, m := range r.messages() {
		t.parts(w, direction(m.sent), 0, m.list(r.messageType(m.sent), hide))
	}
	return t.write(w)
}

func (t *text) write(b *bytes.Buffer) error {
	_, err := t.w.Write(b.Bytes())
	return err
}

// clock returns when the content of r began, or nothing if that is unknown.
func (r *record) clock() string {
	at := r.begun
	if len(r.frames) > 0 {
		at = r.frames[0].time
	}
	if at.IsZero() {
		return ""
	}
	return at.Format("15:04:05.000000 ")
}

const perLine = 16

// bare implements bareRenderer.
func (t *text) bare(offset int64, parts []part) error {
	w := &bytes.Buffer{}
	t.parts(w, "|", offset, parts)
	return t.write(w)
}

// direction returns an arrow away from the client or toward it.
func direction(sent bool) string {
	if sent {
		return ">"
	}
	return "<"
}

func (t *text) parts(w *bytes.Buffer, arrow string, offset int64, parts []part) {
	color := green
	if arrow == ">" {
		color = blue
	}
	for _, p := range parts {
		for from := 0; from < len(p.bytes); from += perLine {
			b := p.bytes[from:min(from+perLine, len(p.bytes))]
			hex := fmt.Sprintf("% x", b)
			if p.hidden {
				hex = strings.TrimSuffix(strings.Repeat("** ", len(b)), " ")
			}
			left := fmt.Sprintf("%s %08x  %s", arrow, offset, hex)
			offset += int64(len(b))
			right := ""
			if from == 0 {
				right = strings.Repeat(" ", 3*perLine-len(hex)) + "  " + strings.Repeat("  ", p.depth) + t.meaning(p)
			}
			w.WriteString(t.paint(color, left))
			w.WriteString(strings.TrimRight(right, " "))
			w.WriteByte('\n')
		}
	}
}

func (t *text) meaning(p part) string {
	s := p.name
	if p.value != "" && s != "" {
		s += ": "
	}
	s += p.value
	if p.note != "" && s != "" {
		s += "  "
	}
	return s + t.paint(faint, p.note)
}
