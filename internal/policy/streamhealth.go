package policy

import (
	"slices"
	"sync/atomic"
	"time"
)

// streamHealth tells whether the silence of a stream is suspicious: when its last message
// came, how regularly messages come, and whether an answer is due.
//
// A stream that had a message every few milliseconds and then falls silent is suspicious.
// One that has a message once in a while is not, unless its user expects an answer
// (Expect).
type streamHealth struct {
	*target // which the stream is on

	last   atomic.Int64 // when the last message came, in nanoseconds of the clock
	rhythm atomic.Int64 // the longest recent pause between messages, in nanoseconds
	count  atomic.Int32 // messages, up to minMessages
	due    atomic.Int64 // since when an answer is expected; 0 if none is
	asked  atomic.Int64 // the value of last when the member was last probed
}

const (
	// minMessages is how many messages it takes to know the rhythm.
	minMessages = 8
	// rhythmFactor times the rhythm is a silence that is suspicious.
	rhythmFactor = 3
	// maxRhythm is the longest rhythm for which that holds.
	maxRhythm = 500 * time.Millisecond
)

// hear notes a message.
func (f *streamHealth) hear(now int64) {
	f.due.Store(0)
	last := f.last.Swap(now)
	if f.count.Load() < minMessages {
		f.count.Add(1)
		if f.count.Load() == 1 {
			return // the time before the first message is no pause
		}
	}
	pause, rhythm := now-last, f.rhythm.Load()
	if pause < rhythm {
		pause = rhythm - (rhythm-pause)/16 // forgets slowly, since bursts have pauses between them
	}
	f.rhythm.Store(pause)
}

// suspectAt returns when the silence becomes suspicious. ok is false if it does not.
func (f *streamHealth) suspectAt(suspicion time.Duration) (at int64, ok bool) {
	if due := f.due.Load(); due != 0 {
		return due + int64(suspicion), true
	}
	last, rhythm := f.last.Load(), time.Duration(f.rhythm.Load())
	if f.count.Load() < minMessages || rhythm > maxRhythm || f.asked.Load() == last {
		return 0, false
	}
	return last + int64(max(rhythmFactor*rhythm, suspicion)), true
}

// Received implements attempt.Connection.
func (f *streamHealth) Received() {
	now := time.Now()
	f.hear(f.conn.clock.at(now))
	f.conn.hear(now, false)
	f.conn.policy.watchdog.wake()
}

// Expect implements attempt.Connection.
func (f *streamHealth) Expect() {
	f.due.CompareAndSwap(0, f.conn.clock.at(time.Now()))
	f.conn.policy.watchdog.wake()
}

// join adds a stream to those of its connection.
func (p *policy) join(f *streamHealth) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f.conn.streams = append(f.conn.streams, f)
}

// part removes it.
func (p *policy) part(f *streamHealth) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f.conn.streams = slices.DeleteFunc(f.conn.streams, func(o *streamHealth) bool { return o == f })
}
