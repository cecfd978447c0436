package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"strings"
	"time"
)

// The picture's measures, in pixels.
const (
	svgLeft   = 190 // where the time begins, after the rows' names
	svgWidth  = 1000
	svgRight  = 20
	svgTop    = 76
	svgBottom = 58
	svgLane   = 7 // of one worker
	svgSpace  = 12
)

// WriteSVG draws the cell's series over time: a row for each, with a line for
// each worker. A tick is a success, at its end; a bar is a call that failed, from
// its beginning to its end.
func (c *Cell) WriteSVG(w io.Writer) error {
	p := newPicture(c)
	p.draw()
	if _, err := io.WriteString(w, p.b.String()); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}

type picture struct {
	cell     *Cell
	from, to time.Duration
	bottom   int // of the rows
	b        strings.Builder
}

func newPicture(c *Cell) *picture {
	p := &picture{cell: c, to: time.Duration(c.End), bottom: svgTop}
	for _, s := range c.Series {
		p.bottom += len(s.Workers)*svgLane + svgSpace
		for _, calls := range s.Workers {
			for _, call := range calls {
				p.from, p.to = min(p.from, call.Start), max(p.to, call.End)
			}
		}
	}
	// Not more of the warm-up than shows how it was before.
	p.from = max(p.from, -2*time.Second)
	if p.to <= p.from {
		p.to = p.from + time.Second
	}
	return p
}

// x is the place of a time, to a quarter of a pixel.
func (p *picture) x(t time.Duration) float64 {
	t = min(max(t, p.from), p.to)
	return svgLeft + math.Round(4*svgWidth*float64(t-p.from)/float64(p.to-p.from))/4
}

func (p *picture) printf(format string, args ...any) { fmt.Fprintf(&p.b, format, args...) }

func (p *picture) draw() {
	title := p.cell.Fault
	if p.cell.Victim != "" {
		title += ", the " + p.cell.Role + " (" + p.cell.Victim + ")"
	}
	width, height := svgLeft+svgWidth+svgRight, p.bottom+svgBottom
	p.printf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="sans-serif" font-size="12" role="img">`+"\n", width, height, width, height)
	p.printf("<title>%s</title>\n", escape(title))
	p.printf(`<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", width, height)
	p.text(10, 20, "font-weight=\"bold\"", title+": "+p.cell.Text)
	p.axis()
	y := svgTop
	for _, s := range p.cell.Series {
		p.series(s, y)
		y += len(s.Workers)*svgLane + svgSpace
	}
	p.moments()
	p.legend(height - 12)
	p.printf("</svg>\n")
}

func (p *picture) text(x float64, y int, attributes, text string) {
	p.printf(`<text x="%g" y="%d" %s>%s</text>`+"\n", x, y, attributes, escape(text))
}

// axis writes the seconds below the rows.
func (p *picture) axis() {
	step := time.Second
	for (p.to-p.from)/step > 20 {
		step *= 5
	}
	for t := p.from.Truncate(step); t <= p.to; t += step {
		if t < p.from {
			continue
		}
		p.printf(`<path d="M%g %dV%d" stroke="#e0e0e0"/>`+"\n", p.x(t), svgTop, p.bottom)
		p.text(p.x(t), p.bottom+14, `text-anchor="middle" fill="#555555"`, fmt.Sprintf("%g s", t.Seconds()))
	}
}

// series draws one row. Successes of a worker that fall on the same place are
// one tick.
func (p *picture) series(s Series, top int) {
	p.text(svgLeft-10, top+len(s.Workers)*svgLane/2+4, `text-anchor="end"`, s.Client+" "+s.Kind)
	paths := make(map[Outcome]*strings.Builder)
	for _, o := range []Outcome{OK, Failed, Ambiguous} {
		paths[o] = new(strings.Builder)
	}
	for i, calls := range s.Workers {
		y := top + i*svgLane
		last := -1.0
		for _, c := range calls {
			if c.End < p.from {
				continue
			}
			from, to := p.x(c.Start), p.x(c.End)
			if c.Outcome != OK {
				fmt.Fprintf(paths[c.Outcome], "M%g %dH%gV%dH%gZ", from, y, max(to, from+1), y+svgLane-2, from)
				continue
			}
			if to-last >= 1 {
				fmt.Fprintf(paths[OK], "M%g %dv%d", to, y, svgLane-2)
				last = to
			}
		}
	}
	for _, o := range []Outcome{OK, Failed, Ambiguous} {
		if d := paths[o].String(); d != "" {
			p.printf(`<path class="%s" d="%s" %s/>`+"\n", o, d, o.paint())
		}
	}
}

// String names the outcome.
func (o Outcome) String() string {
	switch o {
	case OK:
		return "ok"
	case Ambiguous:
		return "ambiguous"
	default:
		return "failed"
	}
}

func (o Outcome) paint() string {
	switch o {
	case OK:
		return `stroke="#2a9d5c" fill="none"`
	case Ambiguous:
		return `fill="#e9a13b"`
	default:
		return `fill="#d1495b"`
	}
}

// moments draws when the fault began, when a leader was elected, and when the
// repair began.
func (p *picture) moments() {
	mark := func(at time.Duration, line int, color, text string) {
		y := svgTop - 30 + 13*line
		p.printf(`<path class="moment" d="M%g %dV%d" stroke="%s" stroke-width="1.5"/>`+"\n", p.x(at), y-8, p.bottom, color)
		p.text(p.x(at)+4, y, fmt.Sprintf("fill=%q", color), text)
	}
	mark(0, 0, "#b00020", "fault")
	mark(time.Duration(p.cell.Healed), 0, "#1d5fbf", fmt.Sprintf("healed, %v", p.cell.Healed))
	for i, e := range p.cell.Elections {
		mark(time.Duration(e.At), 1+i%2, "#6a3d9a", fmt.Sprintf("%s leads, %v", e.Leader, e.At))
	}
}

func (p *picture) legend(y int) {
	x := float64(svgLeft)
	for _, item := range []struct {
		outcome Outcome
		text    string
	}{
		{OK, "success"},
		{Failed, "failure, from call to return"},
		{Ambiguous, "failure marked ambiguous: may have been applied"},
	} {
		if item.outcome == OK {
			p.printf(`<path d="M%g %dv10" %s/>`+"\n", x+5, y-9, item.outcome.paint())
		} else {
			p.printf(`<path d="M%g %dh10v10h-10Z" %s/>`+"\n", x, y-9, item.outcome.paint())
		}
		p.text(x+16, y, `fill="#333333"`, item.text)
		x += 60 + 6.5*float64(len(item.text))
	}
}

func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a strings.Builder takes everything
	return b.String()
}
