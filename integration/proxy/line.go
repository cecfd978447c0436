package proxy

import (
	"sync"
	"time"
)

const (
	// lineBuffer is the size of the socket buffers of a link with a line. With
	// larger buffers the kernel would accept megabytes from a sender at once, and
	// the sender would believe that they were sent.
	lineBuffer = 64 << 10
	// lineBurst is how much time a line may make up for if its goroutine runs
	// late. Timers are often late, especially on a busy machine.
	lineBurst = 50 * time.Millisecond
	// linePieces is how many times per second a line forwards data, so that the
	// line itself causes no visible pauses.
	linePieces = 100
	leastPiece = 1 << 10
	mostPiece  = 16 << 10
)

// Line is a bandwidth limit: a number of bytes per second in each direction,
// shared by all connections of all links that use it. One line for several links
// stands for a client's own network connection. A separate line for each link
// stands for slow members.
type Line struct{ ways [2]way }

// way is one direction of a line.
type way struct {
	rate int64 // bytes per second; 0 means no limit

	mu   sync.Mutex
	free time.Time // when all bytes accepted so far will have passed
}

// NewLine makes a line with the given bytes per second in each direction. Zero or
// less means no limit.
func NewLine(toTarget, fromTarget int64) *Line {
	return &Line{ways: [2]way{{rate: max(toTarget, 0)}, {rate: max(fromTarget, 0)}}}
}

// way returns the limit of one direction, or nil if there is none.
func (l *Line) way(d direction) *way {
	if l == nil || l.ways[d].rate == 0 {
		return nil
	}
	return &l.ways[d]
}

// piece returns how much to read at once.
func (w *way) piece() int { return int(min(max(w.rate/linePieces, leastPiece), mostPiece)) }

// accept accepts n bytes and returns the time when they have passed.
func (w *way) accept(n int) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	if earliest := time.Now().Add(-lineBurst); w.free.Before(earliest) {
		w.free = earliest
	}
	w.free = w.free.Add(time.Duration(float64(n) / float64(w.rate) * float64(time.Second)))
	return w.free
}
