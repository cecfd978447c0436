package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"strings"
	"time"
)

// The dimensions of the picture, in pixels.
const (
	svgLeft   = 190 // where the time axis begins, after the names of the rows
	svgWidth  = 1000
	svgRight  = 20
	svgTop    = 76
	svgBottom = 58
	svgLane   = 7 // of one worker
	svgSpace  = 12
	svgLabel  = 130 // space for the label of a moment
)

// The distances, in pixels, at which successes are drawn as one line. They are as
// small as the size of the picture allows, and the usual time between two events
// of a watch does not show as a gap.
const (
	svgLeastJoint = 4
	svgUsual      = 80 * time.Millisecond
	svgMostJoint  = 64
	svgMostBytes  = 30_000
)

// WriteSVG draws the cell's series over time: a row for each series, with a line
// for each worker. The line shows where the worker's calls succeed in close
// succession, and where they fail, from their start to their end. The picture has
// less than 30 kB, unless there is more to see.
func (c *Cell) WriteSVG(w io.Writer) error {
	p := newPicture(c, svgLeastJoint)
	for p.draw(); p.b.Len() >= svgMostBytes && p.joint < svgMostJoint; p.draw() {
		p = newPicture(c, p.joint+1)
	}
	if _, err := io.WriteString(w, p.b.String()); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}

type picture struct {
	cell     *Cell
	from, to time.Duration
	bottom   int // of the rows
	joint    int // the maximum distance between elements that are drawn as one
	b        strings.Builder
}

func newPicture(c *Cell, joint int) *picture {
	p := &picture{cell: c, to: time.Duration(c.End), bottom: svgTop}
	for _, s := range c.Series {
		p.bottom += len(s.Workers)*svgLane + svgSpace
		for _, calls := range s.Workers {
			for _, call := range calls {
				p.from, p.to = min(p.from, call.Start), max(p.to, call.End)
			}
		}
	}
	// Do not show more of the warm-up than is needed for comparison.
	p.from = max(p.from, -2*time.Second)
	if p.to <= p.from {
		p.to = p.from + time.Second
	}
	p.joint = max(joint, int(svgWidth*svgUsual/(p.to-p.from)))
	return p
}

// perceptible returns the shortest time between two successes that is visible.
func (p *picture) perceptible() time.Duration {
	return (p.to - p.from) * time.Duration(p.joint+1) / svgWidth
}

// x returns the position of a time, to a quarter of a pixel.
func (p *picture) x(t time.Duration) float64 {
	t = min(max(t, p.from), p.to)
	return svgLeft + math.Round(4*svgWidth*float64(t-p.from)/float64(p.to-p.from))/4
}

func (p *picture) printf(format string, args ...any) { fmt.Fprintf(&p.b, format, args...) }

func (p *picture) draw() {
	title := p.cell.title()
	width, height := svgLeft+svgWidth+svgRight, p.bottom+svgBottom
	p.printf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="sans-serif" font-size="12" role="img">`+"\n", width, height, width, height)
	p.printf("<title>%s</title>\n", escape(title))
	p.printf(`<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", width, height)
	p.printf("<style>path{fill:none}.ok{stroke:#2a9d5c;stroke-width:5}.failed{stroke:#d1495b;stroke-width:5}.ambiguous{stroke:#e9a13b;stroke-width:5}</style>\n")
	p.text(10, 20, "font-weight=\"bold\"", title+": "+p.cell.Text)
	p.mishaps()
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

// series draws one row.
func (p *picture) series(s Series, top int) {
	p.text(svgLeft-10, top+len(s.Workers)*svgLane/2+4, `text-anchor="end"`, s.Client+" "+s.Kind)
	for _, o := range []Outcome{OK, Failed, Ambiguous} {
		var d strings.Builder
		for i, calls := range s.Workers {
			for _, r := range p.runs(calls, o) {
				fmt.Fprintf(&d, "M%d %dh%d", r[0], top+i*svgLane+svgLane/2, max(1, r[1]-r[0]))
			}
		}
		if d.Len() > 0 {
			p.printf(`<path class="%s" d="%s"/>`+"\n", o, d.String())
		}
	}
}

// runs returns the ranges in which a worker's calls had the outcome, joined if
// they are at most joint apart. A success is at its end; a failure lasts from its
// start.
func (p *picture) runs(calls []Sample, o Outcome) [][2]int {
	var runs [][2]int
	for _, c := range calls {
		if c.Outcome != o || c.End < p.from {
			continue
		}
		to := int(p.x(c.End))
		from := to
		if o != OK {
			from = int(p.x(c.Start))
		}
		if last := len(runs) - 1; last >= 0 && from-runs[last][1] <= p.joint {
			runs[last][1] = max(runs[last][1], to)
			continue
		}
		runs = append(runs, [2]int{from, to})
	}
	return runs
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

// mishaps shades the times of random faults.
func (p *picture) mishaps() {
	for _, m := range p.cell.Mishaps {
		from, to := p.x(time.Duration(m.At)), p.x(time.Duration(m.Until))
		p.printf(`<rect class="mishap" x="%g" y="%d" width="%g" height="%d" fill="#fbe3e6"><title>%s</title></rect>`+"\n",
			from, svgTop, max(1, to-from), p.bottom-svgTop, escape(m.String()))
	}
}

// svgLabels is how many elections have space for a label.
const svgLabels = 6

// moments marks the start of the fault, the elections, and the start of the
// repair.
func (p *picture) moments() {
	mark := func(at time.Duration, line int, color, text string) {
		y := svgTop - 30 + 13*line
		p.printf(`<path class="moment" d="M%g %dV%d" stroke="%s" stroke-width="1.5"/>`+"\n", p.x(at), y-8, p.bottom, color)
		switch x := p.x(at); {
		case text == "":
		case x > svgLeft+svgWidth-svgLabel:
			p.text(x-4, y, fmt.Sprintf(`fill=%q text-anchor="end"`, color), text)
		default:
			p.text(x+4, y, fmt.Sprintf("fill=%q", color), text)
		}
	}
	mark(0, 0, "#b00020", "fault")
	mark(time.Duration(p.cell.Healed), 0, "#1d5fbf", fmt.Sprintf("healed, %v", p.cell.Healed))
	for i, e := range p.cell.Elections {
		text := ""
		if len(p.cell.Elections) <= svgLabels {
			text = fmt.Sprintf("%s leads, %v", e.Leader, e.At)
		}
		mark(time.Duration(e.At), 1+i%2, "#6a3d9a", text)
	}
}

func (p *picture) legend(y int) {
	x := float64(svgLeft)
	for _, item := range []struct {
		outcome Outcome
		text    string
	}{
		{OK, fmt.Sprintf("successes, less than %d ms apart", p.perceptible().Milliseconds())},
		{Failed, "failure, from call to return"},
		{Ambiguous, "failure marked ambiguous: may have been applied"},
	} {
		p.printf(`<path class="%s" d="M%g %dh10"/>`+"\n", item.outcome, x, y-4)
		p.text(x+16, y, `fill="#333333"`, item.text)
		x += 60 + 6.5*float64(len(item.text))
	}
}

func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a strings.Builder never fails
	return b.String()
}
