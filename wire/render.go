package wire

import (
	"fmt"
	"io"
	"strings"
)

func (o Options) format() Format {
	if o.Format == "" {
		return Frames
	}
	return o.Format
}

func (o Options) memory() int64 {
	if o.Memory <= 0 {
		return 16 << 20
	}
	return int64(o.Memory)
}

func (o Options) hider() hider {
	hide := hider{secrets: o.Secrets}
	for _, p := range o.HideValues {
		hide.prefixes = append(hide.prefixes, []byte(p))
	}
	return hide
}

func newRenderer(w io.Writer, o Options) renderer {
	hide := o.hider()
	switch o.format() {
	case Frames:
		return &text{w: w, hide: hide, color: colored(w), frames: true}
	case Messages:
		return &text{w: w, hide: hide, color: colored(w)}
	case Curl, Grpcurl:
		return &commands{w: w, hide: hide, opts: o, shown: make(map[int]int)}
	case JSON:
		return &lines{w: w, hide: hide}
	default:
		return &refusal{w: w, text: unknownFormat(o.Format).Error() + "\n"}
	}
}

func unknownFormat(f Format) error {
	return fmt.Errorf("wire: unknown format %q: want one of %q", string(f), Formats())
}

// refusal reports an unknown format, once.
type refusal struct {
	w    io.Writer
	text string
}

func (r *refusal) render(*record) error {
	_, err := io.WriteString(r.w, r.text)
	r.text = ""
	return err
}

// title describes a record in one line.
func (r *record) title() string {
	var b strings.Builder
	switch {
	case r.event != "":
		fmt.Fprintf(&b, "connection %d to %s: %s", r.conn.n, r.conn.describe(), r.event)
		return b.String()
	case r.method == "" && r.stream == 0:
		fmt.Fprintf(&b, "connection %d to %s", r.conn.n, r.conn.describe())
		return b.String()
	case r.method == "":
		fmt.Fprintf(&b, "stream %d of connection %d to %s", r.stream, r.conn.n, r.conn.describe())
		return b.String()
	case r.call == 0 || r.own:
		b.WriteString(clean(r.method))
		if r.own || r.conn.channel != nil {
			b.WriteString(", asked by the client itself")
		}
	default:
		fmt.Fprintf(&b, "call %d, %s, attempt %d", r.call, clean(r.method), r.n)
	}
	if r.stream != 0 {
		fmt.Fprintf(&b, ", to %s, connection %d, stream %d", r.conn.describe(), r.conn.n, r.stream)
	}
	switch {
	case r.outcome.status != "":
		fmt.Fprintf(&b, ": %s, after %v", clean(r.outcome.status), r.took)
	case r.status != "":
		fmt.Fprintf(&b, ": %s", r.status)
	case r.broken:
		b.WriteString(": ended by the connection's end")
	case !r.last:
		b.WriteString(", which goes on")
	}
	return b.String()
}

// notes are the lines below the title: the outcomes of earlier attempts, and what
// is missing.
func (r *record) notes() []string {
	var out []string
	for _, o := range r.before {
		if o.status == "" {
			out = append(out, fmt.Sprintf("attempt %d, to %s, is still under way", o.n, o.where()))
		} else {
			out = append(out, fmt.Sprintf("attempt %d, to %s: %s, after %v", o.n, o.where(), clean(o.status), o.took))
		}
	}
	if r.late {
		out = append(out, "this came after the call had ended")
	}
	if r.call != 0 && r.stream == 0 {
		out = append(out, "nothing of it was sent")
	}
	if r.dropped != (dropped{}) {
		out = append(out, fmt.Sprintf("left out before this, for want of memory: %d frames, %d bytes", r.dropped.frames, r.dropped.bytes))
	}
	return out
}

func (o outcome) where() string {
	if o.member == "" {
		return "no member"
	}
	return o.member
}

func (c *conn) describe() string {
	if c.secure {
		return c.member + " (TLS, for " + clean(c.host) + ")"
	}
	return c.member
}
