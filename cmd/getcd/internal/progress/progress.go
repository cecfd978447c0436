// Package progress shows the progress of a long operation on a terminal. It
// prints nothing to a pipe or a file.
package progress

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/getcd/getcd/cmd/getcd/internal/units"
)

// Bar is a progress bar on a terminal. A nil Bar shows nothing. Its methods are
// safe for concurrent use.
type Bar struct {
	w    *os.File // read-only
	unit Unit     // read-only

	mu          sync.Mutex // guards the fields below
	done, total int64
	drawn       time.Time // the last time
	finished    bool
}

// Unit is what a bar counts.
type Unit int

// The units.
const (
	// Items are counted without a unit: keys, requests, seconds.
	Items Unit = iota
	// Bytes are shown as KiB, MiB and so on.
	Bytes
)

const (
	// pause is the minimum time between two drawings.
	pause = 200 * time.Millisecond
	// narrow is the assumed width of a terminal whose size is unknown.
	narrow = 80
)

// Start draws a bar on w if w is a terminal. A total of 0 or less means that the
// total is not known yet. The caller must call Finish.
func Start(w io.Writer, total int64, unit Unit) *Bar {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	b := &Bar{w: f, unit: unit}
	b.Set(0, total)
	return b
}

// Set sets how much is done, out of total.
func (b *Bar) Set(done, total int64) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.done, b.total = done, total
	b.drawLocked()
}

// Add adds n to what is done.
func (b *Bar) Add(n int64) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.done += n
	b.drawLocked()
}

// Finish draws the bar for the last time and ends its line. It may be called more
// than once.
func (b *Bar) Finish() {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.finished {
		return
	}
	b.drawn = time.Time{}
	b.drawLocked()
	b.finished = true
	_, _ = fmt.Fprintln(b.w) // if the terminal is gone, nothing can be shown
}

// drawLocked redraws the bar, unless it was drawn a moment ago.
func (b *Bar) drawLocked() {
	now := time.Now()
	if b.finished || now.Sub(b.drawn) < pause {
		return
	}
	b.drawn = now
	width, _, err := term.GetSize(int(b.w.Fd()))
	if err != nil || width <= 0 {
		width = narrow
	}
	_, _ = fmt.Fprintf(b.w, "\r%s", b.line(width)) // if the terminal is gone, nothing can be shown
}

// line returns "done / total [===>   ] percent" in width columns. The last column
// stays empty, since some terminals start a new line after it.
func (b *Bar) line(width int) string {
	total, share, percent := "?", 0.0, ""
	if b.total > 0 {
		total = b.count(b.total)
		share = min(max(float64(b.done)/float64(b.total), 0), 1)
		percent = fmt.Sprintf("%.2f%%", 100*share)
	}
	left := b.count(b.done) + " / " + total + " ["
	right := "] " + percent
	room := max(width-1-len(left)-len(right), 1)
	full := int(share * float64(room))
	bar := strings.Repeat("=", full)
	if full < room {
		bar += ">" + strings.Repeat(" ", room-full-1)
	}
	return left + bar + right
}

func (b *Bar) count(n int64) string {
	if b.unit == Bytes {
		return units.IBytes(uint64(max(n, 0)))
	}
	return fmt.Sprint(n)
}
