// Package progress shows on a terminal how far something is that takes long, and
// nothing anywhere else: neither a pipe nor a log file is for bars.
package progress

import (
	"io"
	"os"

	"github.com/cheggaaa/pb/v3"
	"golang.org/x/term"
)

// Bar is a bar on a terminal, or nothing at all. Its methods are safe for
// concurrent use, and a nil Bar is one that shows nothing.
type Bar struct{ bar *pb.ProgressBar }

// Unit is what a bar counts.
type Unit int

// The units.
const (
	// Items are things without a unit: keys, requests, seconds.
	Items Unit = iota
	// Bytes are shown as KiB, MiB and so on.
	Bytes
)

// Start draws a bar on w, if that is a terminal. What is 0 or less as a total is
// a total that is not known yet. Finish ends it.
func Start(w io.Writer, total int64, unit Unit) *Bar {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	bar := pb.New64(max(total, 0)).SetWriter(f)
	bar.Set(pb.Bytes, unit == Bytes)
	if width, _, err := term.GetSize(int(f.Fd())); err != nil || width <= 0 {
		bar.SetWidth(80) // a terminal that nobody has given a size
	}
	return &Bar{bar.Start()}
}

// Set says that done of total are done.
func (b *Bar) Set(done, total int64) {
	if b == nil {
		return
	}
	b.bar.SetTotal(max(total, 0))
	b.bar.SetCurrent(done)
}

// Add says that n more are done.
func (b *Bar) Add(n int64) {
	if b != nil {
		b.bar.Add64(n)
	}
}

// Finish draws the bar for the last time, and ends its line. It may be called
// more than once.
func (b *Bar) Finish() {
	if b != nil {
		b.bar.Finish()
	}
}
