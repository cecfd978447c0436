package proxy

import (
	"sync"
	"time"
)

const (
	// lineBuffer is the size of the socket buffers of a link with a line. Without
	// it the kernel would take megabytes from a sender at once, which then believes
	// that they have left.
	lineBuffer = 64 << 10
	// lineBurst is how much time a line may make up for when its own goroutine
	// comes late: timers do, and all the more on a busy machine.
	lineBurst = 50 * time.Millisecond
	// linePieces is how often a second a line passes something on, so that nobody
	// sees pauses that the line itself makes.
	linePieces = 100
	leastPiece = 1 << 10
	mostPiece  = 16 << 10
)

// Line is what bytes have to share: so many a second to the targets, and so many
// back, for all connections of all links that are set to it. One line for several
// links is a client's own way to the network; a line for each is a slow member.
type Line struct{ ways [2]way }

// way is one direction of a line.
type way struct {
	rate int64 // bytes per second; 0 is no limit

	mu   sync.Mutex
	free time.Time // when the bytes that are accepted will have passed
}

// NewLine makes a line of so many bytes a second in each direction. Zero or less is
// no limit.
func NewLine(toTarget, fromTarget int64) *Line {
	return &Line{ways: [2]way{{rate: max(toTarget, 0)}, {rate: max(fromTarget, 0)}}}
}

// way is the limit of one direction, nil when there is none.
func (l *Line) way(d direction) *way {
	if l == nil || l.ways[d].rate == 0 {
		return nil
	}
	return &l.ways[d]
}

// piece is how much to read at once.
func (w *way) piece() int { return int(min(max(w.rate/linePieces, leastPiece), mostPiece)) }

// accept takes n bytes and returns when they have passed.
func (w *way) accept(n int) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	if earliest := time.Now().Add(-lineBurst); w.free.Before(earliest) {
		w.free = earliest
	}
	w.free = w.free.Add(time.Duration(float64(n) / float64(w.rate) * float64(time.Second)))
	return w.free
}
